// source.max_parallel_snapshots: which shards of a link may have a full sync at the moment. A full
// sync costs the node a fork and memory, so what counts is how many nodes of one host make one.
// Pure; whoever is refused asks again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace keyferry {

class SnapshotTurns {
 public:
  // 0: as many as there are.
  explicit SnapshotTurns(std::int64_t per_host) : per_host_(per_host) {}

  // True when the shard has the turn at this host, from now on or already. `must`: whatever the
  // count. A turn at another host is given back.
  bool take(std::size_t shard, const std::string& host, bool must);
  void give_back(std::size_t shard) { hosts_.erase(shard); }

 private:
  std::int64_t per_host_;
  std::map<std::size_t, std::string> hosts_;  // of the shards that have a turn
};

}  // namespace keyferry
