// The keys of a command and the cluster slot they hash to. Pure.
#pragma once

#include <span>
#include <vector>

#include "keyferry/command/batch.hpp"
#include "keyferry/command/command_table.hpp"

namespace keyferry {

// CRC16 of the key, or of its hash tag (the part between the first '{' and the next '}' when not
// empty), modulo 16384. Source: Redis cluster specification, "Hash tags".
Slot slot_of(ByteView key);

// Calls `use(index)` with the argument index of every key, in order. Malformed commands (positions
// outside) give fewer keys, never an access outside `args`.
template <class Use>
void for_each_key(const CommandInfo& info, std::span<const ByteView> args, Use use);

// What a command is known by, for people: the argument index of its first key, or 1 where it has
// none or nobody knows the command.
std::size_t first_key_at(const CommandInfo* info, std::span<const ByteView> args);

// Keys of our own records, which no stream may carry into a target.
inline bool is_own_key(ByteView key) {
  return key.starts_with("keyferry:");
}

// What Sentinels tell each other through the servers that they watch.
inline bool is_sentinel_channel(ByteView channel) {
  return channel.starts_with("__sentinel__:");
}

// Where a command's keys live.
struct KeySlots {
  enum class Span { no_key, one_slot, many_slots };
  Span span = Span::no_key;
  Slot slot = 0;         // of the first key
  bool own_key = false;  // touches a key of ours
};
KeySlots key_slots(const CommandInfo& info, std::span<const ByteView> args);

// Only `own_key` of the above, without hashing: for targets that have no slots.
bool touches_own_key(const CommandInfo& info, std::span<const ByteView> args);

// One piece of a multi-slot command: the same command with only the keys of one slot.
struct SplitPart {
  Slot slot = 0;
  std::vector<ByteView> args;  // views into the original arguments and static storage
};
// Cuts a command by slot in first-key order, keys of a slot in their order; empty when the command
// cannot be cut (info.split == no, no key, or a key without its value). MSETNX becomes MSET: in a
// replication stream it appears only when it took effect.
std::vector<SplitPart> split_by_slot(const CommandInfo& info, std::span<const ByteView> args);

// Positions of the keys of one command, found once (implementation of for_each_key for the rare
// shapes).
void odd_key_positions(const CommandInfo& info, std::span<const ByteView> args,
                       std::vector<std::size_t>& out);

template <class Use>
void for_each_key(const CommandInfo& info, std::span<const ByteView> args, Use use) {
  if (info.shape == KeyShape::none) return;
  if (info.shape != KeyShape::range) {
    std::vector<std::size_t> positions;
    odd_key_positions(info, args, positions);
    for (std::size_t at : positions)
      use(at);
    return;
  }
  const auto count = static_cast<std::ptrdiff_t>(args.size());
  const std::ptrdiff_t last = info.last < 0 ? count + info.last : info.last;
  for (std::ptrdiff_t at = info.first; at > 0 && at <= last && at < count; at += info.step) {
    use(static_cast<std::size_t>(at));
  }
}

}  // namespace keyferry
