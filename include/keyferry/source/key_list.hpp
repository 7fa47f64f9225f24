// Keys on their way through the reading of a scanned source: names in one piece of memory, so that
// a page of keys costs no allocation per key. A value; knows nothing of connections.
#pragma once

#include <cstdint>
#include <vector>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

class KeyList {
 public:
  struct Entry {
    std::size_t at = 0;  // of its name
    std::uint32_t size = 0;
    std::int32_t db = 0;
    std::uint64_t number = 0;       // of its change (dirty_keys.hpp); 0: found by scanning
    std::uint64_t value_bytes = 0;  // about, once the source was asked
    bool asking = false;            // its slot is moving to the node that is asked
  };

  void add(ByteView key, Entry entry) {
    entry.at = names_.size();
    entry.size = static_cast<std::uint32_t>(key.size());
    names_.append(key);
    entries_.push_back(entry);
  }
  ByteView name(std::size_t i) const {
    return ByteView(names_).substr(entries_[i].at, entries_[i].size);
  }
  Entry& operator[](std::size_t i) { return entries_[i]; }
  const Entry& operator[](std::size_t i) const { return entries_[i]; }
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  void clear() {
    names_.clear();
    entries_.clear();
  }

 private:
  Bytes names_;
  std::vector<Entry> entries_;
};

}  // namespace keyferry
