#include "keyferry/source/dirty_keys.hpp"

#include <cstring>

namespace keyferry {
namespace {

constexpr std::size_t db_bytes = sizeof(std::int32_t);

// A node of the set with its hash and the string in it, its share of the buckets, a place in the
// order, and what the allocator adds (libstdc++, glibc; measured with 1 M keys of 12 and 40 bytes).
constexpr std::size_t overhead_bytes = 88;
constexpr std::size_t inline_bytes = 15;  // of a std::string

std::size_t cost_of(std::size_t name_bytes) {
  return overhead_bytes + (name_bytes > inline_bytes ? name_bytes + 16 : 0);
}

}  // namespace

const Bytes& DirtyKeys::name_of(std::int32_t db, ByteView key) {
  scratch_.resize(db_bytes);
  std::memcpy(scratch_.data(), &db, db_bytes);
  scratch_.append(key);
  return scratch_;
}

bool DirtyKeys::contains(std::int32_t db, ByteView key) {
  return names_.find(ByteView(name_of(db, key))) != names_.end();
}

DirtyKeys::Added DirtyKeys::add(std::int32_t db, ByteView key, std::uint64_t number) {
  if (contains(db, key)) return Added::known;
  const std::size_t cost = cost_of(scratch_.size());
  if (used_bytes_ + cost > max_bytes_) return Added::full;
  const auto at = names_.insert(scratch_).first;
  order_.push_back({&*at, number});
  used_bytes_ += cost;
  return Added::yes;
}

bool DirtyKeys::take(DirtyKey& out) {
  if (order_.empty()) return false;
  const Waiting oldest = order_.front();
  order_.pop_front();
  used_bytes_ -= cost_of(oldest.name->size());
  std::memcpy(&out.db, oldest.name->data(), db_bytes);
  out.key.assign(*oldest.name, db_bytes);
  out.number = oldest.number;
  names_.erase(names_.find(ByteView(*oldest.name)));
  return true;
}

void DirtyKeys::clear() {
  names_.clear();
  order_.clear();
  used_bytes_ = 0;
}

void append_spilled(Bytes& out, std::int32_t db, ByteView key, std::uint64_t number) {
  const auto size = static_cast<std::uint32_t>(key.size());
  char head[sizeof(number) + sizeof(db) + sizeof(size)];
  std::memcpy(head, &number, sizeof(number));
  std::memcpy(head + sizeof(number), &db, sizeof(db));
  std::memcpy(head + sizeof(number) + sizeof(db), &size, sizeof(size));
  out.append(head, sizeof(head)).append(key);
}

std::size_t read_spilled(ByteView bytes, DirtyKey& out) {
  std::uint32_t size = 0;
  constexpr std::size_t head = sizeof(out.number) + sizeof(out.db) + sizeof(size);
  if (bytes.size() < head) return 0;
  std::memcpy(&size, bytes.data() + sizeof(out.number) + sizeof(out.db), sizeof(size));
  if (bytes.size() < head + size) return 0;
  std::memcpy(&out.number, bytes.data(), sizeof(out.number));
  std::memcpy(&out.db, bytes.data() + sizeof(out.number), sizeof(out.db));
  out.key.assign(bytes.substr(head, size));
  return head + size;
}

}  // namespace keyferry
