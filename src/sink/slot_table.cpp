#include "keyferry/sink/slot_table.hpp"

namespace keyferry {

std::uint64_t& SlotTable::next_of(std::uint64_t at) {
  Entry& entry = entry_of(at);
  if (entry.next.empty()) entry.next.assign(entry.batch.units.size(), SlotState::none);
  return entry.next[index_of(at)];
}

void SlotTable::link(std::uint64_t at) {
  const Unit& unit = this->unit(at);
  SlotState& state = slots_[unit.slot];
  next_of(at) = SlotState::none;
  if (state.tail == SlotState::none) {
    state.head = at;
  } else {
    next_of(state.tail) = at;
  }
  if (state.next == SlotState::none) state.next = at;
  state.tail = at;
  ++state.waiting;
  if (unit.needs_record) ++state.need_record;
}

void SlotTable::chain_loose(Slot slot, std::span<const std::uint64_t> units,
                            std::uint32_t in_flight) {
  SlotState& state = slots_[slot];
  KEYFERRY_ASSERT(units.size() == ways_[slot].loose && state.handed_out == 0);
  ways_[slot].loose = 0;
  ways_[slot].is_held = true;
  if (units.empty()) return;
  std::uint64_t behind = state.head;
  for (std::size_t i = units.size(); i-- > 0; behind = units[i])
    next_of(units[i]) = behind;
  state.head = units.front();
  if (state.tail == SlotState::none) state.tail = units.back();
  state.handed_out = static_cast<std::uint32_t>(units.size());
  state.in_flight = in_flight;
}

void SlotTable::release(Slot slot) {
  const SlotState& state = slots_[slot];
  if (state.head == SlotState::none && state.step == SlotState::Step::open && !state.is_moving &&
      state.cautious == 0)
    ways_[slot].is_held = false;
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
  count_answer(at);
}

void SlotTable::answer_loose(Slot slot, std::uint64_t at) {
  --ways_[slot].loose;
  count_answer(at);
}

void SlotTable::count_answer(std::uint64_t at) {
  Entry& entry = entry_of(at);
  const Unit& done = entry.batch.units[index_of(at)];
  ++entry.answered.units;
  entry.answered.commands += done.commands;
  entry.answered.bytes += done.wire.size();
  leave(entry, at);
}

void SlotTable::remove(Slot slot, std::uint64_t at) {
  SlotState& state = slots_[slot];
  if (state.head == at) {
    unchain_head(state);
  } else {
    std::uint64_t before = state.head;
    while (behind(before) != at)
      before = behind(before);
    next_of(before) = behind(at);
    if (state.tail == at) state.tail = before;
    --state.waiting;
    if (unit(at).needs_record) --state.need_record;
    if (state.next == at) state.next = behind(at);
  }
  leave(entry_of(at), at);
}

void SlotTable::leave(Entry& entry, std::uint64_t at) {
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
    const std::uint32_t epoch = state.epoch + 1;
    state = SlotState();
    state.epoch = epoch;
  }
  for (Way& way : ways_) {
    way.loose = 0;
    way.is_held = false;
  }
}

}  // namespace keyferry
