// What a replica is told about slots that move to its master as a whole, by Valkey's CLUSTER
// MIGRATESLOTS: their keys arrive in the stream as plain commands, the writes behind them too,
// while the former owner's stream brings all of that as well. Pure.
//
// Source: the stream of a replica of the new owner, Valkey 9.1.2:
//   CLUSTER SYNCSLOTS ESTABLISH SOURCE <node> NAME <job> SLOTSRANGE <first> <last> ...
//   <commands> CLUSTER SYNCSLOTS SNAPSHOT-EOF <commands> ... PAUSED ... FAILOVER-GRANTED
//   CLUSTER SYNCSLOTS FINISH STATE <state> NAME <job> MESSAGE <text>
// The former owner's has no word of it, but an UNLINK of each key in the end.
#pragma once

#include <optional>
#include <span>

#include "keyferry/cluster/shards.hpp"

namespace keyferry {

struct SlotImport {
  ByteView job;      // of whoever owns the arguments
  ShardSlots slots;  // none: it has ended, and the command does not name them
};

// nullopt for any other command. Slots that are no numbers, or too high, are all slots: whatever
// these are, they are among them.
std::optional<SlotImport> read_slot_import(std::span<const ByteView> args);

}  // namespace keyferry
