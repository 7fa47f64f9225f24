// Commands of slots that have to wait for what other shards did to them, while the rest of the
// stream goes on: a copy of each, in order, per slot. Pure; executor thread only.
#pragma once

#include <map>
#include <memory>

#include "keyferry/cluster/shards.hpp"
#include "keyferry/command/batch.hpp"

namespace keyferry {

class HeldSlots {
 public:
  bool empty() const { return slots_.empty(); }
  bool holds(Slot slot) const { return slots_.contains(slot); }
  // Whether a command of these that ended at or before `offset` is held.
  bool holds_before(const ShardSlots& slots, Offset offset) const;
  // In memory, what was taken included.
  std::size_t bytes() const { return bytes_; }

  // `first` and those behind it up to `last` (indexes) of a batch, which may go afterwards. True:
  // the slot is held from now on.
  bool add(Slot slot, const Batch& batch, std::size_t first, std::size_t last);
  // What is held of it so far; the slot itself stays held.
  std::unique_ptr<Batch> take(Slot slot);
  // False when more has come since it was taken.
  bool release(Slot slot);
  void clear();

 private:
  struct Held {
    Offset begin = 0;           // of the first command
    std::size_t bytes = 0;      // in `batch`
    std::size_t bytes_out = 0;  // taken, and not released
    std::unique_ptr<Batch> batch;
  };
  std::map<Slot, Held> slots_;
  std::size_t bytes_ = 0;  // until released
};

}  // namespace keyferry
