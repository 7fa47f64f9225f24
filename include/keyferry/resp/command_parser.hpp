// Finds the next command of a replication stream in place: "*<n>\r\n$<len>\r\n<arg>\r\n...". Pure,
// keeps nothing: the caller offers the unread bytes again, with more behind them, after
// `need_more`. Inline commands are refused as corrupt (only Redis <= 2.6 sends them, over SYNC).
#pragma once

#include <cstdint>
#include <vector>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

struct CommandParse {
  enum class Status { command, need_more, corrupt };
  Status status = Status::need_more;
  // command: the bytes of the whole command. need_more: at least this many bytes are needed from
  // the start. corrupt: how far into the bytes the damage is.
  std::size_t size = 0;
  const char* problem = "";  // corrupt: what is wrong, a sentence part
};

// Bounds that real servers have too: arguments per command, bytes per argument
// (proto-max-bulk-len's largest value).
constexpr std::int64_t max_command_args = 1024 * 1024 * 16;
constexpr std::int64_t max_argument_bytes = std::int64_t{4} * 1024 * 1024 * 1024;

// Parses one command from the start of `bytes` and appends views of its arguments to `args`, which
// is left as it was unless the status is `command`. The views point into `bytes`. Never reads past
// its end.
CommandParse parse_command(ByteView bytes, std::vector<ByteView>& args);

// What is known of a command after need_more. Without it a command of many arguments that comes in
// many pieces is read from its start each time: 16 s for 400,000 of them, against 0.06 s.
struct CommandProgress {
  struct Span {
    std::size_t offset;
    std::size_t size;
  };
  std::size_t at = 0;  // behind the last whole argument; 0 = nothing is known
  std::int64_t args_left = 0;
  std::vector<Span> args;
};

// The same, going on where it stopped: after need_more `bytes` must begin with the bytes of before
// (at any address). `progress` is empty again after anything else.
CommandParse parse_command(ByteView bytes, std::vector<ByteView>& args, CommandProgress& progress);

}  // namespace keyferry
