// What a sink must know that is one of several into the same target. Each for one shard of the
// source: what would empty the target may only remove keys of its own slots. Each for a source of
// its own: nothing tells whose a key is, and what would empty the target is refused. Changed by the
// link when slots change hands; read by the sink. Pipeline thread only.
#pragma once

#include <bitset>

#include "keyferry/command/batch.hpp"

namespace keyferry {

struct SharedTarget {
  bool by_slots = true;           // false: the others may write to any slot; the next two are void
  std::bitset<slot_count> slots;  // of the shard
  // Slots of which keys are on both sides: being handed over.
  std::bitset<slot_count> contested;
  bool was_empty = false;  // when the first link of them all began
};

}  // namespace keyferry
