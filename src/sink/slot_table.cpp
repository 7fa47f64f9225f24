#include "keyferry/sink/slot_table.hpp"

namespace keyferry {

Link SlotTable::link_of(const Unit& unit, std::uint64_t at) {
  Link link;
  link.at = at;
  link.wire = unit.wire.data();
  link.end = unit.end;
  link.bytes = static_cast<std::uint32_t>(unit.wire.size());
  link.needs_record = unit.needs_record;
  link.joins_next = unit.joins_next;
  link.is_plain = unit.db == 0 && unit.commands == 1 && !unit.sets_ttl && !unit.is_copy;
  return link;
}

void SlotTable::chain(const Unit& unit, std::uint64_t at) {
  constexpr std::size_t least_capacity = 16;
  SlotState& state = slots_[unit.slot];
  if (state.chain.capacity() == 0) state.chain.reserve(least_capacity);
  state.chain.push_back(link_of(unit, at));
  if (unit.needs_record) ++state.need_record;
}

void SlotTable::chain_loose(Slot slot, std::span<const std::uint64_t> units,
                            std::uint32_t in_flight) {
  SlotState& state = slots_[slot];
  KEYFERRY_ASSERT(units.empty() != has_loose(slot) && state.handed_out == 0);
  last_loose_[slot] = 0;
  held_.set(slot);
  std::vector<Link> links;
  for (const std::uint64_t at : units)
    links.push_back(link_of(unit(at), at));
  state.chain.insert(state.chain.begin() + state.answered, links.begin(), links.end());
  state.handed_out = static_cast<std::uint32_t>(units.size());
  state.in_flight = in_flight;
}

void SlotTable::assign(Slot slot, std::uint16_t lane) {
  KEYFERRY_ASSERT(!has_loose(slot));
  lanes_[slot] = lane;
  last_loose_[slot] = 0;  // answered, at another lane
}

void SlotTable::release(Slot slot) {
  const SlotState& state = slots_[slot];
  if (state.size() == 0 && state.step == SlotState::Step::open && !state.is_moving &&
      state.cautious == 0)
    held_.reset(slot);
}

HeldUnit SlotTable::held(std::uint64_t at) {
  const LaneBatch& batch = entry_of(at).batch;
  return {unit(at), batch.cargo, batch.ticket, batch.received};
}

void SlotTable::expect_chain(Slot slot) const {
  const SlotState& state = slots_[slot];
  for (std::size_t i = 0; i < std::min(state.size(), expected_max); i += 64 / sizeof(Link))
    __builtin_prefetch(&state.link(i));
}

// Where the next unit is chained.
void SlotTable::expect_end(Slot slot) const {
  const std::vector<Link>& chain = slots_[slot].chain;
  __builtin_prefetch(chain.data() + chain.size(), 1);
}

void SlotTable::expect_wires(Slot slot) const {
  const SlotState& state = slots_[slot];
  for (std::size_t i = 0; i < std::min(state.size(), expected_max); ++i) {
    const Link& link = state.link(i);
    __builtin_prefetch(link.wire);
    __builtin_prefetch(link.wire + link.bytes - 1);
  }
}

const Link& SlotTable::hand_out(Slot slot) {
  SlotState& state = slots_[slot];
  KEYFERRY_ASSERT(state.waiting() > 0);
  const Link& link = state.link(state.handed_out++);
  if (link.needs_record) --state.need_record;
  return link;
}

void SlotTable::take_back(Slot slot) {
  SlotState& state = slots_[slot];
  ++state.epoch;
  for (; state.handed_out > state.in_flight; --state.handed_out) {
    if (state.link(state.handed_out - 1).needs_record) ++state.need_record;
  }
}

void SlotTable::drop_first(SlotState& state) {
  constexpr std::size_t answered_max = 8;
  constexpr std::size_t capacity_max = 4096;
  if (state.handed_out > 0) {
    --state.handed_out;
  } else if (state.link(0).needs_record) {
    --state.need_record;  // its answer was found in a record
  }
  ++state.answered;
  if (state.size() == 0) {
    state.chain.clear();
    if (state.chain.capacity() > capacity_max) state.chain = std::vector<Link>();
    state.answered = 0;
  } else if (state.answered >= answered_max && state.answered >= state.size()) {
    state.chain.erase(state.chain.begin(), state.chain.begin() + state.answered);
    state.answered = 0;
  }
}

void SlotTable::answer(Slot slot) {
  SlotState& state = slots_[slot];
  const Link done = state.link(0);
  drop_first(state);
  count_answer(done.at, done.bytes, done.is_plain);
}

void SlotTable::answer_loose(std::uint16_t lane, std::uint64_t at, std::uint32_t bytes,
                             bool is_plain) {
  if (lane >= answered_loose_.size()) answered_loose_.resize(lane + 1U);
  answered_loose_[lane] = at;
  count_answer(at, bytes, is_plain);
}

void SlotTable::count_answer(std::uint64_t at, std::uint32_t bytes, bool is_plain) {
  Entry& entry = entry_of(at);
  ++entry.answered.units;
  entry.answered.commands += is_plain ? 1 : entry.batch.units[index_of(at)].commands;
  entry.answered.bytes += bytes;
  leave(entry, at);
}

void SlotTable::remove(Slot slot, std::size_t i) {
  SlotState& state = slots_[slot];
  const std::uint64_t at = state.at(i);
  if (i == 0) {
    drop_first(state);
  } else {
    KEYFERRY_ASSERT(i >= state.handed_out);
    if (state.link(i).needs_record) --state.need_record;
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
  held_.reset();
  last_loose_.assign(slot_count, 0);
}

}  // namespace keyferry
