#include "keyferry/pipeline/snapshot_turns.hpp"

#include <algorithm>

namespace keyferry {

bool SnapshotTurns::take(std::size_t shard, const std::string& host, bool must) {
  const auto held = hosts_.find(shard);
  if (held != hosts_.end() && held->second == host) return true;
  give_back(shard);
  const auto taken = std::count_if(hosts_.begin(), hosts_.end(),
                                   [&](const auto& one) { return one.second == host; });
  if (per_host_ > 0 && taken >= per_host_ && !must) return false;
  hosts_[shard] = host;
  return true;
}

}  // namespace keyferry
