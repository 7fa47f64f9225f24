// SerialLane: what the target answers, and what a refusal leads to.
#include "keyferry/cluster/redirect.hpp"
#include "keyferry/sink/late.hpp"
#include "keyferry/sink/serial_lane.hpp"

namespace keyferry {
namespace {

constexpr std::size_t transaction_least_bytes = 4 * 1024;
constexpr std::size_t transaction_most_bytes = 2 * 1024 * 1024;
// Where an answer takes this long, it is the line that must be filled.
constexpr std::int64_t far_away_us = 10000;
constexpr std::size_t transaction_most_bytes_far_away = 8 * 1024 * 1024;

std::int64_t elapsed_us(TimePoint from, TimePoint to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

}  // namespace

Error SerialLane::scan(ByteView bytes) {
  while (!bytes.empty() || scanner_.owes_done()) {
    if (due_.empty()) return Error(Errc::unreachable, "a reply that nothing was sent for");
    const bool in_exec = due_.front().what == Expect::exec;
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
    case Expect::queued: {
      Transaction& transaction = due.of_open ? open_ : executing_;
      if (!error.empty()) on_queue_error(transaction, error);
      ++transaction.queued;
      return Error();
    }
    case Expect::exec:
      return on_exec_reply();
    case Expect::discard:
      take_back();
      return Error();
    case Expect::bare:
      return Error();  // their transaction will tell
  }
  return Error();
}

// EXEC will refuse the whole transaction; what it says then does not name the reason.
void SerialLane::on_queue_error(Transaction& transaction, const std::string& error) {
  if (taking_back_ || !transaction.error.empty()) return;
  transaction.error = error;
  Cursor at = judged_;
  std::uint64_t units_before = &transaction == &open_ ? executing_.units : 0;
  std::uint64_t replies_before = transaction.queued;
  for (; settle_at(at); ++at.unit) {
    if (units_before > 0) {
      --units_before;
      continue;
    }
    const std::uint64_t replies = batch_at(at).units[at.unit].select_sent ? 2 : 1;
    if (replies_before < replies) break;
    replies_before -= replies;
  }
  transaction.refused = at;
  if (&transaction == &open_ && !executing_.sent) refuse(open_);
}

// One element of EXEC's array: the verdict on the next unit.
Error SerialLane::on_element() {
  const std::string& error = scanner_.error();
  if (executing_.units == 0 || !settle_at(judged_)) {
    // Our own commands behind the last unit.
    return error.empty() ? Error() : Error(Errc::data_refused, "the record: " + error);
  }
  if (judged_.batch != first_batch_) pop_finished();
  LaneBatch& batch = batch_at(judged_);
  const Unit& unit = batch.units[judged_.unit];
  if (unit.select_sent && !std::exchange(select_seen_, true)) return Error();
  select_seen_ = false;
  --executing_.units;
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
  if (scanner_.is_null()) return Error(Errc::unreachable, "the fence was touched");
  if (!scanner_.error().empty()) {
    // "Transaction discarded because of previous errors" says less than what was answered before.
    if (executing_.error.empty()) executing_.error = scanner_.error();
    refuse(executing_);
    return Error();
  }
  const std::int64_t took_us = elapsed_us(executing_.exec_at, Clock::now());
  if (fastest_exec_us_ == 0 || took_us < fastest_exec_us_) fastest_exec_us_ = took_us;
  adapt_size(took_us);
  record_->offset = executing_.end;
  last_db_ = executing_.end_db;
  recorded_ = executing_.judged;
  if (!events_.any_suspect()) {
    record_->judged = record_->offset;
    record_->db = last_db_;
  }
  executing_ = Transaction();
  backoff_.reset();
  pop_finished();
  if (!open_.error.empty()) refuse(open_);
  return Error();
}

// Small enough not to hold up the target's other users, large enough to fill a long way there.
void SerialLane::adapt_size(std::int64_t took_us) {
  const std::int64_t busy_ms = (took_us - fastest_exec_us_) / 1000;
  if (busy_ms > options_.delivery_transaction_max_ms) {
    transaction_max_bytes_ = std::max(transaction_least_bytes, transaction_max_bytes_ / 2);
  } else if (executing_.bytes >= transaction_max_bytes_ &&
             busy_ms * 2 < options_.delivery_transaction_max_ms && took_us < 2 * fastest_exec_us_) {
    const std::size_t most =
        fastest_exec_us_ < far_away_us ? transaction_most_bytes : transaction_most_bytes_far_away;
    transaction_max_bytes_ = std::min(most, transaction_max_bytes_ * 2);
  }
}

// A transaction was not executed: nothing that was sent behind it may be either.
void SerialLane::refuse(const Transaction& transaction) {
  refusal_ = transaction.error;
  refused_at_ = transaction.refused;
  taking_back_ = true;
  discard_sent_ = !open_.multi_sent;
  if (!open_.multi_sent) take_back();
}

void SerialLane::take_back() {
  write_ = judged_;
  executing_ = open_ = Transaction();
  taking_back_ = discard_sent_ = select_seen_ = false;
  selected_db_ = 0;
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
