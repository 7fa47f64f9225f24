#include "keyferry/sink/slot_table.hpp"

namespace keyferry {

void SlotTable::link(Entry& entry, std::size_t index) {
  const Unit& unit = entry.batch.units[index];
  const std::uint64_t at = ((first_ + entries_.size() - 1) << index_bits) | index;
  SlotState& state = slots_[unit.slot];
  if (state.tail == SlotState::none) {
    state.head = at;
  } else {
    entry_of(state.tail).next[index_of(state.tail)] = at;
  }
  if (state.next == SlotState::none) state.next = at;
  state.tail = at;
  ++state.waiting;
  if (unit.needs_record) ++state.need_record;
}

HeldUnit SlotTable::held(std::uint64_t at) {
  const LaneBatch& batch = entry_of(at).batch;
  return {unit(at), batch.cargo, batch.ticket, batch.received};
}

std::uint64_t SlotTable::hand_out(Slot slot) {
  SlotState& state = slots_[slot];
  const std::uint64_t at = state.next;
  KEYFERRY_ASSERT(at != SlotState::none);
  if (unit(at).needs_record) --state.need_record;
  --state.waiting;
  ++state.handed_out;
  state.next = behind(at);
  return at;
}

void SlotTable::take_back(Slot slot) {
  SlotState& state = slots_[slot];
  ++state.epoch;
  if (state.handed_out == state.in_flight) return;
  state.next = state.head;
  for (std::uint32_t i = 0; i < state.in_flight; ++i)
    state.next = behind(state.next);
  state.handed_out = state.in_flight;
  recount(state);
}

void SlotTable::recount(SlotState& state) {
  state.waiting = state.need_record = 0;
  for (std::uint64_t at = state.next; at != SlotState::none; at = behind(at)) {
    ++state.waiting;
    if (unit(at).needs_record) ++state.need_record;
  }
}

void SlotTable::unchain_head(SlotState& state) {
  const std::uint64_t at = state.head;
  if (state.next == at) {
    // Not handed out: its answer was found in a record.
    state.next = behind(at);
    --state.waiting;
    if (unit(at).needs_record) --state.need_record;
  } else {
    --state.handed_out;
  }
  state.head = behind(at);
  if (state.head == SlotState::none) state.tail = SlotState::none;
}

void SlotTable::answer(Slot slot) {
  SlotState& state = slots_[slot];
  const std::uint64_t at = state.head;
  unchain_head(state);
  Entry& entry = entry_of(at);
  const Unit& done = entry.batch.units[index_of(at)];
  ++entry.answered.units;
  entry.answered.commands += done.commands;
  entry.answered.bytes += done.wire.size();
  leave(at);
}

void SlotTable::remove(Slot slot, std::uint64_t at) {
  SlotState& state = slots_[slot];
  if (state.head == at) {
    unchain_head(state);
  } else {
    std::uint64_t before = state.head;
    while (behind(before) != at)
      before = behind(before);
    entry_of(before).next[index_of(before)] = behind(at);
    if (state.tail == at) state.tail = before;
    --state.waiting;
    if (unit(at).needs_record) --state.need_record;
    if (state.next == at) state.next = behind(at);
  }
  leave(at);
}

void SlotTable::leave(std::uint64_t at) {
  Entry& entry = entry_of(at);
  --units_;
  --entry.pending;
  if (entry.is_touched) return;
  entry.is_touched = true;
  touched_.push_back(number_of(at));
}

void SlotTable::clear() {
  first_ += entries_.size();
  entries_.clear();
  touched_.clear();
  units_ = 0;
  for (SlotState& state : slots_) {
    const SlotState old = state;
    state = SlotState();
    state.lane = old.lane;
    state.epoch = old.epoch + 1;
  }
}

}  // namespace keyferry
