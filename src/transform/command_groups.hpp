// The group of each command, as "group" of COMMAND DOCS says it, and the type of value it concerns.
// Internal to transform.
#pragma once

#include "keyferry/transform/filter.hpp"

namespace keyferry {

// An index into group_names().
std::size_t group_of(const CommandInfo& info);
ValueKind kind_of_group(std::size_t group);
std::size_t group_index(ByteView name);

}  // namespace keyferry
