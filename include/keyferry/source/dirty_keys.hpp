// Keys that changed at the source and are not read again yet: each once, the longest waiting first,
// within a budget. What does not fit is told to the caller, who keeps it elsewhere or scans again.
// Also how such keys are written to a spool. Pure.
//
//   add ----> [ oldest ... newest ] ----> take: being read; a change from here on adds it anew
//
// Every addition has a number, counted by the caller over all sets of a link; a key keeps the
// number of its first change since it was taken. So when every number up to n has been taken and
// applied, the target has all changes that were told up to n.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_set>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

struct DirtyKey {
  std::int32_t db = 0;
  Bytes key;
  std::uint64_t number = 0;
};

class DirtyKeys {
 public:
  explicit DirtyKeys(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  enum class Added : std::uint8_t { yes, known, full };
  // `number`: larger than every one before it.
  Added add(std::int32_t db, ByteView key, std::uint64_t number);
  bool contains(std::int32_t db, ByteView key);
  // The key that has waited longest; false when there is none.
  bool take(DirtyKey& out);
  void clear();

  std::size_t size() const { return order_.size(); }
  bool empty() const { return order_.empty(); }
  // Of the oldest key; only when not empty.
  std::uint64_t oldest_number() const { return order_.front().number; }
  // An estimate, allocations included.
  std::size_t used_bytes() const { return used_bytes_; }
  std::size_t max_bytes() const { return max_bytes_; }
  bool is_half_empty() const { return used_bytes_ < max_bytes_ / 2; }

 private:
  const Bytes& name_of(std::int32_t db, ByteView key);

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(ByteView text) const { return std::hash<ByteView>{}(text); }
  };
  struct Waiting {
    const Bytes* name;  // in names_
    std::uint64_t number;
  };

  std::size_t max_bytes_;
  std::size_t used_bytes_ = 0;
  // Four bytes of database, then the key.
  std::unordered_set<Bytes, Hash, std::equal_to<>> names_;
  std::deque<Waiting> order_;
  Bytes scratch_;
};

// The form of a key in a spool: number u64, database i32, length u32 (of this machine: a spool does
// not outlive the process), key.
void append_spilled(Bytes& out, std::int32_t db, ByteView key, std::uint64_t number);
// The key at the front of `bytes`; returns the bytes it takes, 0 when it is not there as a whole.
std::size_t read_spilled(ByteView bytes, DirtyKey& out);

}  // namespace keyferry
