// Which keys a command writes, and where. For commands that a target cannot carry out: what they
// leave is then copied from the source. Pure; the table of commands knows all keys of a command
// (command/keys), this the ones among them that may change.
#pragma once

#include <span>
#include <vector>

#include "keyferry/command/command_table.hpp"

namespace keyferry {

struct WrittenKey {
  std::int32_t db = 0;
  ByteView key;  // view into the arguments
};

// Every key whose value the command may have changed when it ran in database `db`; all its keys
// where nothing more is known of it.
std::vector<WrittenKey> written_keys(const CommandInfo& info, std::span<const ByteView> args,
                                     std::int32_t db);

// SORT with BY or GET, which looks for keys that its arguments do not name: a cluster refuses it.
bool reads_keys_by_pattern(const CommandInfo& info, std::span<const ByteView> args);

}  // namespace keyferry
