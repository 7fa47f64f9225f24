// Keys as they were at the source at one point of its stream: what heals suspect keys. Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "keyferry/command/batch.hpp"

namespace keyferry {

struct KeyCopy {
  std::int32_t db = 0;
  Bytes key;
  std::optional<Bytes> payload;  // as DUMP gives it; nullopt: there was no such key
  std::int64_t expire_ms = 0;    // absolute unix time, 0 = none
};

struct KeyCopies {
  std::string replid;
  Offset at = 0;  // everything up to here is in them, nothing behind
  std::vector<KeyCopy> keys;
};

}  // namespace keyferry
