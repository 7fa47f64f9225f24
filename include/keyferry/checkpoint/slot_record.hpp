// What a cluster target says about a link. Each node tells how far all of its slots have come (node
// record); a slot whose commands may not be repeated tells so for itself (slot record), written in
// one transaction with them, so it is ahead of its node's. Both lie in the slots they speak of and
// move with them. Pure: text and back.
//
//   node record: key "keyferry:{<tag>}:<link>", tag of any slot of the node; value
//     node-record = record SP "slots=" ranges      ; record: checkpoint/record; offset = judged
//                   [SP "recorded=" ranges]        ; of them, those that had a slot record then;
//                                                  ; none is ever removed but by a flush
//     ranges      = range *("," range)             ; the slots it vouches for
//     range       = number ["-" number]
//   slot record: key "keyferry:{<tag>}:<link>:slot", tag of the slot; value
//     slot-record = "keyferry1" SP "generation=" number SP "judged=" number SP history
//     history     = replid ":" number              ; applied offset (>= judged)
//     and behind it, while the slot goes on command by command (sink/cluster_by_hand):
//     intent      = SP "intent=" number ":" digest ":" key
//                   ; the command that ends there comes next, on that key (hex), whose value has
//                   ; that digest (hex) as long as the command has not taken place
//     intent-db   = SP "intent-db=" number        ; of the key; none: database 0
//
// Fields that a later version adds stand behind these; readers ignore them.
#pragma once

#include <bitset>
#include <optional>

#include "keyferry/checkpoint/record.hpp"

namespace keyferry {

using SlotSet = std::bitset<slot_count>;

struct NodeRecord {
  Record record;
  SlotSet slots;
  SlotSet recorded;
};

struct Intent {
  Offset offset = 0;
  std::uint64_t digest = 0;
  Bytes key;
  std::int32_t db = 0;

  bool operator==(const Intent&) const = default;
};

struct SlotRecord {
  std::uint64_t generation = 0;
  Offset judged = 0;  // up to here every reply to a command of the slot was read
  std::string replid;
  Offset offset = 0;  // commands of the slot up to here are in the target
  std::optional<Intent> intent;

  bool operator==(const SlotRecord&) const = default;
};

inline constexpr ByteView slot_record_magic = "keyferry1";
void append_node_record(Bytes& out, const NodeRecord& record);
void append_slot_record(Bytes& out, const SlotRecord& record);

// Errc::corrupt for anything else, a later major version included.
Result<NodeRecord> parse_node_record(ByteView text);
Result<SlotRecord> parse_slot_record(ByteView text);

// A short text that hashes to `slot`, from a table made once. Any thread.
const std::string& slot_tag(Slot slot);

std::string node_record_key(const std::string& link, Slot slot);
std::string slot_record_key(const std::string& link, Slot slot);

}  // namespace keyferry
