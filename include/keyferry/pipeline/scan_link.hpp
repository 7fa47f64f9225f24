// A link to a source that does not let itself be replicated (source.mode scan): copies what is
// there by SCAN and DUMP, follows it by keyspace events, and converges: when writes stop, the
// target becomes equal. The counterpart of pipeline.hpp, with the same outside. One thread;
// everything it starts ends with run().
//
// Phases: connecting -> handshake -> snapshot (the first pass) -> catch_up -> steady; catch_up
// again while a later pass is under way.
//
// Lag: every change that is announced gets a number, and so does every reading, taken when all
// nodes have told what happened up to then. A reading is reached when all smaller numbers have been
// applied; the lag meter and "synced" are the stream's, with numbers for offsets.
#pragma once

#include <memory>
#include <vector>

#include "keyferry/checkpoint/lag.hpp"
#include "keyferry/pipeline/scan_node.hpp"
#include "keyferry/pipeline/status.hpp"
#include "keyferry/pipeline/status_parts.hpp"
#include "keyferry/pipeline/target_sweep.hpp"

namespace keyferry {

class ScanLink {
 public:
  // Options and board outlive the link.
  ScanLink(const asio::any_io_executor& executor, const Options& options, StatusBoard& board);

  bool logs_progress = true;

  // The whole life of the link. No error: it ended as asked.
  Task<Error> run();

  // These only on the link's executor; as Pipeline's.
  void stop();
  void drain();
  void abort();
  void pause();
  void resume();
  void change_limits(const RateChange& change) { common_.rules.change_limits(change); }

  bool reached_goal() const { return reached_goal_; }

 private:
  // the life of the link (scan_link.cpp)
  Task<Error> open_ends();
  Task<Error> open_source();
  Task<Error> look_at_share();
  Task<Error> carry_out();
  Task<Error> steer();
  Task<Error> decide();
  Task<Error> prepare_nodes();
  Task<Error> round(bool& is_read);
  Task<Error> after_first_pass();
  Task<Error> copy_functions();
  Task<Error> drain_received();
  Task<Error> follow(Task<Error> work);
  void finish(Error error);
  void finish_received();
  void advance();
  Task<Error> check_goal();
  Task<Error> confirm_events();
  bool is_settled() const;
  bool is_urgent() const;
  // the source's nodes, and keys that are elsewhere (scan_nodes.cpp)
  Task<Error> find_places(std::vector<ScanNode::Place>& places);
  Task<Error> ask_slots(Connection& connection, std::vector<ScanNode::Place>& places);
  void read_replicas(const RespValue& slots, const std::string& asked,
                     std::vector<ScanNode::Place>& places) const;
  Task<Error> refresh_nodes();
  Task<Error> start_node(ScanNode::Place place);
  ScanNode* node_of(ByteView key);
  ScanNode* node_at(const Endpoint& endpoint);
  void on_moved(const ReadKey& key, ByteView where);
  void hand_over_moved();
  Task<Error> sweep();
  // what the world sees (scan_nodes.cpp)
  Task<Error> report();
  Phase phase() const;
  void publish(TimePoint now);
  void describe_progress(Status& status) const;
  void log_progress(TimePoint now);

  struct Moved {
    DirtyKey key;
    Endpoint node;
    bool asking = false;
  };

  asio::any_io_executor executor_;
  Options options_;  // ours: some of them mean something else here
  const Options& given_;
  StatusBoard& board_;
  Watermark watermark_;
  RedisSink sink_;
  ScanCommon common_;
  LagMeter lag_;
  Scope scope_;
  Signal halt_;
  std::vector<std::unique_ptr<ScanNode>> nodes_;
  SlotMap source_map_;
  bool is_cluster_ = false;
  TargetSweep sweep_;
  std::vector<Moved> moved_;
  bool refresh_wanted_ = false;
  TimePoint refreshed_;
  TimePoint reconciled_;

  Offset position_ = 0;
  bool opened_ = false;
  bool share_was_empty_ = false;
  bool in_snapshot_ = true;
  bool sweeping_ = false;
  bool caught_up_ = false;
  bool draining_ = false;
  bool drain_wanted_ = false;
  bool finished_ = false;
  bool reached_goal_ = false;
  Error result_;
  std::string last_error_;

  bool is_proven_ = false;  // events arrive
  // Behind the last change that a probe's event, or quiet, vouches for; 0: not asked yet.
  Offset confirmed_ = 0;
  std::uint64_t events_seen_ = 0;
  TimePoint quiet_since_;
  bool functions_wanted_ = true;
  TimePoint healthy_;  // when every node could last be looked at
  TimePoint began_;
  Throughput throughput_;
  TimePoint logged_at_;
};

}  // namespace keyferry
