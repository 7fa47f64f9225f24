#include "keyferry/checkpoint/suspects.hpp"

#include <algorithm>
#include <optional>

#include "keyferry/command/keys.hpp"

namespace keyferry {
namespace {

// A map node with its key, about; names longer than the string's own room come on top.
constexpr std::size_t node_bytes = 128;

std::size_t weight(ByteView key) {
  return node_bytes + key.size();
}

}  // namespace

void Suspects::add(std::int32_t db, ByteView key, Offset behind, Offset since) {
  const auto [at, is_fresh] = keys_.try_emplace(Key(db, key));
  Entry& entry = at->second;
  if (!is_fresh) {
    if (entry.is_healing) {
      // The copy that is asked for is made no earlier than where the stream has come to.
      if (behind != whenever && behind <= entry.covers) return;
      entry.is_healing = false;
      entry.again = since;
      ++waiting_;
    }
    entry.again = std::min(entry.again, since);
    change_since(entry, std::min(entry.since, since));
    return;
  }
  if (bytes_ + weight(key) > max_bytes_) {
    overflowed_ = true;
    keys_.erase(at);
    return;
  }
  bytes_ += weight(key);
  ++waiting_;
  entry.since = entry.again = since;
  ++since_[since];
}

bool Suspects::contains(std::int32_t db, ByteView key) const {
  return keys_.contains(Key(db, key));
}

void Suspects::take_one(Entries::iterator at, std::vector<Key>& taken) {
  at->second.is_healing = true;
  at->second.covers = whenever;
  --waiting_;
  taken.push_back(at->first);
}

// Goes round, so that no key waits for others that become suspect again and again.
std::vector<Suspects::Key> Suspects::take(std::size_t most) {
  std::vector<Key> taken;
  auto at = keys_.lower_bound(next_);
  for (std::size_t looked_at = 0; looked_at < keys_.size() && waiting_ > 0; ++looked_at) {
    if (at == keys_.end()) at = keys_.begin();
    if (taken.size() == most) break;
    if (!at->second.is_healing) take_one(at, taken);
    ++at;
  }
  next_ = at == keys_.end() ? Key() : at->first;
  return taken;
}

std::vector<Suspects::Key> Suspects::take_of_one_slot(std::size_t most) {
  constexpr std::size_t looked_at_max = 4096;
  std::vector<Key> taken;
  std::optional<Slot> slot;
  std::size_t behind_first = 0;
  auto at = keys_.lower_bound(next_);
  for (std::size_t looked_at = 0; looked_at < keys_.size() && taken.size() < most && waiting_ > 0;
       ++looked_at, ++at) {
    if (at == keys_.end()) at = keys_.begin();
    if (at->second.is_healing) continue;
    if (slot && ++behind_first > looked_at_max) break;
    const Slot of_key = slot_of(at->first.second);
    if (slot && *slot != of_key) continue;
    if (!slot) next_ = Key(at->first.first, at->first.second + '\0');  // the one behind it
    slot = of_key;
    take_one(at, taken);
  }
  return taken;
}

void Suspects::give_back(const std::vector<Key>& keys) {
  for (const Key& key : keys) {
    const auto at = keys_.find(key);
    if (at == keys_.end() || !at->second.is_healing) continue;
    at->second.is_healing = false;
    at->second.again = at->second.since;
    ++waiting_;
  }
}

void Suspects::copied(std::int32_t db, ByteView key, Offset at) {
  const auto found = keys_.find(Key(db, key));
  if (found != keys_.end()) found->second.covers = at;
}

bool Suspects::healed(std::int32_t db, ByteView key, Offset at) {
  const auto found = keys_.find(Key(db, key));
  // An older copy than the one that was asked for last.
  if (found == keys_.end() || at < found->second.covers) return false;
  Entry& entry = found->second;
  if (!entry.is_healing) {
    change_since(entry, entry.again);
    return false;
  }
  forget_since(entry.since);
  bytes_ -= weight(key);
  keys_.erase(found);
  return true;
}

void Suspects::change_since(Entry& entry, Offset since) {
  if (since == entry.since) return;
  forget_since(entry.since);
  entry.since = since;
  ++since_[since];
}

void Suspects::forget_since(Offset since) {
  const auto at = since_.find(since);
  if (--at->second == 0) since_.erase(at);
}

void Suspects::clear_database(std::int32_t db) {
  auto at = keys_.lower_bound(Key(db, Bytes()));
  while (at != keys_.end() && at->first.first == db) {
    forget_since(at->second.since);
    bytes_ -= weight(at->first.second);
    if (!at->second.is_healing) --waiting_;
    at = keys_.erase(at);
  }
}

void Suspects::clear() {
  keys_.clear();
  since_.clear();
  next_ = Key();
  waiting_ = bytes_ = 0;
  overflowed_ = false;
}

}  // namespace keyferry
