// What is to be done in each slot of a cluster, exactly once, in the source's order, and how far
// each slot is. Several units of a slot may be under way at once as long as all of them may be
// repeated; one that may not (needs_record) travels alone with what waits behind it, in a
// transaction with the slot's record. Pure: knows no connection (sink/node_lane) and no policy
// (sink/cluster_stream). Pipeline thread only.
//
//   of one slot:   [ loose ] [ in flight | handed out | waiting ]
//                             ^0                        ^handed_out
//
// Most slots see nothing but units that may be repeated, and no trouble. Theirs are loose: handed
// to the lane as they come and only counted here, since the lane has them in order. The first unit
// of another kind holds the slot: from there on its units are chained, until the chain is empty
// again. Trouble turns the loose ones into the front of the chain.
#pragma once

#include <deque>
#include <span>

#include "keyferry/checkpoint/slot_record.hpp"
#include "keyferry/sink/lane.hpp"

namespace keyferry {

// What is asked of a unit on its way. In a chain these lie side by side; the units themselves are
// scattered over memory.
struct Link {
  std::uint64_t at = 0;
  const char* wire = nullptr;
  Offset end = 0;
  std::uint32_t bytes = 0;  // of the wire
  bool needs_record : 1 = false;
  bool joins_next : 1 = false;
  // One command in database 0; that it was answered without an error is all there is to know.
  bool is_plain : 1 = false;
};

// One cache line: slots come in no order.
struct alignas(64) SlotState {
  enum class Step : std::uint8_t {
    open,         // its units may be sent
    refused,      // one was refused: the others under way come back first
    waiting,      // for the time to try again
    read_record,  // nobody knows what its owner has: the record tells
    by_hand,      // its keys are on two nodes, for long: command by command
  };

  std::vector<Link> chain;  // unanswered units, behind `answered` others
  std::uint32_t answered = 0;
  std::uint32_t in_flight = 0;
  std::uint32_t handed_out = 0;   // to a lane, in flight or not
  std::uint32_t need_record = 0;  // of those that wait
  std::uint32_t epoch = 0;        // grows when what was handed out is taken back
  std::uint8_t cautious = 0;      // so many go one at a time: keys are on two sides, or no memory
  Step step = Step::open;
  bool in_transaction : 1 = false;  // those in flight
  bool is_listed : 1 = false;       // in its lane's list of slots that have something to send
  bool is_moving : 1 = false;       // its owner has changed while some were in flight
  bool in_doubt : 1 = false;        // a transaction's answer got lost
  Offset recorded = 0;              // what the slot's record says; 0 = there is none
  Offset transaction_end = 0;       // of the one in flight or in doubt

  std::size_t size() const { return chain.size() - answered; }
  std::size_t waiting() const { return size() - handed_out; }
  // The i-th unanswered unit.
  const Link& link(std::size_t i) const { return chain[answered + i]; }
  std::uint64_t at(std::size_t i) const { return link(i).at; }
};

static_assert(sizeof(SlotState) == 64);

class SlotTable {
 public:
  SlotTable() : slots_(slot_count), lanes_(slot_count), last_loose_(slot_count) {}

  SlotState& operator[](Slot slot) { return slots_[slot]; }
  const SlotState& operator[](Slot slot) const { return slots_[slot]; }

  // Of the slot's owner.
  std::uint16_t lane(Slot slot) const { return lanes_[slot]; }
  // From now on; none of its units is loose.
  void assign(Slot slot, std::uint16_t lane);

  // Takes over a batch, in order: `loose(lane, slot, link)` for a unit that goes to the lane as
  // it is, `chained(slot)` for one that is chained.
  template <class Loose, class Chained>
  void push(LaneBatch batch, Loose loose, Chained chained);

  // Some were handed to the slot's lane and are not answered.
  bool has_loose(Slot slot) const {
    const std::uint16_t lane = lanes_[slot];
    return last_loose_[slot] > (lane < answered_loose_.size() ? answered_loose_[lane] : 0);
  }
  // The unit is done, and so are all loose ones that the lane got before it.
  void answer_loose(std::uint16_t lane, std::uint64_t at, std::uint32_t bytes, bool is_plain);
  // All loose units of the slot, in order, become the front of its chain, handed out; so many of
  // them are in flight.
  void chain_loose(Slot slot, std::span<const std::uint64_t> units, std::uint32_t in_flight);
  // Units of the slot are chained from now on.
  void hold(Slot slot) { held_.set(slot); }
  bool is_held(Slot slot) const { return held_[slot]; }
  // Nothing stands in the slot's way: when its chain is empty its units are loose again.
  void release(Slot slot);

  Unit& unit(std::uint64_t at) { return entry_of(at).batch.units[index_of(at)]; }
  const std::shared_ptr<const Cargo>& cargo(std::uint64_t at) { return entry_of(at).batch.cargo; }
  std::int32_t db(const Link& link) { return link.is_plain ? 0 : unit(link.at).db; }
  HeldUnit held(std::uint64_t at);
  TimePoint received(std::uint64_t at) { return entry_of(at).batch.received; }

  // What comes next is scattered over memory: these ask for it early, one step after the other.
  void expect(Slot slot) const { __builtin_prefetch(&slots_[slot]); }
  void expect_chain(Slot slot) const;
  void expect_end(Slot slot) const;
  void expect_wires(Slot slot) const;

  // The first waiting unit is handed out.
  const Link& hand_out(Slot slot);
  // What was handed out and is not in flight waits again, in order.
  void take_back(Slot slot);
  // The first unit of the slot is done.
  void answer(Slot slot);
  // The i-th unanswered unit leaves without an answer (somebody else acknowledges it).
  void remove(Slot slot, std::size_t i);

  // What was answered since the last call, per batch.
  template <class Use>
  void take_answered(Use use);

  std::uint64_t units() const { return units_; }
  void clear();

 private:
  static constexpr int index_bits = 24;
  static constexpr std::size_t ahead = 32;  // units
  static constexpr std::size_t expected_max = 16;
  struct Entry {
    LaneBatch batch;
    std::size_t pending = 0;
    Answered answered;  // and not yet told
    bool is_touched = false;
  };

  static std::uint64_t number_of(std::uint64_t at) { return at >> index_bits; }
  static std::size_t index_of(std::uint64_t at) { return at & ((1U << index_bits) - 1); }
  Entry& entry_of(std::uint64_t at) { return entries_[number_of(at) - first_]; }

  bool is_chained(const Unit& unit) const { return unit.needs_record || held_[unit.slot]; }
  void drop_first(SlotState& state);
  static Link link_of(const Unit& unit, std::uint64_t at);
  void count_answer(std::uint64_t at, std::uint32_t bytes, bool is_plain);
  void leave(Entry& entry, std::uint64_t at);
  void chain(const Unit& unit, std::uint64_t at);

  std::vector<SlotState> slots_;
  // What is read for every unit: small, since slots come in no order.
  std::vector<std::uint16_t> lanes_;
  SlotSet held_;
  // The last one of each slot, and the last one of each lane that was answered. A lane answers them
  // in their order, so nothing of the slot need be touched then.
  std::vector<std::uint64_t> last_loose_;
  std::vector<std::uint64_t> answered_loose_;
  std::deque<Entry> entries_;
  std::uint64_t first_ = 1;  // number of entries_.front()
  std::uint64_t units_ = 0;
  std::vector<std::uint64_t> touched_;  // numbers of entries with something to tell
};

template <class Loose, class Chained>
void SlotTable::push(LaneBatch batch, Loose loose, Chained chained) {
  Entry& entry = entries_.emplace_back();
  entry.batch = std::move(batch);
  entry.pending = entry.batch.units.size();
  units_ += entry.pending;
  std::uint64_t at = (first_ + entries_.size() - 1) << index_bits;
  const std::vector<Unit>& units = entry.batch.units;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const Unit& unit = units[i];
    if (i + 2 * ahead < units.size() && is_chained(units[i + 2 * ahead]))
      expect(units[i + 2 * ahead].slot);
    if (i + ahead < units.size() && is_chained(units[i + ahead])) expect_end(units[i + ahead].slot);
    if (is_chained(unit)) {
      held_.set(unit.slot);
      chain(unit, at);
      chained(unit.slot);
    } else {
      last_loose_[unit.slot] = at;
      loose(lanes_[unit.slot], unit.slot, link_of(unit, at));
    }
    ++at;
  }
}

template <class Use>
void SlotTable::take_answered(Use use) {
  std::vector<std::uint64_t> touched;
  touched.swap(touched_);
  for (const std::uint64_t number : touched) {
    if (number < first_ || number - first_ >= entries_.size()) continue;
    Entry& entry = entries_[number - first_];
    entry.is_touched = false;
    use(entry.batch, std::exchange(entry.answered, Answered()));
    if (entry.pending == 0) entry = Entry();  // its bytes need not wait for those before it
  }
  while (!entries_.empty() && entries_.front().pending == 0 && !entries_.front().is_touched) {
    entries_.pop_front();
    ++first_;
  }
}

}  // namespace keyferry
