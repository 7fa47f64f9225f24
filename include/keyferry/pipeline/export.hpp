// A link whose target is a file: from one server or files to FileSink. The same phases, status and
// ways to end it as Pipeline, without what only a target that answers needs: lanes, records,
// healing, cutover. One thread; everything it starts ends with run(). With a role it is one of
// several into the same files (cluster_export), which owns the sink then.
#pragma once

#include "keyferry/checkpoint/lag.hpp"
#include "keyferry/pipeline/export_role.hpp"
#include "keyferry/pipeline/held_slots.hpp"
#include "keyferry/pipeline/observer.hpp"
#include "keyferry/pipeline/snapshot_rules.hpp"
#include "keyferry/pipeline/status.hpp"
#include "keyferry/pipeline/status_parts.hpp"
#include "keyferry/rdb/rdb_reader.hpp"
#include "keyferry/sink/file_sink.hpp"
#include "keyferry/source/file_source.hpp"
#include "keyferry/source/stream_decoder.hpp"

namespace keyferry {

class Export {
 public:
  // Options, board and role outlive it.
  Export(const asio::any_io_executor& executor, const Options& options, StatusBoard& board,
         ExportRole* role = nullptr);

  // As of Pipeline.
  std::function<std::uint16_t(const std::string& local_address)> announced_port;
  bool logs_progress = true;
  Task<Error> run();
  void stop();
  void drain();
  void abort();
  void pause();
  void resume();
  bool cut_over(const CutoverRequest&) { return false; }
  bool reached_goal() const { return reached_goal_; }

  // --- for whoever gave it a role
  // Ends at once.
  void leave() { finish(Error()); }
  void reconnect_source();
  // It ended while commands waited for other shards: they are not in the files.
  bool has_left_out() const { return has_left_out_; }
  // The sink has written or synced something.
  void note_written() { on_progress(); }
  const std::string& replid() const { return source_.replid; }
  // All that was done to these slots up to there is in the files, or about to be.
  bool has_taken(Offset offset, const ShardSlots& slots) const {
    return in_stream_ && feed_.taken >= offset && !held_.holds_before(slots, offset);
  }

 private:
  // Some commands that stay together: one, or a whole transaction.
  struct Piece {
    std::size_t last = 0;  // index in the batch
    std::optional<Slot> slot;
    bool is_mixed = false;      // of several slots
    bool must_wait = false;     // for other shards
    bool is_left_over = false;  // of what another shard has now
  };

  Task<Error> open_ends();
  Error compile_rules();
  Error judge_refusals(const Batch& batch);
  Error take_batch(Batch& batch);
  Task<Error> follow_source();
  Task<Error> decode();
  Task<Error> take_item(Intake::Item& item);
  Task<Error> begin_snapshot(Intake::FullSync full_sync);
  Task<Error> decode_snapshot(const Intake::Chunk& chunk);
  Task<Error> end_snapshot(TimePoint received);
  Task<Error> decode_stream(SlabRef slab, ByteView bytes, TimePoint received);
  // export_role.cpp
  bool wants_key(const rdb::Event& key);
  bool is_stray(const rdb::Event& event);
  Piece judge_piece(const Batch& batch, std::size_t first);
  void judge_command(const Batch& batch, const Command& command, Piece& piece);
  Task<Error> hold_back(Batch& batch);
  Task<Error> release(Slot slot);
  Error judge_commands(const Batch& batch);
  Error begin_anew(const std::string& why);
  Task<Error> end_part();

  Error begin_file();
  Error end_files();
  Task<Error> sync();
  void on_progress();
  void check_goal(TimePoint now);
  void finish_received();
  Task<Error> drain_received();
  void finish(Error error);

  // export_report.cpp
  Task<Error> report();
  Phase phase() const;
  void publish(TimePoint now);
  void log_progress(TimePoint now);

  asio::any_io_executor executor_;
  const Options& options_;
  StatusBoard& board_;
  SlabBudget budget_;  // before everything that holds slabs
  Spool spool_;
  Intake intake_;
  PsyncState source_;
  Psync psync_;
  std::optional<FileSource> file_;  // instead of psync_ and observer_
  Observer observer_;
  ExportRole* const role_;
  std::optional<FileSink> own_sink_;  // without a role
  FileSink& sink_;
  FileFeed& feed_;
  StreamDecoder decoder_;
  LagMeter lag_;
  Scope scope_;
  Signal halt_;
  Signal resumed_;
  HeldSlots held_;  // with a role
  FileTurn own_turn_;
  FileTurn& turn_;

  Transform transform_;
  SnapshotRules rules_{options_, transform_};
  std::uint64_t doubts_ = 0;

  std::unique_ptr<rdb::RdbReader> reader_;
  ByteWindow window_;
  Intake::FullSync full_sync_;
  bool snapshot_ended_ = false;
  std::int32_t stream_db_ = 0;
  std::uint64_t keys_total_ = 0;
  std::uint64_t keys_before_ = 0;
  std::uint64_t foreign_keys_ = 0;
  bool in_stray_ = false;  // the parts that come are of a key that is not the shard's
  TimePoint snapshot_began_;
  TimePoint oldest_unwritten_;

  bool in_snapshot_ = false;
  bool in_stream_ = false;
  bool caught_up_ = false;
  bool is_decoding_ = false;
  bool paused_ = false;
  bool draining_ = false;
  bool drain_wanted_ = false;
  bool finished_ = false;
  bool reached_goal_ = false;
  bool has_left_out_ = false;
  Error result_;

  TimePoint began_;
  Throughput throughput_;
  TimePoint logged_at_;
  bool has_logged_ = false;
};

}  // namespace keyferry
