// The stream to a standalone target, exactly once: every command goes inside a transaction that
// also writes the record of how far the stream has come. One connection, total order. Where a unit
// comes from, what a refusal means for the link, and who heals a suspect is redis_sink's. Pipeline
// thread only.
//
//   queue_:  [ sent: one or more | open | waiting ]   WATCH fence, HEXISTS fence  (behind an EXEC)
//             ^judged_                   ^write_      MULTI, commands ...         (as they come)
//                                                     SELECT 0, SET record, EXEC
//
// At rest each command has a transaction of its own, executed when the one before it is judged.
// Under load transactions fill up, and a full one says in the fence whether it was executed
// (sink/guard_ring): then the next need not wait for its verdict. They are kept small, since what
// is queued for EXEC leaves the server's caches: a SET costs it twice as much in one of 50,000 as
// in one of 64.
//
// A refused transaction takes all behind it back (DISCARD), so nothing overtakes. After a lost
// connection the record says which of the sent ones took place; their replies are then unknown, and
// what they touched is suspect.
#pragma once

#include "keyferry/sink/claim.hpp"
#include "keyferry/sink/guard_ring.hpp"
#include "keyferry/sink/lane.hpp"

namespace keyferry {

struct SerialEvents {
  // Every unit of a batch has been judged or has left the lane.
  std::function<void(const LaneBatch&, const Answered&)> completed;
  // A unit was executed and answered in a way that makes its keys suspect (a TTL command that found
  // no key), or its answer got lost. `error`: of the unit, "" for none.
  std::function<void(const Unit&)> doubtful;
  // Asked for each executed unit while keys are suspect, and for every one with an error: true when
  // the error is explained by a suspect key, which heals later.
  std::function<bool(const Unit&, const std::string& error)> inspect;
  std::function<bool()> any_suspect;
  // A start of the stream from here finds out about every key that is suspect.
  std::function<Offset()> oldest_suspect;
  // A copy of a suspect key has been applied.
  std::function<void(const Unit&)> healed;
  // Refused for good: before (`executed` false: the lane goes on without it when the result is
  // true) or while the transaction ran.
  std::function<bool(HeldUnit, const std::string& error, bool executed)> refused;
  // A refusal that passes; counted.
  std::function<void(const std::string& error)> retried;
  std::function<void(const Error&)> disconnected;
  // The target does not stand where it was: it lost acknowledged writes, or everything.
  std::function<void(const std::optional<Record>&)> lost;
};

class SerialLane {
 public:
  SerialLane(const asio::any_io_executor& executor, const Options& options, HostPort target,
             Claim& claim, SerialEvents& events);

  // Where the stream begins: what each transaction's record is made from.
  void begin(Record record);
  // Connects, and again whenever the connection breaks, until stop(). Nothing is written before
  // begin(). Errors: no connection for reconnect_max_s, another instance has taken over.
  Task<Error> run();
  void stop();
  // Forgets everything queued: the stream will begin somewhere else.
  void discard();

  void submit(LaneBatch batch);
  // The stream has come to `offset` with nothing more for the target: lets the record follow when
  // the lane is idle.
  void note_offset(Offset offset, std::int32_t db);
  // Writes what was noted, should the record not say it yet.
  void checkpoint();
  bool is_recorded() const { return !record_ || recorded_ >= noted_; }
  // A start carries nothing out again, but finds suspect keys anew.
  bool is_recorded_but_suspects() const { return !record_ || record_->offset >= noted_; }
  // `judged` of the record in the target: where the stream would begin for another process.
  Offset recorded_offset() const {
    return record_ ? std::min(recorded_, record_->judged) : recorded_;
  }
  // No record, nor one under way, says more.
  Offset furthest_recorded() const {
    return std::max(noted_, record_ ? record_->offset : Offset(0));
  }
  // The source's history has this name from now on.
  void enter_history(const std::string& replid);
  void check_timeout(TimePoint now);
  // Gives the connection up when it is one to another server.
  void stay_with(const HostPort& master);

  // Says CLIENT IMPORT-SOURCE ON over every connection (Valkey 8.1). Set before run().
  bool import_source = false;

  const HostPort& target() const { return target_; }
  // What it takes to fill the way to the target and back.
  std::size_t wanted_bytes() const;
  std::uint64_t queued() const { return total_units_ - in_flight(); }
  std::uint64_t in_flight() const { return sent_units_ + open_.units; }
  bool is_connected() const { return connected_; }
  const LaneStats& stats() const { return stats_; }

 private:
  struct Cursor {
    std::uint64_t batch = 0;  // counted since the lane began; queue_[batch - first_batch_]
    std::size_t unit = 0;
    auto operator<=>(const Cursor&) const = default;
  };
  struct Transaction {
    std::uint64_t units = 0;  // sent: those without a verdict
    std::size_t bytes = 0;
    Offset end = 0;           // of its last command of the stream
    std::int32_t end_db = 0;  // selected behind it
    Offset judged = 0;        // what its record says
    bool multi_sent = false;
    bool is_full = false;
    bool joins_next = false;  // its last unit is inside a group
    bool flushes = false;
    std::int32_t swapped_with = -1;  // database that a SWAPDB exchanges with 0
    std::uint64_t queued = 0;        // replies to commands between MULTI and EXEC
    std::string error;               // the first of them that was an error
    std::optional<Cursor> refused;   // and whose it was
    TimePoint exec_at;
  };
  // guard: of a check of the ring. take_back: the last reply to what was sent.
  enum class Expect : std::uint8_t { ok, fence, guard, queued, exec, take_back, bare };
  struct Due {
    Expect what;
    std::uint32_t count;
  };

  // connection (serial_lane.cpp)
  Task<Error> connect();
  Task<Error> serve();
  Task<Error> write_loop();
  Task<Error> read_loop();
  Error catch_up_with(const std::optional<Record>& record);
  void disconnect();
  void forget_sent();

  // writing (serial_gather.cpp)
  void gather();
  void gather_open();
  void gather_unit(LaneBatch& batch, Unit& unit);
  void gather_multi();
  void gather_exec();
  void gather_prologue();
  void gather_take_back();
  void gather_guards();
  void gather_relief();
  bool may_execute() const;
  bool is_full() const;
  void expect(Expect what, std::uint32_t count);
  Bytes record_command() const;

  // answers (serial_judge.cpp)
  Error scan(ByteView bytes);
  Error on_reply();
  void on_queued(const std::string& error);
  Error on_element();
  Error on_exec_reply();
  void adapt_size(const Transaction& done);
  void refuse(const Transaction& transaction);
  Error overtaken();
  void take_back();
  void act_on_refusal();

  LaneBatch& batch_at(const Cursor& at) { return queue_[at.batch - first_batch_]; }
  bool settle_at(Cursor& at);
  void answer(const Unit& unit);
  void pop_finished();

  asio::any_io_executor executor_;
  const Options& options_;
  HostPort target_;
  Claim& claim_;
  SerialEvents& events_;
  Connection connection_;
  std::string client_id_;
  Signal wake_;
  bool connected_ = false;
  bool stopping_ = false;

  std::deque<LaneBatch> queue_;
  std::uint64_t first_batch_ = 0;
  Cursor judged_;  // first unit without a verdict
  Cursor write_;   // first unit not written
  std::uint64_t total_units_ = 0;
  Answered front_;  // of queue_.front()

  std::deque<Transaction> sent_;  // EXEC was written
  std::uint64_t sent_units_ = 0;  // of all of them
  Transaction open_;
  // What those of the last connection that had no verdict would have left selected, and where.
  std::vector<std::pair<Offset, std::int32_t>> unjudged_ends_;
  GuardRing ring_;
  std::optional<std::size_t> ring_at_;  // number of the last one sent that has one; unknown
  bool may_follow_ = false;             // ring_at_ is the last one sent, and was checked
  bool gather_prologue_next_ = false;
  bool fence_ok_ = false;     // the fence was ours after it was watched for the next EXEC
  bool taking_back_ = false;  // a transaction was refused: all behind it come back first
  bool take_back_sent_ = false;
  std::string refusal_;
  std::optional<Cursor> refused_at_;
  bool relief_wanted_ = false;
  TimePoint not_before_;
  Backoff backoff_{Millis(20), Millis(1000)};

  std::optional<Record> record_;  // offset: of the last verdict; judged, db: what may be written
  std::int32_t last_db_ = 0;      // selected at record_->offset
  Offset recorded_ = 0;           // `judged` of the record in the target
  Offset noted_ = 0;              // the stream has come to here
  std::int32_t noted_db_ = 0;
  bool checkpoint_due_ = false;

  std::int32_t selected_db_ = 0;
  WriteBuffer writing_;
  ReplyScanner scanner_;
  std::deque<Due> due_;
  bool select_seen_ = false;  // the element for the SELECT in front of the next unit
  std::uint64_t transaction_max_units_;
  std::int64_t fastest_exec_us_ = 0;  // about one round trip
  TimePoint verdict_at_;              // the last one
  TimePoint progress_;
  LaneStats stats_;
};

}  // namespace keyferry
