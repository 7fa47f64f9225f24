// The elements of one value as commands that build it anew under its key, for targets that cannot
// take the raw bytes and for values too large to be sent in one piece. Pure; the elements come from
// elements.hpp, the commands go into the lane of the key's slot, in order.
//
// The commands come in parts. A part is sent, answered and, after a lost connection or a refusal,
// sent again as a whole; sending again whatever suffix of the parts must do no harm. The first part
// deletes the key; later ones hold only what may be repeated: SETRANGE, LTRIM to the known length
// in front of RPUSH, SADD, ZADD, HSET. XADD has no such form: Part::has_entries says that the part
// must be one transaction with no other part in flight, and that "equal or smaller" in answer to it
// means that it had been applied before.
//
// Kept in memory: one part, and pending_bytes for each pending entry of one stream group. No
// command says when a consumer was last seen, how often or how lately a key was used.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "keyferry/rdb/element.hpp"
#include "keyferry/rdb/target.hpp"

namespace keyferry::rdb {

inline bool operator<(const StreamId& a, const StreamId& b) {
  return a.ms != b.ms ? a.ms < b.ms : a.seq < b.seq;
}

class Rewriter {
 public:
  // How many pending entries a stream group was given.
  struct Claims {
    Bytes group;
    std::uint64_t count = 0;
  };

  struct Part {
    Bytes wire;
    std::uint32_t replies = 0;
    bool has_entries = false;  // a later part with XADD
  };

  // A part is full when it holds this many bytes; the element that fills it is still in it.
  // Of a stream group's pending entries at most `pending_max` are kept and given to the target.
  Rewriter(TargetTraits target, std::size_t part_bytes,
           std::size_t pending_max = static_cast<std::size_t>(-1))
      : target_(target), part_bytes_(part_bytes), pending_max_(pending_max) {}

  // `ghosts`, ascending: ids that stream groups still have pending although their entries were
  // deleted (see missing_pending). XCLAIM refuses those since Redis 7.0, so the entries are made,
  // claimed and deleted again.
  void begin(ByteView key, std::optional<std::int64_t> expire_ms,
             std::vector<StreamId> ghosts = {});
  void add(const Element& element);
  // Behind the last element. A value without any element is written only when it is a string.
  void end(bool is_string);

  // The commands for an element whose text is sent from elsewhere, between `head` and `tail`: what
  // add() would make of it, in a part of its own. Only behind take().
  struct Framed {
    Bytes head;
    Bytes tail;
    std::uint32_t replies = 0;
  };
  Framed frame(const Element& element);

  bool is_full() const { return waiting_bytes() >= part_bytes_; }
  // Ends the part; empty (no replies) when nothing was written since the last one.
  Part take();

  bool is_stream() const { return is_stream_; }
  // Groups with pending entries. XCLAIM passes over ids whose entry is gone (Redis >= 7.0):
  // XPENDING tells whether the target has as many.
  const std::vector<Claims>& claims() const { return claims_; }
  // Whether the stream remembered ids of idempotent XADDs (Redis 8.6), which no command can set.
  bool lost_remembered() const { return lost_remembered_; }
  // Pending entries of its groups above pending_max.
  std::uint64_t pending_left_out() const { return pending_left_out_; }
  static constexpr std::size_t pending_bytes = 32;

 private:
  struct Pending {
    StreamId id;
    std::int64_t delivered_ms = 0;
    std::uint64_t deliveries = 0;
  };

  void add_text(const Element& element);
  void add_item(const Element& element);
  void add_field(const Element& element);
  void add_entry(const Element& element);
  void add_ghosts(const StreamId* before);
  void add_stream_info(const Element& element);
  void add_group(const Element& element);
  void add_consumer(const Element& element);
  void add_owned(const Element& element);
  void finish_stream();

  // One variadic command that grows: verb, key, arguments, then `suffix`.
  void start_run(ByteView verb, std::initializer_list<ByteView> head = {});
  void add_to_run(std::initializer_list<ByteView> args);
  void finish_run();
  // One whole command "verb key args...".
  void command(ByteView verb, std::initializer_list<ByteView> args);
  void begin_command(std::size_t args, ByteView verb);
  void delete_once();
  std::size_t waiting_bytes() const { return part_.wire.size() + run_.size() + behind_.size(); }

  TargetTraits target_;
  std::size_t part_bytes_;
  std::size_t pending_max_;

  Bytes key_;       // as a whole bulk
  Bytes last_of_;   // name of the last group
  Bytes consumer_;  // name of the last consumer
  std::optional<std::int64_t> expire_ms_;
  Part part_;
  bool first_part_ = true;
  bool deleted_ = false;
  bool wrote_ = false;  // any element

  ByteView run_verb_;  // a literal; empty: no run
  Bytes run_;
  std::size_t run_args_ = 0;
  std::size_t run_elements_ = 0;
  Bytes run_suffix_;
  std::size_t run_suffix_args_ = 0;
  Bytes behind_;  // commands that follow the run: expiry of fields
  std::uint32_t behind_replies_ = 0;

  std::uint64_t text_bytes_ = 0;
  std::uint64_t items_ = 0;
  bool trimmed_ = false;  // this part knows the list's length

  bool is_stream_ = false;
  bool lost_remembered_ = false;
  std::uint64_t entries_ = 0;
  Element info_;
  std::vector<StreamId> ghosts_;
  std::size_t next_ghost_ = 0;
  std::deque<Pending> pending_;  // grows without being moved
  bool pending_sorted_ = true;
  std::uint64_t pending_left_out_ = 0;
  std::vector<Claims> claims_;
  Pending claim_;  // what the ids of the running XCLAIM share
};

// Collects, over all elements of one stream, the ids that are pending in a group but no longer an
// entry. Holds 16 bytes per entry and pending id: for values that are held whole anyway.
class MissingPending {
 public:
  void add(const Element& element);
  std::vector<StreamId> take();

 private:
  std::vector<StreamId> entries_;
  std::vector<StreamId> pending_;
};

}  // namespace keyferry::rdb
