// Which element of two values is the first that differs, for people who want to know where to look.
// Of values that are held whole (a DUMP payload each). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

struct ElementDifference {
  std::string element;                // in words: field "a", item 3, entry 5-1, byte 17
  std::optional<std::string> source;  // printable and cut; nullopt: not there
  std::optional<std::string> target;
};

// In the source's order, then what only the target has. nullopt: none, or not to be told (modules,
// bytes that this reader cannot take apart).
std::optional<ElementDifference> first_difference(ByteView source, ByteView target,
                                                  std::int64_t now_ms);

}  // namespace keyferry
