// What a pipeline that is one of several of a link has to ask about the others: each reads one
// shard of the source (cluster_link), or a source of its own (several_sources). Belongs to the
// link; outlives the pipeline. Executor thread only.
#pragma once

#include <functional>
#include <optional>

#include "keyferry/base/error.hpp"
#include "keyferry/cluster/shards.hpp"
#include "keyferry/config/uri.hpp"
#include "keyferry/net/task.hpp"
#include "keyferry/sink/shared_target.hpp"
#include "keyferry/sink/topology.hpp"
#include "keyferry/source/psync.hpp"

namespace keyferry {

struct ShardRole {
  // What is the pipeline's own in the target; changed by the link.
  SharedTarget target;
  // The replica to read the stream from, instead of the master; changed by the link.
  std::optional<HostPort> replica;
  // Told by the pipeline at each reading: its own goal is reached.
  bool is_ready = false;
  // Whether all have reached theirs: then it may end.
  std::function<bool()> may_end;

  // Of a shard only (target.by_slots). Whether the node that offers a full sync is the shard's
  // master.
  std::function<bool()> may_full_sync;
  // Full syncs of the shards wait for each other.
  FullSyncTurn turn;
  // Returns when all that the other shards wrote to these slots before `since` is at the target and
  // recorded there. Errc::cancelled: that will not come any more.
  std::function<Task<Error>(ShardSlots slots, TimePoint since)> wait_for_others;
  // Keys of these slots come with the stream by another way than one after the other; none: of
  // slots that nobody named. Returns when it is written down that all of them are copied anew.
  std::function<Task<Error>(ShardSlots slots)> take_import;

  // Of a source of its own only. Whether it may be one of them, as it was found when the pipeline
  // began.
  std::function<Error(const ServerIdentity& source)> admit;
  // Another full sync is offered, for which the target would have to be emptied: nothing more is to
  // be done with it, for this reason.
  std::function<Error()> begin_anew;
};

}  // namespace keyferry
