#include "keyferry/checkpoint/suspects.hpp"

#include <optional>

#include "keyferry/command/keys.hpp"

namespace keyferry {
namespace {

// A map node with its key, about; names longer than the string's own room come on top.
constexpr std::size_t node_bytes = 96;

std::size_t weight(ByteView key) {
  return node_bytes + key.size();
}

}  // namespace

void Suspects::add(std::int32_t db, ByteView key) {
  const auto [at, fresh] = keys_.try_emplace(Key(db, key), State::suspect);
  if (!fresh) {
    if (at->second == State::healing) ++waiting_;
    at->second = State::suspect;
    return;
  }
  if (bytes_ + weight(key) > max_bytes_) {
    overflowed_ = true;
    keys_.erase(at);
    return;
  }
  bytes_ += weight(key);
  ++waiting_;
}

bool Suspects::contains(std::int32_t db, ByteView key) const {
  return keys_.contains(Key(db, key));
}

std::vector<Suspects::Key> Suspects::take(std::size_t most) {
  std::vector<Key> taken;
  if (waiting_ == 0) return taken;
  for (auto& [key, state] : keys_) {
    if (state != State::suspect) continue;
    state = State::healing;
    --waiting_;
    taken.push_back(key);
    if (taken.size() == most) break;
  }
  return taken;
}

std::vector<Suspects::Key> Suspects::take_of_one_slot(std::size_t most) {
  constexpr std::size_t looked_at_max = 4096;
  std::vector<Key> taken;
  std::optional<Slot> slot;
  std::size_t looked_at = 0;
  for (auto at = keys_.begin(); at != keys_.end() && taken.size() < most && waiting_ > 0; ++at) {
    if (at->second != State::suspect) continue;
    if (slot && ++looked_at > looked_at_max) break;
    const Slot of_key = slot_of(at->first.second);
    if (slot && *slot != of_key) continue;
    slot = of_key;
    at->second = State::healing;
    --waiting_;
    taken.push_back(at->first);
  }
  return taken;
}

void Suspects::give_back(const std::vector<Key>& keys) {
  for (const Key& key : keys) {
    const auto at = keys_.find(key);
    if (at == keys_.end() || at->second != State::healing) continue;
    at->second = State::suspect;
    ++waiting_;
  }
}

bool Suspects::healed(std::int32_t db, ByteView key) {
  const auto at = keys_.find(Key(db, key));
  if (at == keys_.end() || at->second != State::healing) return false;
  bytes_ -= weight(key);
  keys_.erase(at);
  return true;
}

void Suspects::clear() {
  keys_.clear();
  waiting_ = bytes_ = 0;
  overflowed_ = false;
}

}  // namespace keyferry
