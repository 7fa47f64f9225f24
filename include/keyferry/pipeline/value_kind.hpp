// What the filter calls the types that the RDB reader knows, and what it takes for their size.
#pragma once

#include <algorithm>

#include "keyferry/rdb/rdb_reader.hpp"
#include "keyferry/transform/filter.hpp"

namespace keyferry {

constexpr ValueKind value_kind(rdb::DataType type) {
  using D = rdb::DataType;
  switch (type) {
    case D::string:
      return ValueKind::string;
    case D::list:
      return ValueKind::list;
    case D::set:
      return ValueKind::set;
    case D::zset:
      return ValueKind::zset;
    case D::hash:
      return ValueKind::hash;
    case D::module:
      return ValueKind::module;
    case D::stream:
      return ValueKind::stream;
    case D::array:
      return ValueKind::array;
  }
  return ValueKind::unknown;
}

// Its size in the snapshot; uncompressed where all of it is one string.
inline std::uint64_t value_bytes(const rdb::Event& event, rdb::Dialect dialect) {
  const char* const layout = rdb::value_type(event.type, dialect).layout;
  if (layout == nullptr || ByteView(layout) != rdb::layout::one_string) return event.value.size();
  const rdb::Cursor::StringHead head = rdb::Cursor(event.value, 0).string_head();
  return std::max(head.size, head.full_size);
}

// What the filter asks of a key in a snapshot. `bytes`: nullopt while nobody knows them.
inline KeyFacts key_facts(const rdb::Event& key, rdb::Dialect dialect,
                          std::optional<std::uint64_t> bytes, std::int64_t now_ms) {
  KeyFacts facts;
  facts.db = key.db;
  facts.key = key.key;
  facts.kind = value_kind(rdb::value_type(key.type, dialect).data);
  facts.bytes = bytes;
  facts.never_expires = !key.expire_ms;
  if (key.expire_ms) facts.ttl_ms = *key.expire_ms - now_ms;
  return facts;
}

}  // namespace keyferry
