// What a sink must know that is one of several into the same target, each for one shard of the
// source: what would empty the target may only remove keys of its own slots. Changed by the link
// when slots change hands; read by the sink. Pipeline thread only.
#pragma once

#include <bitset>

#include "keyferry/command/batch.hpp"

namespace keyferry {

struct SharedTarget {
  std::bitset<slot_count> slots;  // of the shard
  // Slots of which keys are on both sides: being handed over.
  std::bitset<slot_count> contested;
  bool was_empty = false;  // when the first link of the shards began
};

}  // namespace keyferry
