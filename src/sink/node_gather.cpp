// NodeLane: what is written next.
#include <array>

#include <fmt/compile.h>

#include "keyferry/sink/cluster_stream.hpp"

namespace keyferry {
namespace {

constexpr ByteView multi_wire = "*1\r\n$5\r\nMULTI\r\n";
constexpr ByteView exec_wire = "*1\r\n$4\r\nEXEC\r\n";
constexpr ByteView asking_wire = "*1\r\n$6\r\nASKING\r\n";
constexpr std::size_t in_flight_max_bytes = 2 * 1024 * 1024;
// Few enough that under load the slots that wait grow longer runs; many enough for a long way.
constexpr std::size_t transactions_max = 1024;
constexpr std::size_t transaction_max_bytes = 128 * 1024;

}  // namespace

void NodeLane::gather() {
  writing_.clear();
  if (in_flight_.empty()) progress_ = Clock::now();
  if (!stream_.has_begun()) return;
  while (!ready_.empty() && has_room() && transactions_ < transactions_max) {
    const Slot slot = ready_.front();
    ready_.pop_front();
    SlotTable& slots = stream_.slots();
    if (ready_.size() > 5) slots.expect(ready_[5]);
    if (ready_.size() > 3) slots.expect_chain(ready_[3]);
    if (ready_.size() > 1) slots.expect_wires(ready_[1]);
    if (ready_.size() > 1) __builtin_prefetch(&slot_tag(ready_[1]));
    gather_slot(slot);
  }
  while (!bare_.empty() && has_room()) {
    const Bare bare = bare_.front();
    bare_.pop_front();
    const bool is_loose = bare.epoch == loose_epoch;
    if (!is_loose) {
      const SlotState& state = stream_.slots()[bare.slot];
      if (state.epoch != bare.epoch || state.step != SlotState::Step::open) continue;
    }
    gather_bare(bare.slot, bare.link, is_loose);
  }
}

bool NodeLane::has_room() const {
  return !writing_.is_full() && in_flight_bytes_ < in_flight_max_bytes;
}

// A slot that must be alone: behind nothing of its own.
void NodeLane::gather_slot(Slot slot) {
  SlotTable& slots = stream_.slots();
  SlotState& state = slots[slot];
  if (stream_.lane_of(slot) != index_) return;  // it has moved and is listed there
  state.is_listed = false;
  if (state.step != SlotState::Step::open || state.handed_out > 0 || state.waiting() == 0 ||
      slots.has_loose(slot))
    return;
  const bool is_careful = state.cautious > 0 && !state.link(0).needs_record;
  if (state.need_record == 0 || is_careful) {
    gather_bare(slot, slots.hand_out(slot), false);
  } else {
    gather_transaction(slot, state);
  }
}

void NodeLane::select(std::int32_t db) {
  std::array<char, 64> text;    // NOLINT(cppcoreguidelines-pro-type-member-init)
  std::array<char, 16> number;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const auto digits = fmt::format_to(number.data(), FMT_COMPILE("{}"), db) - number.data();
  const auto end =
      fmt::format_to(text.data(), FMT_COMPILE("*2\r\n$6\r\nSELECT\r\n${}\r\n{}\r\n"), digits, db);
  writing_.add_copy(ByteView(text.data(), static_cast<std::size_t>(end - text.data())));
}

// ASKING is good for what follows it at once.
void NodeLane::begin_shipment(Shipment& shipment, std::int32_t db) {
  if (db != selected_) {
    select(db);
    selected_ = db;
    ++shipment.prologue;
  }
  if (!shipment.asking) return;
  writing_.add(asking_wire);
  ++shipment.prologue;
}

void NodeLane::gather_bare(Slot slot, const Link& link, bool is_loose) {
  SlotTable& slots = stream_.slots();
  Shipment shipment;
  shipment.at = link.at;
  shipment.slot = slot;
  shipment.is_loose = is_loose;
  shipment.is_plain = link.is_plain;
  shipment.asking = !is_loose && stream_.is_asking(slot);
  shipment.bytes = link.bytes;
  begin_shipment(shipment, slots.db(link));
  writing_.add(ByteView(link.wire, link.bytes), slots.cargo(link.at));
  in_flight_bytes_ += shipment.bytes;
  if (!is_loose) ++slots[slot].in_flight;
  append(in_flight_, shipment);
}

void NodeLane::gather_transaction(Slot slot, SlotState& state) {
  SlotTable& slots = stream_.slots();
  Shipment shipment;
  shipment.slot = slot;
  shipment.is_transaction = true;
  shipment.units = 0;
  shipment.asking = stream_.is_asking(slot);
  begin_shipment(shipment, 0);
  writing_.add(multi_wire);
  std::int32_t db = 0;
  const auto enter = [&](std::int32_t wanted) {
    if (wanted == db) return;
    select(wanted);
    ++shipment.selects;
    db = wanted;
  };
  bool joins = false;
  while (state.waiting() > 0) {
    const bool is_full = shipment.bytes >= transaction_max_bytes || state.cautious > 0;
    if (shipment.units > 0 && is_full && !joins) break;
    const Link& link = slots.hand_out(slot);
    enter(slots.db(link));
    writing_.add(ByteView(link.wire, link.bytes), slots.cargo(link.at));
    ++shipment.units;
    shipment.bytes += link.bytes;
    joins = link.joins_next;
    state.transaction_end = link.end;
  }
  enter(0);  // where the records are
  record_.clear();
  stream_.append_record_command(record_, slot, state.transaction_end);
  record_ += exec_wire;
  writing_.add_copy(record_);
  state.in_flight = shipment.units;
  state.in_transaction = true;
  in_flight_bytes_ += shipment.bytes;
  ++transactions_;
  append(in_flight_, shipment);
}

}  // namespace keyferry
