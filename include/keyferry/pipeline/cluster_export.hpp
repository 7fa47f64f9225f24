// A link from a whole cluster into the same files: one Export per shard (export.hpp), whose
// snapshots are read one after the other and whose streams follow together. This one owns the sink,
// follows the shape of the source and keeps the order of what shards did to the same key.
//
// While snapshots are read, no slot may move: a key could be in two of them, or in none. When that,
// or anything else that files cannot follow happens (a full sync of one shard, a flush of one
// master, a master that joins or leaves), a round ends, and the next one writes everything anew, in
// the way that the format of the file has for another full sync. Within a round every shard of the
// table has a stream, from the first to the last command. One thread; everything it starts ends
// with run().
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "keyferry/pipeline/export.hpp"
#include "keyferry/pipeline/source_cluster.hpp"

namespace keyferry {

class ClusterExport {
 public:
  // Options and board outlive it.
  ClusterExport(const asio::any_io_executor& executor, const Options& options, StatusBoard& board);

  // As of Export.
  std::function<std::uint16_t(const std::string& local_address)> announced_port;
  bool logs_progress = true;
  Task<Error> run();
  void stop();
  void drain();
  void abort();
  void pause();
  void resume();
  bool reached_goal() const { return reached_goal_; }

 private:
  struct Shard {
    explicit Shard(Options of_shard) : options(std::move(of_shard)) {}
    std::size_t entry = 0;  // in the table
    Options options;        // its own: address, part of the limits
    StatusBoard board;
    ExportRole role;
    Endpoint master;
    std::unique_ptr<Export> link;  // none while its snapshot waits for those before
    bool has_snapshot = false;
    bool has_ended = false;
    int missed = 0;                       // views in a row that did not have it
    std::optional<TimePoint> doubted_at;  // a full sync was offered
  };

  // the rounds (cluster_export.cpp)
  Task<Error> play_rounds();
  Task<Error> play_round();
  Error judge_renewal();
  Task<Error> end_link(Error error);
  Task<Error> read_snapshots();
  Task<Error> run_shard(Shard& shard);
  Task<Error> await_streams(Shard& shard);
  Task<Error> sync();
  Error judge_end() const;
  Task<Error> judge_moves();
  void settle_end();
  void end_round();
  void begin_anew(const std::string& why);
  void fail(Error error);
  bool all_ready() const;
  Task<Error> report();
  void publish(TimePoint now);

  // the shape of the source (cluster_export_shape.cpp)
  Task<Error> begin_shape();
  Task<Error> read_settled();
  bool is_as_known() const;
  Shard& add_shard(const ClusterShard& seen);
  void begin_shard(Shard& shard);
  Options options_of(const ClusterShard& seen, std::size_t count) const;
  Task<Error> follow();
  Task<Error> adopt_view();
  enum class Self { unknown, master, replica };
  Task<Self> ask_role(Endpoint node);
  Task<void> judge_join(ClusterShard seen);
  void move_shard(Shard& shard, const ClusterShard& seen);
  void miss_shards(const std::vector<bool>& is_seen);
  Task<Error> hand_over();
  Task<Error> settle_goal();
  void share_out();
  Task<bool> have_taken(std::size_t entry, ShardSlots slots);
  Task<Error> wait_for_others(Shard& shard, Slot slot);
  Task<Error> read_end(Shard& other, Offset& end);
  Task<Error> wait_for(Shard& other, Offset end, ShardSlots slots);
  bool is_over_for(const Shard& other, TimePoint since) const;

  asio::any_io_executor executor_;
  const Options& options_;
  StatusBoard& board_;
  SourceCluster source_;
  ShardTable table_;  // of this round
  std::uint64_t epoch_ = 0;
  FileSink sink_;
  FileTurn turn_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::shared_ptr<SnapshotRules::Names> names_;
  std::unique_ptr<Scope> round_;
  Scope scope_;
  Signal step_;  // something that is waited for here has changed
  Signal look_;  // the shape is wanted soon
  bool look_wanted_ = false;
  std::deque<TimePoint> rounds_;  // that began within the last hour
  std::uint64_t rounds_begun_ = 0;
  std::string renewal_;     // why another round is wanted
  std::string incomplete_;  // the same, until that round's snapshots are in the file
  bool has_file_ = false;   // of any round
  std::map<std::string, TimePoint> joined_;  // masters without slots or stream, since when
  bool is_streaming_ = false;                // all snapshots are in the file
  bool leaving_ = false;                     // all were ready at once
  bool told_waiting_ = false;
  bool round_over_ = false;
  bool stopping_ = false;
  bool draining_ = false;
  bool paused_ = false;
  bool finished_ = false;
  bool reached_goal_ = false;
  Error result_;
  std::string last_error_;
  TimePoint began_;
  TimePoint logged_at_;
};

}  // namespace keyferry
