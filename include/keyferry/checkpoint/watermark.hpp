// The contiguous-acknowledgement watermark: batches are acknowledged by several lanes in any order;
// the watermark is the stream offset up to which everything has been applied. It is the only source
// of truth for ACK, lag and checkpoint. Pure; pipeline thread only.
#pragma once

#include <cstdint>
#include <deque>

#include "keyferry/command/batch.hpp"

namespace keyferry {

class Watermark {
 public:
  using Ticket = std::uint64_t;

  // Starts anew at `offset` (after a full sync); tickets handed out before are void and must not be
  // used again.
  void reset(Offset offset);

  // Registers the next stretch of the stream: it ends at `end` (not before the last one) and needs
  // `pending` acknowledgements. With 0 it is done at once; its ticket must not be used.
  Ticket open(Offset end, std::uint64_t pending, TimePoint received);
  // More acknowledgements are needed than was thought (a command was split). Ticket must still lack
  // some.
  void add(Ticket ticket, std::uint64_t pending);
  // `count` of them arrived. Asserts that no ticket gets more than it asked for.
  void ack(Ticket ticket, std::uint64_t count);

  // Everything below this offset has been applied. Never goes back, never passes an open ticket.
  Offset applied() const { return applied_; }
  // Acknowledgements still missing, over all tickets.
  std::uint64_t outstanding() const { return outstanding_; }
  // When the oldest unapplied stretch was received; `now` when there is none.
  TimePoint oldest(TimePoint now) const;

 private:
  struct Stretch {
    Offset end = 0;
    std::uint64_t pending = 0;
    TimePoint received;
  };
  Stretch& stretch_of(Ticket ticket);
  void advance();

  std::deque<Stretch> open_;
  Ticket first_ = 0;  // ticket of open_.front()
  Offset applied_ = 0;
  std::uint64_t outstanding_ = 0;
};

}  // namespace keyferry
