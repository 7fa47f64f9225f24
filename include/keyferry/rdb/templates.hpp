// Field names that many hashes of one snapshot share (RDB 15 opcode 242): the reader collects them,
// the element reader looks them up. Plain data.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "keyferry/base/bytes.hpp"

namespace keyferry::rdb {

using FieldNames = std::vector<Bytes>;
using HashTemplates = std::map<std::uint64_t, FieldNames>;

// Whether the names are in the order a server writes them: strictly ascending by length, then by
// bytes (Redis 8.10, documentation).
inline bool is_template_order(const FieldNames& names) {
  for (std::size_t i = 1; i < names.size(); ++i) {
    const Bytes& before = names[i - 1];
    if (before.size() > names[i].size() ||
        (before.size() == names[i].size() && before >= names[i])) {
      return false;
    }
  }
  return true;
}

}  // namespace keyferry::rdb
