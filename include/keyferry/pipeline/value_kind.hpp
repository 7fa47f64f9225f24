// What the filter calls the types that the RDB reader knows.
#pragma once

#include "keyferry/rdb/format.hpp"
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

}  // namespace keyferry
