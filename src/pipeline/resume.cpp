// Pipeline: going on where the target's record says, and healing keys that the stream alone cannot
// bring right.
#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/pipeline.hpp"

namespace keyferry {
namespace {

constexpr Millis heal_interval{20};
constexpr Millis heal_retry_interval{500};
constexpr std::size_t heal_keys_at_once = 64;
constexpr std::int64_t heal_lag_max_bytes = 1024 * 1024;
// Readings of the source's offset come every second; a command that may be older than this may have
// met a key at the target that had expired there and not at the source.
constexpr std::int64_t late_after_ms = 1500;
constexpr Millis hand_back_limit{1000};

}  // namespace

void Pipeline::resume_at(const Record& record) {
  resume_ = record;
  ReplicationPosition position;
  position.replid = record.replid;
  // First make sure that the source's history holds the furthest point that the target has, else it
  // would go on from a fork below that.
  probing_ = record.offset > record.judged;
  position.offset = probing_ ? record.offset : record.judged;
  log_info("going on where the target is: replid={} offset={} judged={}", record.replid,
           record.offset, record.judged);
  psync_.go_on_at(position);
}

// The source goes on at the position we asked for. Its history may have a new name by now.
Task<Error> Pipeline::begin_stream(Intake::FullSync start) {
  KEYFERRY_ASSERT(resume_);
  if (std::exchange(probing_, false)) {
    ReplicationPosition lowest = start.position;
    lowest.offset = resume_->judged;
    psync_.go_on_at(lowest);
    co_return Error();
  }
  Record record = std::move(*resume_);
  resume_.reset();
  record.replid = start.position.replid;
  watermark_.reset(record.judged);
  lag_.stream(record.replid);
  decoder_.start(record.judged, record.db);
  window_.clear();
  in_snapshot_ = false;
  in_stream_ = true;
  sink_.begin_stream(std::move(record));
  on_progress();
  psync_.ack_now();
  if (options_.stop_when == StopWhen::snapshot && !draining_) {
    log_info("the snapshot was applied by an earlier run");
    reached_goal_ = true;
    finish_received();
  }
  co_return Error();
}

// The target stands somewhere else than we left it.
void Pipeline::on_lost(std::optional<Record> found) {
  if (finished_) return;
  const bool usable = found && found->state == Record::State::complete &&
                      found->generation == sink_.generation() && !in_snapshot_ &&
                      found->replid == source_.replid;
  log_warn("the target lost writes that it had acknowledged: {}",
           usable ? fmt::format("going back to offset {}", found->offset)
                  : std::string("it has to be copied again"));
  if (usable) {
    resume_at(*found);
    return;
  }
  resume_.reset();
  was_lost_ = true;
  psync_.resync();
}

// Another full sync is about to begin.
Error Pipeline::judge_resync() {
  if (options_.delivery_on_lost_history == LostHistory::fail && sink_.is_exactly_once()) {
    return Error(
        Errc::history_lost,
        "the stream cannot go on where the target is, and delivery.on_lost_history is fail");
  }
  const TimePoint now = Clock::now();
  std::erase_if(full_syncs_, [now](TimePoint at) { return now - at > std::chrono::hours(1); });
  if (sink_.is_exactly_once() &&
      static_cast<std::int64_t>(full_syncs_.size()) >= options_.delivery_full_resyncs_per_hour) {
    return Error(Errc::history_lost, fmt::format("another full sync would be more than "
                                                 "delivery.full_resyncs_per_hour ({}) allows",
                                                 options_.delivery_full_resyncs_per_hour));
  }
  full_syncs_.push_back(now);
  return Error();
}

// Whether commands behind `from` may have been executed at the source long before now.
bool Pipeline::is_late(Offset from) {
  while (readings_.size() > 1 && readings_[1].first <= from)
    readings_.pop_front();
  return readings_.empty() || readings_.front().first > from ||
         elapsed_ms(readings_.front().second, Clock::now()) > late_after_ms;
}

// Copies suspect keys from the source. While a copy is made nothing is decoded, so that its offset
// is not behind us when it comes; it is applied when the stream has come to that offset.
Task<Error> Pipeline::heal() {
  bool told = false;
  while (!finished_) {
    co_await halt_.wait_for(heal_interval);
    if (finished_ || !in_stream_ || sink_.is_healing() || sink_.suspects().empty()) continue;
    // Far behind, many more may come, and copies would have to be kept until the stream is there.
    if (lag_.lag_bytes(Clock::now()).value_or(heal_lag_max_bytes) >= heal_lag_max_bytes) continue;
    const auto keys = sink_.suspects().take(heal_keys_at_once);
    if (keys.empty()) continue;
    co_await close_gate();
    auto copies = co_await copier_.fetch(keys);
    const bool usable =
        copies && copies->replid == source_.replid && in_stream_ && copies->at >= decoder_.offset();
    if (!usable) {
      sink_.suspects().give_back(keys);
      open_gate();
      if (finished_) break;
      if (!std::exchange(told, true)) {
        log_warn("suspect keys cannot be copied from the source now: keys={} error=\"{}\"",
                 sink_.suspects().size(), copies ? "another history" : copies.error().what);
      }
      co_await halt_.wait_for(heal_retry_interval);
      continue;
    }
    told = false;
    const Offset at = copies->at;
    sink_.heal(std::move(*copies));
    Error error;
    if (at == decoder_.offset()) {
      // The stream is there already, and may bring nothing more for a long time.
      auto nothing = std::make_unique<Batch>();
      nothing->end = at;
      nothing->db = decoder_.db();
      nothing->received = Clock::now();
      error = co_await sink_.apply(std::move(nothing));
    }
    open_gate();
    if (error && !error.is(Errc::cancelled)) co_return error;
  }
  co_return Error();
}

Task<void> Pipeline::close_gate() {
  gate_closed_ = true;
  while (is_decoding_ && !finished_)
    co_await halt_.wait_for(Millis(1));
}

void Pipeline::open_gate() {
  gate_closed_ = false;
  gate_.notify();
}

// A successor need not wait for our lease to expire.
Task<void> Pipeline::hand_back() {
  Error ignored = co_await with_deadline(hand_back_limit, sink_.let_go());
}

}  // namespace keyferry
