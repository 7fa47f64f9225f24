// NodeLane: what the target answers.
#include "keyferry/cluster/redirect.hpp"
#include "keyferry/sink/cluster_stream.hpp"
#include "keyferry/sink/late.hpp"

namespace keyferry {
Error NodeLane::scan(ByteView bytes) {
  while (!bytes.empty() || scanner_.owes_done()) {
    if (in_flight_.empty()) return Error(Errc::unreachable, "a reply that nothing was sent for");
    Shipment& front = in_flight_.front();
    const std::uint32_t before_exec = front.units + front.selects + 2 + front.prologue;
    if (front.is_transaction) {
      const std::uint32_t queued = scanner_.skip_queued(bytes, before_exec - front.seen);
      front.seen += queued;
      if (queued > 0) continue;
    }
    const bool in_exec = front.is_transaction && front.seen == before_exec;
    Error error;
    switch (in_exec ? scanner_.next_element(bytes) : scanner_.next(bytes)) {
      case ReplyScanner::Status::need_more:
        return Error();
      case ReplyScanner::Status::corrupt:
        return Error(Errc::unreachable, "a reply is not RESP");
      case ReplyScanner::Status::element:
        error = on_element();
        break;
      case ReplyScanner::Status::done:
        error = in_exec ? on_exec() : on_reply();
        break;
    }
    if (error) return error;
    if (!connected_) return Error(Errc::cancelled, "stopped");
  }
  return Error();
}

Error NodeLane::on_reply() {
  Shipment& front = in_flight_.front();
  if (front.seen++ < front.prologue) {
    // What is behind a SELECT that failed is not where it belongs.
    return scanner_.error().empty() ? Error() : Error(Errc::unreachable, scanner_.error());
  }
  if (!front.is_transaction) return on_bare();
  // EXEC will refuse the whole transaction; what it says then does not name the reason.
  if (scanner_.error().empty() || !queue_error_.empty()) return Error();
  queue_error_ = scanner_.error();
  blame(front);
  return Error();
}

// The command that was answered last. Some may be SELECTs of ours.
void NodeLane::blame(const Shipment& shipment) {
  const std::uint32_t command = shipment.seen - shipment.prologue - 1;  // 0: MULTI
  SlotTable& slots = stream_.slots();
  const SlotState& state = slots[shipment.slot];
  std::uint32_t at = 0;
  std::int32_t db = 0;
  for (std::uint32_t i = 0; i < shipment.units && at < command; ++i) {
    const std::int32_t wanted = slots.db(state.link(i));
    at += wanted == db ? 1 : 2;
    db = wanted;
    if (at == command) blamed_ = i;
  }
}

Error NodeLane::on_loose() {
  const Shipment shipment = in_flight_.front();
  in_flight_.pop_front();
  in_flight_bytes_ -= shipment.bytes;
  SlotTable& slots = stream_.slots();
  note_done(shipment.at, shipment.is_plain);
  slots.answer_loose(index_, shipment.at, shipment.bytes, shipment.is_plain);
  if (slots.is_held(shipment.slot) && !slots.has_loose(shipment.slot)) stream_.wake(shipment.slot);
  return Error();
}

Error NodeLane::on_bare() {
  if (in_flight_.front().is_loose) {
    if (scanner_.error().empty()) return on_loose();
    SlotSet slot;
    chain_loose(slot.set(in_flight_.front().slot));
  }
  const Shipment shipment = in_flight_.front();
  in_flight_.pop_front();
  in_flight_bytes_ -= shipment.bytes;
  SlotState& state = stream_.slots()[shipment.slot];
  --state.in_flight;
  if (state.step == SlotState::Step::refused) {
    // Behind a refusal: sent again whatever the answer was, or the order would change.
    stream_.collect(shipment.slot);
    return Error();
  }
  const Judged judged = judge_unit(shipment.slot, scanner_.error(), false);
  if (judged == Judged::ends_link) return Error(Errc::cancelled, "refused");
  if (judged == Judged::refused) {
    stream_.refuse(*this, shipment.slot, scanner_.error(), std::nullopt, 1);
    return Error();
  }
  stream_.accepted(shipment.slot, shipment.asking);
  return Error();
}

// One element of EXEC's array: the verdict on the next unit.
Error NodeLane::on_element() {
  const Shipment& front = in_flight_.front();
  SlotState& state = stream_.slots()[front.slot];
  const std::string& error = scanner_.error();
  if (take_select(state))
    return error.empty() ? Error() : Error(Errc::data_refused, "SELECT in a transaction: " + error);
  if (state.in_flight == 0)
    return error.empty() ? Error() : Error(Errc::data_refused, "the slot's record: " + error);
  --state.in_flight;
  const Judged judged = judge_unit(front.slot, error, true);
  return judged == Judged::ends_link ? Error(Errc::cancelled, "refused") : Error();
}

// Whether the element is the answer to a SELECT of ours.
bool NodeLane::take_select(const SlotState& state) {
  const std::int32_t db = state.in_flight == 0 ? 0 : stream_.slots().db(state.link(0));
  return std::exchange(answered_db_, db) != db;
}

Error NodeLane::on_exec() {
  const Shipment shipment = in_flight_.front();
  in_flight_.pop_front();
  in_flight_bytes_ -= shipment.bytes;
  --transactions_;
  if (in_flight_.size() > 3) stream_.slots().expect(in_flight_[3].slot);
  if (in_flight_.size() > 1) stream_.slots().expect_chain(in_flight_[1].slot);
  SlotState& state = stream_.slots()[shipment.slot];
  state.in_transaction = false;
  std::string error = std::exchange(queue_error_, std::string());
  const auto blamed = std::exchange(blamed_, std::nullopt);
  if (scanner_.is_null()) return Error(Errc::unreachable, "EXEC did nothing");
  if (scanner_.error().empty() || !scanner_.is_top_level_error()) {
    stream_.note_recorded(shipment.slot, state.transaction_end);
    stream_.accepted(shipment.slot, shipment.asking);
    return Error();
  }
  if (error.empty()) error = scanner_.error();
  state.in_flight = 0;
  stream_.refuse(*this, shipment.slot, error, blamed, shipment.units);
  return Error();
}

// Executed, without an error or with one that a suspect key explains.
void NodeLane::note_done(std::uint64_t at, bool is_plain) {
  SerialEvents& events = stream_.events();
  if (is_plain && !events.any_suspect()) return;
  const Unit& unit = stream_.slots().unit(at);
  if (scanner_.error().empty() && events.any_suspect()) events.inspect(unit, "");
  if (unit.sets_ttl &&
      (is_late(unit, stream_.slots().received(at), Clock::now()) || scanner_.lowest_integer() <= 0))
    events.doubtful(unit);
  if (unit.is_copy) events.healed(unit);
}

NodeLane::Judged NodeLane::judge_unit(Slot slot, const std::string& error, bool in_transaction) {
  SlotTable& slots = stream_.slots();
  SerialEvents& events = stream_.events();
  const std::uint64_t at = slots[slot].at(0);
  const auto done = [&] {
    note_done(at, slots[slot].link(0).is_plain);
    slots.answer(slot);
    return Judged::done;
  };
  if (error.empty()) return done();
  if (!in_transaction && judge_reply(error).verdict != Verdict::refused) return Judged::refused;
  const Unit& unit = slots.unit(at);
  if (events.inspect(unit, error)) return done();
  if (!unit.needs_record && stream_.is_replayed(unit)) {
    events.doubtful(unit);
    slots.answer(slot);
    return Judged::done;
  }
  HeldUnit held = slots.held(at);
  slots.remove(slot, 0);
  const bool goes_on = events.refused(std::move(held), error, in_transaction);
  return goes_on ? Judged::done : Judged::ends_link;
}

}  // namespace keyferry
