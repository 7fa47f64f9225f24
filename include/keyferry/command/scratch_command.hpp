// A command over several slots of a cluster, as it can be carried out on copies of its keys that
// lie together in one slot under other names (sink/scratch_run). Pure.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "keyferry/command/command_table.hpp"

namespace keyferry {

struct ScratchCommand {
  struct Key {
    ByteView name;
    bool is_written = false;  // its value may be another one afterwards
  };
  std::span<const ByteView> args;  // like the names: of whoever made it
  std::vector<Key> keys;           // each once, as they come
  // Per argument: which key it is; keys.size() for none.
  std::vector<std::size_t> key_of_arg;
};

// Whether nothing but the values of the keys that it names decides what it does: not so for
// scripts, for SORT with patterns, and for what other databases are written to.
bool can_run_on_copies(const CommandInfo& info, std::span<const ByteView> args);

ScratchCommand scratch_command(const CommandInfo& info, std::span<const ByteView> args);

// The command with these names instead of its keys, one each.
Bytes under_names(const ScratchCommand& command, std::span<const std::string> names);

}  // namespace keyferry
