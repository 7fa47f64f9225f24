// A link whose source is a cluster: one pipeline per shard, each with its own records, lease and
// connections to the target, as if it were alone (pipeline.hpp). This one knows the whole: which
// shards there are and where their masters are now, which slot is whose (cluster/shards), when all
// have reached their goal, and their sum for the world. One thread; everything it starts ends with
// run().
//
// A slot that changes hands: the new owner's pipeline meets a key of it, and waits until all that
// the old one's stream holds for it is recorded at the target (wait_for_others). When the cluster
// says that the slot is the new one's, and that has happened once more, it is so in the table too.
#pragma once

#include <map>
#include <memory>

#include "keyferry/pipeline/comparison.hpp"
#include "keyferry/pipeline/pipeline.hpp"
#include "keyferry/pipeline/snapshot_turns.hpp"
#include "keyferry/pipeline/source_cluster.hpp"

namespace keyferry {

struct HandoverLink;

class ClusterLink {
 public:
  // Options and board outlive the link.
  ClusterLink(const asio::any_io_executor& executor, const Options& options, StatusBoard& board);

  // Set before run(); see Pipeline.
  std::function<std::uint16_t(const std::string& local_address)> announced_port;
  bool logs_progress = true;

  // The whole life of the link. No error: it ended as asked.
  Task<Error> run();

  // These only on the link's executor; as Pipeline's, for every shard.
  void stop();
  void drain();
  void abort();
  void pause();
  void resume();
  void change_limits(const RateChange& change);
  // As Pipeline's, for the cluster as a whole.
  bool cut_over(const CutoverRequest& request);
  bool verify(const VerifyPlan& plan);

  bool reached_goal() const { return reached_goal_; }
  bool is_forbidden() const;

 private:
  struct Shard {
    Shard(const asio::any_io_executor& executor, const Options& of_shard)
        : options(of_shard), changed(executor) {}
    std::size_t entry = 0;  // in the table
    Options options;        // its own: address, name in the records, part of the limits
    StatusBoard board;
    ShardRole role;
    Endpoint master;
    bool is_down = false;  // the cluster has nobody in its place
    std::unique_ptr<Pipeline> pipeline;
    int missed = 0;  // views in a row that did not have it
    bool is_leaving = false;
    bool has_ended = false;
    std::optional<TimePoint> doubted_at;  // a full sync was offered
    const Shard* waits_for = nullptr;
    Signal changed;
  };

  // the life of the link (cluster_link.cpp)
  Task<Error> open();
  Task<Error> open_target();
  std::string table_key() const { return claim_->keys().record + ":shards"; }
  Task<Error> report();
  Task<Error> run_shard(Shard& shard);
  Task<Error> end_leaving(Shard& shard);
  void finish(Error error);
  void settle_end();
  bool all_ready() const;
  void publish(TimePoint now);
  void log_progress(const Status& status, TimePoint now);

  // shards and slots (cluster_shards.cpp)
  Task<Error> follow();
  Task<Error> adopt_view();
  Task<void> leave_out_replicas(std::vector<ClusterShard>& seen);
  void start_shard(std::size_t entry, const ClusterShard& seen);
  Options options_of(const ShardTable::Entry& entry, const ClusterShard& seen) const;
  void move_shard(Shard& shard, const ClusterShard& seen);
  bool place_stream(Shard& shard, const ClusterShard& seen) const;
  void miss_shards(const std::vector<bool>& is_seen);
  bool may_full_sync(Shard& shard);
  bool take_turn(const Shard& shard, const std::string& host);
  Task<Error> save_table();
  void share_out();
  std::size_t entry_of(const ClusterShard& seen) const;
  Shard* shard_of(std::size_t entry);
  Task<Error> wait_for_others(Shard& shard, ShardSlots slots, TimePoint since);
  Task<Error> wait_for(Shard& shard, Shard& other, TimePoint since);
  Task<Error> wait_for_reading(Shard& other, TimePoint since, std::optional<Offset>& out);
  bool is_stuck(const Shard& shard) const;
  Task<Error> hand_over();
  Task<bool> have_recorded(std::vector<std::size_t> entries);

  // the cutover (cluster_switch.cpp)
  Task<Error> carry_over(CutoverRequest request);
  HandoverLink handover_link();
  Task<Error> judge_shape();
  std::string change_in(const ClusterView& view) const;

  // comparing both ends (cluster_verify.cpp)
  std::optional<Millis> verify_lag() const;
  Task<Error> heal_keys(const KeyList& keys);
  Shard* settled_owner(Slot slot);

  // slots whose order is not known (cluster_doubt.cpp)
  static constexpr const char* to_and_fro = "went from shard to shard and back unseen";
  Task<Error> doubt(ShardSlots slots, const char* why);
  Task<Error> take_import(Shard& shard, ShardSlots slots);
  Task<bool> is_cleared();
  Task<Error> settle_doubts();
  Task<Error> suspect_target(std::vector<Shard*> owners);
  Task<Error> suspect_target_db(std::vector<Shard*> owners, const Remap& remap, Endpoint node,
                                std::int32_t db);

  asio::any_io_executor executor_;
  const Options& options_;
  StatusBoard& board_;
  SourceCluster source_;
  TimePoint adopted_at_;  // when the view was read that the shards are of
  TargetNodes target_;
  std::unique_ptr<Claim> claim_;  // exactly once only: on the link as a whole, and its table
  ShardTable table_;
  SnapshotTurns turns_;
  ShardSlots healing_;         // of the doubtful ones: their keys have been made suspect
  std::uint64_t doubts_ = 0;   // grows when more is written to doubtful slots by others
  std::uint64_t touches_ = 0;  // grows when a shard writes to a slot that is not its own
  // A master that does not serve a doubtful slot has keys of it, since then.
  std::optional<TimePoint> unclear_since_;
  std::vector<std::unique_ptr<Shard>> shards_;
  RateChange changed_limits_;
  CutoverStatus cutover_;
  std::map<std::string, ShardSlots> handed_;  // by master's id: the shape when the cutover began
  Comparison comparison_;
  Scope scope_;
  Signal halt_;
  Signal look_;  // the shape of the source is wanted soon
  bool look_wanted_ = false;
  bool stopping_ = false;
  bool draining_ = false;
  bool paused_ = false;
  bool leaving_ = false;  // all were ready at once
  bool finished_ = false;
  bool reached_goal_ = false;
  Error result_;
  std::string last_error_;
  TimePoint began_;
  TimePoint logged_at_;
};

}  // namespace keyferry
