// A lane: an ordered queue of commands and the one connection that carries them to one target node.
// Writes are gathered, replies are matched one by one; after a lost connection everything
// unanswered is sent again, in order. It does not decide where commands go nor what a refusal
// means: that is redis_sink, told through LaneEvents. Pipeline thread only.
//
//   queue_:  [ batch | batch | batch | batch ]
//               ^reply cursor   ^write cursor        answered | in flight | waiting
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "keyferry/checkpoint/suspects.hpp"
#include "keyferry/checkpoint/watermark.hpp"
#include "keyferry/config/options.hpp"
#include "keyferry/net/connection.hpp"
#include "keyferry/resp/reply_scanner.hpp"
#include "keyferry/sink/write_buffer.hpp"
#include "keyferry/spool/scratch_file.hpp"

namespace keyferry {

// What a unit of the snapshot holds; it decides what some refusals mean.
enum class Load : std::uint8_t {
  none,     // of the stream
  raw,      // SET or RESTORE
  entries,  // a later part of a stream, which tells when it had been applied before
  other,
};

// A text that is too large to be held, inside of the command that carries it: the unit's wire ends
// where it begins.
struct LargeBody {
  explicit LargeBody(std::string dir) : text(std::move(dir)) {}

  ScratchFile text;
  Bytes tail;        // of the command, and what follows it in the unit
  std::string what;  // for people
};

// What is sent, answered and, if need be, sent again as a whole: one command, MULTI..EXEC, or
// several commands of the snapshot for one key. One cache line: on a cluster units are visited slot
// by slot, in no order of memory.
struct alignas(64) Unit {
  ByteView wire;               // contiguous; kept alive by the Cargo
  std::uint32_t replies = 1;   // the target gives for it
  std::uint32_t commands = 1;  // of the source, for counting
  std::int32_t db = 0;
  Slot slot = 0;  // order is kept per slot; always 0 in the stream to a standalone target
  Load load = Load::none;
  bool is_group : 1 = false;
  bool joins_next : 1 = false;   // inside a MULTI..EXEC of the source: not the end of a transaction
  bool sets_ttl : 1 = false;     // answers 0 when the key was gone
  bool is_late : 1 = false;      // with sets_ttl: the key may have expired here before it came
  bool flushes : 1 = false;      // FLUSHALL, FLUSHDB, SWAPDB: our own keys go with the rest
  bool is_copy : 1 = false;      // heals a suspect key
  bool is_gone : 1 = false;      // moved out of the lane; both cursors pass over it
  bool select_sent : 1 = false;  // a SELECT was sent in front: one more reply
  bool was_sent : 1 = false;     // over a connection that broke: it may have been applied
  // May not be repeated: on a cluster it travels with its slot's record.
  bool needs_record : 1 = false;
  Offset end = 0;                   // stream offset behind its command; 0 for snapshot commands
  const Origin* origin = nullptr;   // what the source sent, where that is something else
  const LargeBody* body = nullptr;  // goes behind the wire; kept alive by the Cargo

  // As the source knows it: keys of the target's may have other names.
  ByteView source_wire() const { return origin == nullptr ? wire : origin->wire; }
  std::int32_t source_db() const { return origin == nullptr ? db : origin->db; }
};

static_assert(sizeof(Unit) == 64);

// Keeps the bytes of units alive.
struct Cargo {
  std::unique_ptr<Batch> batch;
  std::deque<Origin> origins;  // of copies
  std::deque<Bytes>
      made;  // wires that are not verbatim: split commands, copied groups, snapshot keys
  std::shared_ptr<const LargeBody> body;
};

struct LaneBatch {
  std::shared_ptr<const Cargo> cargo;
  Watermark::Ticket ticket = 0;
  TimePoint received;
  std::vector<Unit> units;
};

// One unit outside a lane, with what it takes to send and acknowledge it.
struct HeldUnit {
  Unit unit;
  std::shared_ptr<const Cargo> cargo;
  Watermark::Ticket ticket = 0;
  TimePoint received;
};

class Lane;

// What was answered without error.
struct Answered {
  std::uint64_t units = 0;
  std::uint64_t commands = 0;
  std::size_t bytes = 0;
};

struct LaneEvents {
  // The reply cursor has passed a whole batch; units that left the lane are not among the answered.
  std::function<void(const LaneBatch&, const Answered&)> completed;
  // An error reply; the lane has let go of the unit.
  std::function<void(Lane&, HeldUnit, const std::string& error)> refused;
  // A reply to a unit of a frozen slot that does not count: it will be sent again behind the
  // refused one.
  std::function<void(HeldUnit)> held;
  // Nothing of a frozen slot is left in this lane.
  std::function<void(Slot)> thawed;
  // The connection could not be made or broke.
  std::function<void(Lane&, const Error&)> disconnected;
  // Each fresh connection must know this database; 0: nothing is asked.
  std::int32_t highest_db = 0;
  // May be empty. Runs on each fresh connection before anything is written; an error gives it up.
  std::function<Task<Error>(Lane&, Connection&)> greet;
  // Not null: whose answers may tell more as long as there are any.
  const Suspects* suspects = nullptr;
  // A unit was answered without error meanwhile.
  std::function<void(const Unit&)> answered;
};

struct LaneStats {
  std::uint64_t sent_bytes = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t resent_units = 0;
};

class Lane {
 public:
  Lane(const asio::any_io_executor& executor, const EndOptions& options, HostPort target,
       LaneEvents& events);

  // Connects, and again whenever the connection breaks, until stop(). Error: no connection for
  // reconnect_max_s, or a server that does not let us in.
  Task<Error> run();
  void stop();

  void submit(LaneBatch batch);
  // Forgets everything queued or in flight.
  void discard();

  // Why a slot is frozen: behind a refusal everything in flight must be sent again, or the order
  // would change; when only the slot's owner has changed, what is still accepted here counts, up to
  // the first error.
  enum class Freeze { behind_refusal, for_new_owner };

  // Takes every unit of `slot` that has not been sent out of the queue, in order, and marks the
  // slot: those in flight go to events.held when their reply comes. Returns how many are in flight
  // (0: the slot is not marked).
  std::size_t freeze(Slot slot, Freeze why, std::deque<HeldUnit>& unsent);

  // Gives the connection up when a reply has been due for longer than the limit.
  void check_timeout(TimePoint now);
  // Gives the connection up when it is one to another server.
  void stay_with(const HostPort& master);

  // Says CLIENT IMPORT-SOURCE ON over every connection (Valkey 8.1). Set before run().
  bool import_source = false;

  const HostPort& target() const { return target_; }
  // CLIENT ID of the last connection, kept by whoever greets; "" for none.
  std::string client_id;
  std::uint64_t queued() const { return total_units_ - in_flight_; }
  std::uint64_t in_flight() const { return in_flight_; }
  bool is_empty() const { return queue_.empty(); }
  bool is_connected() const { return connected_; }
  const LaneStats& stats() const { return stats_; }

 private:
  Task<Error> serve();
  Task<Error> write_loop();
  Task<Error> read_loop();
  void gather();
  Task<Error> write_body(std::shared_ptr<const Cargo> cargo);
  Error scan(ByteView bytes);
  void on_reply();
  void finish_unit();
  void pass_gone();
  void mark_sent();
  void disconnect();
  Task<Error> say_import_source();

  asio::any_io_executor executor_;
  const EndOptions& options_;
  HostPort target_;
  LaneEvents& events_;
  Connection connection_;
  Signal wake_;
  bool connected_ = false;
  bool stopping_ = false;

  std::deque<LaneBatch> queue_;
  std::size_t write_batch_ = 0;  // index into queue_
  std::size_t write_unit_ = 0;
  std::size_t reply_unit_ = 0;  // in queue_.front()
  std::uint64_t total_units_ = 0;
  std::uint64_t in_flight_ = 0;
  std::size_t in_flight_bytes_ = 0;
  Answered front_;  // of queue_.front()
  struct Frozen {
    std::size_t in_flight = 0;
    bool keeps_accepted = false;  // Freeze::for_new_owner, and no error so far
  };
  std::unordered_map<Slot, Frozen> frozen_;

  std::int32_t selected_db_ = 0;
  WriteBuffer writing_;
  std::shared_ptr<const Cargo> sending_;  // its body goes behind what is being written

  ReplyScanner scanner_;
  std::uint32_t unit_replies_ = 0;
  std::string unit_error_;
  TimePoint progress_;
  LaneStats stats_;
};

}  // namespace keyferry
