// The unit between stages: commands of one replication stream, in order, as views into the slabs
// they were read to. Nothing is copied: `wire` is what the source sent.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/time.hpp"

namespace keyferry {

using Offset = std::int64_t;  // replication stream position in the source's counting
using Slot = std::uint16_t;   // 0..16383
constexpr Slot slot_count = 16384;

struct CommandInfo;

// Where a command stands in a MULTI..EXEC group. A group is `first` (MULTI), any `inside`, `last`
// (EXEC).
enum class GroupMark : std::uint8_t { none, first, inside, last };

// A command as the source sent it, where another one goes to the target in its place.
struct Origin {
  ByteView wire;
  std::int32_t db = 0;
};

struct Command {
  ByteView wire;                      // as it came, header to last CRLF
  const CommandInfo* info = nullptr;  // row of the command table; nullptr for a name it lacks
  std::uint32_t first_arg = 0;        // index into Batch::args
  std::uint32_t arg_count = 0;
  std::int32_t db = 0;  // selected when it ran
  GroupMark group = GroupMark::none;
  Offset end = 0;  // stream offset behind its last byte
  const Origin* origin =
      nullptr;                    // not null: `wire`, `db` and arguments are no longer the source's
  const char* refusal = nullptr;  // not null: rules make it impossible; a word for counters
};

// A place in the stream, and the database that is selected there.
struct StreamPoint {
  Offset offset = 0;
  std::int32_t db = 0;
};

// What the bytes of transformed commands live in.
struct Transformed {
  std::deque<Bytes> bytes;
  std::deque<Origin> origins;
};

// Views stay valid while the Batch lives: it holds every slab they point into.
// A MULTI..EXEC group is never split over two batches.
struct Batch {
  std::vector<Command> commands;
  std::vector<ByteView> args;
  std::vector<SlabRef> slabs;
  std::unique_ptr<Transformed> transformed;  // empty as long as nothing was changed
  Offset end = 0;  // stream offset behind everything this batch covers, control commands included
  std::int32_t db = 0;  // selected behind it
  // Behind the last command of the stream that has an effect: `end`, or only what has none follows.
  StreamPoint effects;
  // Some of it may have been executed at the source so long ago that the target's clock has moved
  // on.
  bool is_late = false;
  TimePoint received;

  std::span<const ByteView> args_of(const Command& command) const {
    return {args.data() + command.first_arg, command.arg_count};
  }
};

}  // namespace keyferry
