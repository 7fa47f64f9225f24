// The user's Lua 5.4 script (transform.script_file): one function, called for every command that is
// about to go to the target. It sees nothing of this machine: no files, no other modules, no clock;
// memory and steps per call are limited. Hides Lua. Pipeline thread only.
//
//   function transform(db, argv, keys)   -- argv[1] is the command's name, keys are indexes into it
//     return argv                        -- or nothing, or several: return {argv, {"SET", "a",
//     "1"}}
//   end
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "keyferry/base/error.hpp"
#include "keyferry/command/command_table.hpp"

namespace keyferry {

class Script {
 public:
  // Runs the text once; it must define the function. Errc::usage in Lua's words, with the line.
  // `name`: of the file, for messages.
  static Result<std::unique_ptr<Script>> compile(const std::string& text, const std::string& name);
  ~Script();

  // The commands that take the place of this one, in wire form. `info`: its row, or nullptr.
  // Errc::data_refused: the script failed, ran too long, took too much memory, or returned what is
  // no command.
  Error call(std::int32_t db, const CommandInfo* info, std::span<const ByteView> args,
             std::vector<Bytes>& wires);

 private:
  struct State;
  Script();
  std::unique_ptr<State> state_;
};

}  // namespace keyferry
