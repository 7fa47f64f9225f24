// The source's side of a cutover: pausing its writes, reading where it is, and fencing it for good
// so that nothing is written there behind our back. Speaks with the source over a connection of its
// own; when to do what is Pipeline's. Executor thread only.
//
//   pause -> (target reaches the offset) -> check -> fence, end clients -> on_switch -> unpause
//   up to the fence everything can be taken back with unpause; the pause ends by itself as well
#pragma once

#include "keyferry/net/connection.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {

class SourceFence {
 public:
  SourceFence(const asio::any_io_executor& executor, const EndOptions& options)
      : options_(options), connection_(executor) {}

  // Reaches the master with that history and reads what the fence will replace. Changes nothing.
  Task<Error> open(const std::string& replid);

  // Holds back writes for at most `limit` (Redis 6.2: CLIENT PAUSE WRITE).
  Task<Error> pause(Millis limit);
  Task<Error> unpause();
  // The offset up to which its stream has come; an error when it is not the master with that
  // history any more.
  Task<Result<Offset>> offset();
  // Refuses writes from now on (min-replicas-to-write out of reach), then ends its normal clients:
  // what they have waiting must not run when the pause ends.
  Task<Error> raise();

  // Until the pause ends by itself; nothing when there is none.
  Millis pause_left(TimePoint now) const;
  // What min-replicas-to-write was before.
  const std::string& replaced() const { return replaced_; }

  // Takes a fence away: min-replicas-to-write as given.
  Task<Error> lower(std::string min_replicas);

 private:
  Task<Error> must(Bytes command);

  const EndOptions& options_;
  Connection connection_;
  std::string replid_;
  std::string setting_;  // its name at this server
  std::string replaced_;
  std::optional<TimePoint> pause_ends_;
};

}  // namespace keyferry
