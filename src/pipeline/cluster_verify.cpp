// ClusterLink: comparing both ends inside the running link. A key to be repaired is healed by the
// shard that its slot belongs to.
#include <algorithm>

#include "keyferry/command/keys.hpp"
#include "keyferry/pipeline/cluster_link.hpp"
#include "keyferry/source/key_list.hpp"

namespace keyferry {
namespace {

constexpr Millis owner_poll_interval{100};
// How long the repair of a key waits for its slot to come to rest.
constexpr std::int64_t owner_wait_ms = 30'000;

}  // namespace

bool ClusterLink::verify(const VerifyPlan& plan) {
  const bool is_ending = finished_ || stopping_ || leaving_;
  const bool is_streaming = std::all_of(shards_.begin(), shards_.end(), [](const auto& shard) {
    return shard->has_ended || shard->board.read()->is_streaming;
  });
  if (is_ending || shards_.empty() || !is_streaming || comparison_.is_running()) return false;
  comparison_.begin(plan);
  scope_.spawn(comparison_.run());
  return true;
}

// Of the one that is furthest behind.
std::optional<Millis> ClusterLink::verify_lag() const {
  if (table_.doubtful.any()) return std::nullopt;
  Millis most{0};
  for (const auto& shard : shards_) {
    if (shard->has_ended) continue;
    const auto lag = shard->pipeline->verify_lag();
    if (!lag) return std::nullopt;
    most = std::max(most, *lag);
  }
  return most;
}

// While a slot is on the move nobody can copy its keys at a known offset.
ClusterLink::Shard* ClusterLink::settled_owner(Slot slot) {
  for (const auto& shard : shards_) {
    const SharedTarget& target = shard->role.target;
    if (shard->has_ended || shard->is_leaving || !target.slots[slot]) continue;
    return target.contested[slot] ? nullptr : shard.get();
  }
  return nullptr;
}

Task<Error> ClusterLink::heal_keys(const KeyList& keys) {
  if (!claim_) co_return Error(Errc::usage, "a link repairs with delivery.mode exactly_once only");
  std::vector<std::size_t> left(keys.size());
  for (std::size_t i = 0; i < left.size(); ++i)
    left[i] = i;
  const TimePoint begin = Clock::now();
  while (!left.empty() && !finished_ && elapsed_ms(begin, Clock::now()) < owner_wait_ms) {
    std::map<Shard*, KeyList> parts;
    std::vector<std::size_t> later;
    for (const std::size_t i : left) {
      Shard* const owner = settled_owner(slot_of(keys.name(i)));
      if (owner == nullptr) {
        later.push_back(i);
      } else {
        parts[owner].add(keys.name(i), keys[i]);
      }
    }
    for (const auto& [owner, part] : parts) {
      Error error = co_await owner->pipeline->heal_keys(part);
      if (error) co_return error;
    }
    left = std::move(later);
    if (!left.empty()) co_await halt_.wait_for(owner_poll_interval);
  }
  co_return Error();
}

}  // namespace keyferry
