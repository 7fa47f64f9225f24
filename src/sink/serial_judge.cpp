// SerialLane: what the target answers, and what a refusal leads to.
#include "keyferry/base/log.hpp"
#include "keyferry/cluster/redirect.hpp"
#include "keyferry/sink/late.hpp"
#include "keyferry/sink/serial_lane.hpp"

namespace keyferry {
namespace {

// As many as fill the way there: a ring of them for each round trip.
constexpr std::int64_t transaction_least_units = 64;
constexpr std::int64_t transaction_most_units = 8192;
constexpr std::int64_t round_trip_us_per_unit = 10;

std::int64_t elapsed_us(TimePoint from, TimePoint to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

}  // namespace

Error SerialLane::scan(ByteView bytes) {
  while (!bytes.empty() || scanner_.owes_done()) {
    if (due_.empty()) return Error(Errc::unreachable, "a reply that nothing was sent for");
    Due& front = due_.front();
    if (front.what == Expect::queued) {
      const std::uint32_t queued = scanner_.skip_queued(bytes, front.count);
      if (queued > 0) {
        (sent_.empty() ? open_ : sent_.front()).queued += queued;
        front.count -= queued;
        if (front.count == 0) due_.pop_front();
        continue;
      }
    }
    const bool in_exec = front.what == Expect::exec;
    switch (in_exec ? scanner_.next_element(bytes) : scanner_.next(bytes)) {
      case ReplyScanner::Status::need_more:
        return Error();
      case ReplyScanner::Status::corrupt:
        return Error(Errc::unreachable, "a reply is not RESP");
      case ReplyScanner::Status::element:
        if (Error error = on_element()) return error;
        break;
      case ReplyScanner::Status::done:
        if (Error error = on_reply()) return error;
        if (!connected_) return Error(Errc::cancelled, "stopped");
        break;
    }
  }
  return Error();
}

Error SerialLane::on_reply() {
  const Due due = due_.front();
  if (--due_.front().count == 0) due_.pop_front();
  const std::string& error = scanner_.error();
  switch (due.what) {
    case Expect::ok:
    case Expect::fence:
      if (!error.empty()) return Error(Errc::unreachable, error);
      if (due.what == Expect::ok) return Error();
      if (scanner_.lowest_integer() != 1)
        return Error(Errc::unreachable, "the fence is not ours any more");
      fence_ok_ = true;
      return Error();
    case Expect::queued:
      on_queued(error);
      return Error();
    case Expect::exec:
      return on_exec_reply();
    case Expect::take_back:
      take_back();
      return Error();
    case Expect::guard:
    case Expect::bare:
      return Error();  // their transaction will tell
  }
  return Error();
}

// With an error EXEC will refuse the whole transaction; what it says then does not name the reason.
// Those before it have been judged by now.
void SerialLane::on_queued(const std::string& error) {
  Transaction& transaction = sent_.empty() ? open_ : sent_.front();
  std::uint64_t replies_before = transaction.queued++;
  if (error.empty() || taking_back_ || !transaction.error.empty()) return;
  transaction.error = error;
  Cursor at = judged_;
  for (; settle_at(at); ++at.unit) {
    const std::uint64_t replies = batch_at(at).units[at.unit].select_sent ? 2 : 1;
    if (replies_before < replies) break;
    replies_before -= replies;
  }
  transaction.refused = at;
  if (sent_.empty()) refuse(open_);
}

// One element of EXEC's array: the verdict on the next unit.
Error SerialLane::on_element() {
  if (taking_back_) return overtaken();
  const std::string& error = scanner_.error();
  Transaction& executed = sent_.front();
  if (executed.units == 0 || !settle_at(judged_)) {
    // Our own commands behind the last unit.
    return error.empty() ? Error() : Error(Errc::data_refused, "the record: " + error);
  }
  if (judged_.batch != first_batch_) pop_finished();
  LaneBatch& batch = batch_at(judged_);
  const Unit& unit = batch.units[judged_.unit];
  if (unit.select_sent && !std::exchange(select_seen_, true)) return Error();
  select_seen_ = false;
  --executed.units;
  --sent_units_;
  const bool explained = (!error.empty() || events_.any_suspect()) && events_.inspect(unit, error);
  if (error.empty() || explained) {
    if (unit.sets_ttl &&
        (is_late(unit, batch.received, Clock::now()) || scanner_.lowest_integer() <= 0))
      events_.doubtful(unit);
    if (unit.is_copy) events_.healed(unit);
    answer(unit);
  } else {
    --total_units_;
    const HeldUnit held{unit, batch.cargo, batch.ticket, batch.received};
    if (!events_.refused(held, error, true)) return Error(Errc::cancelled, "refused");
  }
  ++judged_.unit;
  return Error();
}

Error SerialLane::on_exec_reply() {
  Transaction done = std::move(sent_.front());
  sent_.pop_front();
  sent_units_ -= done.units;
  if (taking_back_) return Error();
  if (scanner_.is_null()) return Error(Errc::unreachable, "the fence was touched");
  if (!scanner_.error().empty()) {
    // "Transaction discarded because of previous errors" says less than what was answered before.
    if (done.error.empty()) done.error = scanner_.error();
    refuse(done);
    return Error();
  }
  adapt_size(done);
  record_->offset = done.end;
  last_db_ = done.end_db;
  recorded_ = done.judged;
  if (!events_.any_suspect()) {
    record_->judged = record_->offset;
    record_->db = last_db_;
  }
  backoff_.reset();
  pop_finished();
  return Error();
}

// Small enough not to hold up the target's other users, large enough to fill a long way there.
void SerialLane::adapt_size(const Transaction& done) {
  const TimePoint now = Clock::now();
  const std::int64_t took_us = elapsed_us(done.exec_at, now);
  if (fastest_exec_us_ == 0 || took_us < fastest_exec_us_) fastest_exec_us_ = took_us;
  // It may have waited behind others.
  const std::int64_t busy_us =
      std::min(took_us - fastest_exec_us_, elapsed_us(std::exchange(verdict_at_, now), now));
  const std::int64_t busy_max_us = options_.delivery_transaction_max_ms * 1000;
  const auto most = static_cast<std::uint64_t>(std::clamp(
      fastest_exec_us_ / round_trip_us_per_unit, transaction_least_units, transaction_most_units));
  if (busy_us > busy_max_us) {
    transaction_max_units_ = std::max<std::uint64_t>(1, transaction_max_units_ / 2);
  } else if (done.is_full && busy_us * 2 < busy_max_us) {
    transaction_max_units_ = std::min(most, transaction_max_units_ * 2);
  }
}

// A transaction was not executed: nothing that was sent behind it is either.
void SerialLane::refuse(const Transaction& transaction) {
  refusal_ = transaction.error;
  refused_at_ = transaction.refused;
  taking_back_ = true;
}

// The guards did not hold: nobody knows any more what the target has.
Error SerialLane::overtaken() {
  log_error("a transaction was executed behind one that was refused");
  record_.reset();
  events_.lost(std::nullopt);
  return Error(Errc::cancelled, "the target does not stand where it was");
}

void SerialLane::take_back() {
  forget_sent();
  gather_prologue_next_ = true;
  act_on_refusal();
}

void SerialLane::act_on_refusal() {
  const Judgement judgement = judge_reply(refusal_);
  if (judgement.verdict == Verdict::refused && refused_at_ && settle_at(*refused_at_)) {
    LaneBatch& batch = batch_at(*refused_at_);
    Unit& unit = batch.units[refused_at_->unit];
    const HeldUnit held{unit, batch.cargo, batch.ticket, batch.received};
    if (!events_.refused(held, refusal_, false)) return;
    unit.is_gone = true;
    --total_units_;
    pop_finished();
    return;
  }
  events_.retried(refusal_);
  if (judgement.kind == "READONLY" || judgement.verdict == Verdict::unreachable) {
    connection_.close(true);  // the address may lead to another server by now
    return;
  }
  relief_wanted_ = judgement.kind == "OOM";
  not_before_ = Clock::now() + backoff_.next();
}

}  // namespace keyferry
