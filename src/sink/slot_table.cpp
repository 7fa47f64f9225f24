#include "keyferry/sink/slot_table.hpp"

namespace keyferry {

void SlotTable::link(std::uint64_t at) {
  const Unit& unit = this->unit(at);
  SlotState& state = slots_[unit.slot];
  state.chain.push_back(at);
  if (unit.needs_record) ++state.need_record;
}

void SlotTable::chain_loose(Slot slot, std::span<const std::uint64_t> units,
                            std::uint32_t in_flight) {
  SlotState& state = slots_[slot];
  KEYFERRY_ASSERT(units.size() == ways_[slot].loose && state.handed_out == 0);
  ways_[slot].loose = 0;
  ways_[slot].is_held = true;
  state.chain.insert(state.chain.begin() + state.answered, units.begin(), units.end());
  state.handed_out = static_cast<std::uint32_t>(units.size());
  state.in_flight = in_flight;
}

void SlotTable::release(Slot slot) {
  const SlotState& state = slots_[slot];
  if (state.size() == 0 && state.step == SlotState::Step::open && !state.is_moving &&
      state.cautious == 0)
    ways_[slot].is_held = false;
}

HeldUnit SlotTable::held(std::uint64_t at) {
  const LaneBatch& batch = entry_of(at).batch;
  return {unit(at), batch.cargo, batch.ticket, batch.received};
}

void SlotTable::expect_chain(Slot slot) const {
  const SlotState& state = slots_[slot];
  __builtin_prefetch(state.chain.data() + state.answered);
}

void SlotTable::expect_units(Slot slot) const {
  const SlotState& state = slots_[slot];
  for (std::size_t i = 0; i < std::min(state.size(), expected_max); ++i)
    __builtin_prefetch(&unit(state.at(i)));
}

void SlotTable::expect_wires(Slot slot) const {
  const SlotState& state = slots_[slot];
  for (std::size_t i = 0; i < std::min(state.size(), expected_max); ++i)
    __builtin_prefetch(unit(state.at(i)).wire.data());
}

std::uint64_t SlotTable::hand_out(Slot slot) {
  SlotState& state = slots_[slot];
  KEYFERRY_ASSERT(state.waiting() > 0);
  const std::uint64_t at = state.at(state.handed_out++);
  if (unit(at).needs_record) --state.need_record;
  return at;
}

void SlotTable::take_back(Slot slot) {
  SlotState& state = slots_[slot];
  ++state.epoch;
  for (; state.handed_out > state.in_flight; --state.handed_out) {
    if (unit(state.at(state.handed_out - 1)).needs_record) ++state.need_record;
  }
}

void SlotTable::drop_first(SlotState& state) {
  constexpr std::size_t answered_max = 64;
  constexpr std::size_t capacity_max = 4096;
  if (state.handed_out > 0) {
    --state.handed_out;
  } else if (unit(state.at(0)).needs_record) {
    --state.need_record;  // its answer was found in a record
  }
  ++state.answered;
  if (state.size() == 0) {
    state.chain.clear();
    if (state.chain.capacity() > capacity_max) state.chain = {};
    state.answered = 0;
  } else if (state.answered >= answered_max && state.answered > state.size()) {
    state.chain.erase(state.chain.begin(), state.chain.begin() + state.answered);
    state.answered = 0;
  }
}

void SlotTable::answer(Slot slot) {
  SlotState& state = slots_[slot];
  const std::uint64_t at = state.at(0);
  drop_first(state);
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

void SlotTable::remove(Slot slot, std::size_t i) {
  SlotState& state = slots_[slot];
  const std::uint64_t at = state.at(i);
  if (i == 0) {
    drop_first(state);
  } else {
    KEYFERRY_ASSERT(i >= state.handed_out);
    if (unit(at).needs_record) --state.need_record;
    state.chain.erase(state.chain.begin() + static_cast<std::ptrdiff_t>(state.answered + i));
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
