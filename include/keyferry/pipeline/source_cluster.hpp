// Asks the nodes of a source cluster who they are and how far they are: any node for the shape of
// the whole, each master for its stream's offset. Knows nothing of pipelines. Executor thread only.
#pragma once

#include <optional>

#include "keyferry/cluster/shards.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {

using DbKey = std::pair<std::int32_t, Bytes>;

// The databases of a node of any cluster that hold keys.
Task<Result<std::vector<std::int32_t>>> read_databases_of(TargetNodes& nodes, Endpoint node,
                                                          const EndOptions& options);
// The names of the keys of a slot at a node of any cluster, all of them, of every database.
Task<Result<std::vector<DbKey>>> read_keys_of(TargetNodes& nodes, Endpoint node, Slot slot,
                                              const EndOptions& options);

class SourceCluster {
 public:
  // Options outlive it.
  SourceCluster(const asio::any_io_executor& executor, const EndOptions& options);

  // Reads the shape from the first node that answers; an older one than is known does not count.
  // Errors: unreachable, refused_by_peer.
  Task<Error> refresh();
  const ClusterView& view() const { return view_; }
  // Nothing that happened before this is missing in the view.
  TimePoint viewed_at() const { return viewed_at_; }

  struct Reading {
    std::string replid;
    Offset offset = 0;
    bool is_master = false;
  };
  // How far the stream of `node` is, now or later than the call.
  Task<Result<Reading>> read_offset(Endpoint node);
  // Whether `node` itself says that it serves all of `slots`: others may not know yet, or no more.
  Task<bool> serves(Endpoint node, ShardSlots slots);
  // Those that have keys.
  Task<Result<std::vector<std::int32_t>>> read_databases(Endpoint node);
  // Those of `slots` that `node` has keys of, in whatever database.
  Task<Result<ShardSlots>> slots_with_keys(Endpoint node, ShardSlots slots);
  // The shape as `node` itself knows it now.
  Task<Result<ClusterView>> view_of(Endpoint node);
  Task<Result<std::vector<DbKey>>> read_keys(Endpoint node, Slot slot);
  void close();

 private:
  Task<Error> read_view(Endpoint node);

  const EndOptions& options_;
  TargetNodes nodes_;  // of either kind: they keep connections, and take turns
  TargetNodes readers_;
  ClusterView view_;
  TimePoint viewed_at_;
};

}  // namespace keyferry
