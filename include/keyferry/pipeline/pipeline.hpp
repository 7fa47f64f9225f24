// One link, from one standalone source to one target: the story of the program. Wires psync ->
// intake -> decoder -> sink, keeps the phases, decides when to stop and with which error. One
// thread; everything it starts ends with run().
//
// Phases: connecting -> handshake -> snapshot -> catch_up -> steady; connecting again while the
// source is away; paused from any of these until resumed; draining when asked to stop; stopped or
// failed at the end.
#pragma once

#include <map>

#include "keyferry/base/rate.hpp"
#include "keyferry/checkpoint/lag.hpp"
#include "keyferry/pipeline/comparison.hpp"
#include "keyferry/pipeline/observer.hpp"
#include "keyferry/pipeline/shard_role.hpp"
#include "keyferry/pipeline/snapshot_rules.hpp"
#include "keyferry/pipeline/status.hpp"
#include "keyferry/pipeline/status_parts.hpp"
#include "keyferry/rdb/rdb_reader.hpp"
#include "keyferry/sink/redis_sink.hpp"
#include "keyferry/source/file_source.hpp"
#include "keyferry/source/key_copier.hpp"
#include "keyferry/source/psync.hpp"
#include "keyferry/source/stream_decoder.hpp"
#include "keyferry/transform/transform.hpp"

namespace keyferry {

struct HandoverSource;
class KeyList;

class Pipeline {
 public:
  // Options and board outlive the pipeline.
  Pipeline(const asio::any_io_executor& executor, const Options& options, StatusBoard& board);
  ~Pipeline();

  // Which port to announce over a link whose own address is given; 0 = none. Set before run().
  std::function<std::uint16_t(const std::string& local_address)> announced_port;

  // One of several of a link; nullptr: the only one. Set before run().
  ShardRole* role = nullptr;

  // Progress as log lines: the first, every 5 s, the last. Off where a live line shows it.
  bool logs_progress = true;

  // The whole life of the link. No error: it ended as asked.
  Task<Error> run();

  // These only on the pipeline's executor.
  void stop();    // apply what has been received, then end
  void drain();   // end when lag reaches zero
  void abort();   // end now; what is not acknowledged stays undone
  void pause();   // apply nothing more, but go on receiving into memory and spool
  void resume();  // also done by stop and drain
  void resync();  // copy everything again, by a full sync now

  void change_limits(const RateChange& change);

  // Hands over to the target: holds back the source's writes, waits until the target has
  // everything, fences the source, ends. False when the link is in no state for it; the outcome is
  // in the status.
  bool cut_over(const CutoverRequest& request);
  // Of several, the link hands over: what this one is in it, and the end behind the fence, where
  // nothing more is applied.
  HandoverSource handover_source();
  void end_handed_over();

  // Compares both ends while the stream goes on, and repairs through it. False when the link is in
  // no state for it; the outcome is in the status.
  bool verify(const VerifyPlan& plan);
  // Of several, the link compares: how far this one is behind, and keys of its slots that are to be
  // healed. Returns when they are, or cannot be for a long time.
  std::optional<Millis> verify_lag() const;
  Task<Error> heal_keys(const KeyList& keys);

  // The source is elsewhere now: every connection to it is made anew.
  void reconnect_source();
  // Whether everything up to `offset` of the stream is at the target and no start will carry it out
  // again. When not, it is brought about.
  bool has_recorded(Offset offset);
  const std::string& replid() const { return source_.replid; }
  // The key's value at the target may be anything: it is copied again. False: there is no room, or
  // nothing is exactly once.
  bool suspect(std::int32_t db, ByteView key);
  bool has_suspects() { return !sink_.suspects().empty(); }

  // Why run() returned: true when a stop condition of the options ended it.
  bool reached_goal() const { return reached_goal_; }
  // Why run() returned: the source does not let itself be replicated.
  bool is_forbidden() const { return source_.is_forbidden; }

 private:
  // the life of the link (pipeline.cpp)
  Task<Error> open_ends();
  Task<Error> measure_clocks();
  Task<Error> decode();
  Task<void> wait_for_leave();
  Task<Error> follow_source();
  Task<Error> carry_out();
  Task<Error> drain_received();
  void finish(Error error);
  void finish_received();
  void on_progress();
  void check_goal(TimePoint now);

  // the snapshot (snapshot.cpp)
  Task<Error> begin_snapshot(Intake::FullSync full_sync);
  Task<Error> decode_snapshot(const Intake::Chunk& chunk);
  Task<Error> take_event(const rdb::Event& event);
  Task<Error> end_snapshot(TimePoint now);
  Task<Error> decode_stream(SlabRef slab, ByteView bytes, TimePoint received);

  // a source that is a file (from_file.cpp)
  Task<Error> open_files();
  Error begin_file();
  Error end_files();
  void give_up_suspects();
  bool puts_off_expiry() const { return file_ && file_->files().is_append_only; }
  void put_off_expiries(Batch& batch);
  Task<void> settle_expiries();
  Error place(Error error) const;

  // one of several (shard_role.cpp)
  bool is_shard() const { return role != nullptr && role->target.by_slots; }
  Task<Error> meet_imports(const Batch& batch);
  ShardSlots foreign_slots(const Batch& batch);
  Task<Error> enter_slots(ShardSlots slots, TimePoint since);
  bool meets_foreign_slot(const rdb::Event& event);
  Task<Error> enter_slot_of(const rdb::Event& event);
  bool may_end(bool reached);

  // filter, mapping and script (rules.cpp)
  Error compile_rules();
  Error judge_rules() const;

  // rate limits (limits.cpp)
  bool is_limited() const { return ops_limit_.is_set() || bytes_limit_.is_set(); }
  void spend_target(std::int64_t ops, std::size_t bytes);
  Task<void> wait_for_share();
  Millis source_wait(std::size_t bytes);
  Task<Error> decode_limited(const Intake::Chunk& chunk);

  // going on where the target is, and healing (resume.cpp)
  Task<Error> open_kept_stream();
  void enter_history(const std::string& replid);
  void tell_backlog();
  void resume_at(const Record& record);
  Task<Error> begin_stream(Intake::FullSync start);
  void on_lost(std::optional<Record> found);
  bool is_our_past(const std::string& replid) const;
  bool can_resync() const;
  Error judge_resync();
  Task<Error> heal();
  Task<void> close_gate();
  void open_gate();
  bool is_late(Offset from);
  Task<void> hand_back();
  // a source that failed over below what was received (fork.cpp)
  Task<std::optional<Offset>> meet_history(Bytes info);
  bool is_all_applied() const;
  bool go_back_to(Offset fork);
  // the cutover (switch.cpp)
  Task<Error> carry_over(CutoverRequest request);

  // what the world sees (report.cpp)
  Task<Error> report();
  Phase phase() const;
  void publish(TimePoint now);
  void log_progress(TimePoint now);

  asio::any_io_executor executor_;
  const Options& options_;
  StatusBoard& board_;
  SlabBudget budget_;  // before everything that holds slabs
  Spool spool_;
  Watermark watermark_;
  Intake intake_;
  std::unique_ptr<KeptStream> kept_;  // where spool.dir is given
  PsyncState source_;
  Psync psync_;
  std::optional<FileSource> file_;  // instead of psync_, observer_ and copier_
  Observer observer_;
  RedisSink sink_;
  KeyCopier copier_;
  StreamDecoder decoder_;
  LagMeter lag_;
  Scope scope_;
  Signal halt_;
  Signal resumed_;

  // snapshot being decoded
  std::unique_ptr<rdb::RdbReader> reader_;
  ByteWindow window_;
  Intake::FullSync full_sync_;
  bool snapshot_ended_ = false;  // EOF and checksum were read; only the mark is missing
  std::int32_t stream_db_ = 0;   // selected when the stream begins
  std::uint64_t keys_total_ = 0;
  std::uint64_t keys_before_ = 0;  // sink keys when this snapshot began
  TimePoint snapshot_began_;

  ShardSlots entered_;                   // of the snapshot: others' writes to them are done
  std::map<Bytes, ShardSlots> imports_;  // of whole slots, under way
  bool left_behind_ = false;             // what is left waits for another shard, which has ended

  std::uint64_t expired_keys_ = 0;  // of a file: gone here before their expiry was put off

  RateLimit ops_limit_;  // to the target
  RateLimit bytes_limit_;
  RateLimit source_limit_;

  // the rules
  Transform transform_;
  SnapshotRules rules_{options_, transform_};
  std::uint64_t doubts_ = 0;

  // going on where the target is
  std::optional<Record> resume_;        // what the stream will begin from
  bool probing_ = false;                // a further point is asked for first
  std::vector<std::string> histories_;  // names that the stream has had, the present one last
  int readings_in_stream_ = 0;
  bool was_lost_ = false;              // the target lost what it had: a full sync follows
  bool resync_asked_ = false;          // by resync(): limits of what happens by itself do not count
  std::vector<TimePoint> full_syncs_;  // begun within the last hour, but for the first
  bool gate_closed_ = false;  // nothing is decoded: keys are being copied at a known offset
  Signal gate_;
  std::deque<std::pair<Offset, TimePoint>> readings_;  // of the source's offset, oldest first

  bool in_snapshot_ = false;
  bool in_stream_ = false;
  bool caught_up_ = false;
  bool has_item_ = false;     // between pop and the hand-over of all of it to the sink
  bool is_decoding_ = false;  // the same, but for where it waits: paused, for copies, for its share
  bool paused_ = false;
  CutoverStatus cutover_;
  Comparison comparison_;
  bool draining_ = false;  // received bytes are being applied, then the end
  bool drain_wanted_ = false;
  bool finished_ = false;
  bool reached_goal_ = false;
  Error result_;
  std::optional<Offset> getack_at_;
  std::optional<TimePoint> low_lag_since_;

  std::optional<std::int64_t> clock_skew_ms_;
  TimePoint began_;
  LatencyHistogram latency_;
  Throughput throughput_;
  TimePoint logged_at_;
  bool has_logged_ = false;
};

}  // namespace keyferry
