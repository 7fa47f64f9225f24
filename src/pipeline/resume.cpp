// Pipeline: going on where the target's record says, and healing keys that the stream alone cannot
// bring right.
#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/pipeline.hpp"

namespace keyferry {
namespace {

constexpr Millis heal_interval{20};
constexpr Millis heal_turn{1};
constexpr Millis heal_retry_interval{500};
constexpr std::size_t heal_many = 32;  // waiting keys, so that it goes on at once
// So many keys are copied in one step at the source, as far as they are small: it does nothing else
// meanwhile, and copies are held whole.
constexpr std::size_t heal_keys_most = 1024;
constexpr std::size_t heal_keys_of_a_slot = 64;
constexpr std::size_t heal_bytes_most = 1024 * 1024;
constexpr std::int64_t heal_lag_max_bytes = 1024 * 1024;
// Readings of the source's offset come every second; a command that may be older than this may have
// met a key at the target that had expired there and not at the source.
constexpr std::int64_t late_after_ms = 1500;
constexpr Millis hand_back_limit{1000};

// The shard does not have the key any more.
bool is_elsewhere(ByteView refusal) {
  return refusal.find("MOVED ") != ByteView::npos || refusal.find("ASK ") != ByteView::npos;
}

}  // namespace

// Where a directory for it is given, the received stream outlives us.
Task<Error> Pipeline::open_kept_stream() {
  if (!sink_.is_exactly_once() || !options_.spool_enabled || options_.spool_dir.empty())
    co_return Error();
  const std::string dir = options_.spool_dir + "/" + sink_.link();
  const std::int64_t segment_bytes = KeptStream::segment_bytes_for(options_.spool_max_bytes);
  const auto log = std::make_shared<std::shared_ptr<StreamLog>>();
  std::function<Error()> work = [dir, segment_bytes, log] {
    auto opened = StreamLog::open(dir, segment_bytes);
    if (!opened) return opened.error();
    *log = std::move(*opened);
    return Error();
  };
  Error error = co_await run_in_pool(std::move(work));
  if (error) co_return error;
  kept_ = std::make_unique<KeptStream>(executor_, std::move(*log), options_.spool_max_bytes,
                                       options_.delivery_retain_bytes);
  intake_.keep_streams(*kept_);
  co_return Error();
}

void Pipeline::enter_history(const std::string& replid) {
  if (kept_) kept_->continue_as(replid);
  sink_.enter_history(replid);
  if (!histories_.empty() && histories_.back() == replid) return;
  // They may show what the new master never had.
  sink_.give_back_copies();
  histories_.push_back(replid);
}

// How long we may be away, once two readings of the source's offset tell.
void Pipeline::tell_backlog() {
  const SourceHistory& source = observer_.history();
  if (!in_stream_ || source.backlog_bytes == 0) return;
  if (readings_in_stream_ == 2) return;
  if (++readings_in_stream_ < 2) return;
  const std::int64_t rate = observer_.write_rate_bytes_per_s();
  log_info("the source's backlog bridges an interruption of {}: backlog_bytes={} bytes_per_s={}",
           rate > 0 ? fmt::format("{} s", source.backlog_bytes / rate) : "any length while idle",
           source.backlog_bytes, rate);
}

// From what we kept, if that is longer than what the target has, else from the source.
void Pipeline::resume_at(const Record& record) {
  resume_ = record;
  ReplicationPosition position;
  position.replid = record.replid;
  position.offset = record.judged;
  log_info("going on where the target is: replid={} offset={} judged={}", record.replid,
           record.offset, record.judged);
  if (file_) return file_->go_on_at(position);
  const SourceHistory& source = observer_.history();
  const bool renamed = !source.replid.empty() && source.replid != record.replid;
  position.offset = record.offset;
  if (renamed && !source.holds(position)) {
    log_warn(
        "the source failed over to a replica that had received less than the target has: it has "
        "to be copied again");
    resume_.reset();
    psync_.resync();
    return;
  }
  ReplicationPosition received;
  if (kept_ && kept_->is_on()) {
    received.replid = kept_->history();
    received.offset = kept_->received();
  }
  // What a process before us received need not be what the source has now.
  const bool usable = source_.ever_linked || source.holds(received);
  ReplicationPosition lowest = position;
  lowest.offset = record.judged;
  if (usable && !received.replid.empty() && intake_.rewind(lowest)) {
    log_info("the stream up to offset {} is here", received.offset);
    if (!source_.ever_linked) psync_.follow_from(received);
    return;
  }
  // Where INFO told nothing of its history the source is asked for the furthest point first.
  probing_ = source.replid.empty() && record.offset > record.judged;
  psync_.go_on_at(probing_ ? position : lowest);
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
                      is_our_past(found->replid);
  log_warn("the target lost writes that it had acknowledged: {}",
           usable ? fmt::format("going back to offset {}", found->offset)
                  : std::string("it has to be copied again"));
  if (usable) {
    resume_at(*found);
    return;
  }
  resume_.reset();
  was_lost_ = true;
  if (file_) {
    file_->resync();
  } else {
    psync_.resync();
  }
}

// Whether the stream has had this name.
bool Pipeline::is_our_past(const std::string& replid) const {
  return std::find(histories_.begin(), histories_.end(), replid) != histories_.end();
}

// The target is emptied for it, so it must be ours alone.
bool Pipeline::can_resync() const {
  return !file_ && role == nullptr && options_.snapshot_enabled && sink_.target_was_empty();
}

void Pipeline::resync() {
  if (finished_ || draining_ || drain_wanted_ || !in_stream_ || resume_ || !can_resync()) {
    log_warn("resync refused: the link is not following its source");
    return;
  }
  log_info("resync: everything is copied again");
  resync_asked_ = true;
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
  bool alone = false;
  while (!finished_) {
    // Others come meanwhile, and the same ones again, unless too many wait already.
    const bool has_more = sink_.suspects().waiting() > (is_shard() ? 1 : heal_many);
    co_await halt_.wait_for(has_more ? heal_turn : heal_interval);
    // Without a link the source that answers may be one that is not followed any more.
    const bool is_linked = in_stream_ && source_.link_up;
    if (finished_ || !is_linked || sink_.is_healing() || sink_.suspects().empty()) continue;
    // Far behind, many more may come, and copies would have to be kept until the stream is there.
    if (lag_.lag_bytes(Clock::now()).value_or(heal_lag_max_bytes) >= heal_lag_max_bytes) continue;
    auto keys = is_shard() ? sink_.suspects().take_of_one_slot(alone ? 1 : heal_keys_of_a_slot)
                           : sink_.suspects().take(heal_keys_most);
    if (keys.empty()) continue;
    const std::size_t few = co_await copier_.count_within(keys, heal_bytes_most);
    const auto rest = keys.begin() + static_cast<std::ptrdiff_t>(few);
    sink_.suspects().give_back({rest, keys.end()});
    keys.erase(rest, keys.end());
    co_await close_gate();
    auto copies = co_await copier_.fetch(keys);
    const bool usable = copies && copies->replid == source_.replid && in_stream_ &&
                        source_.link_up && copies->at >= decoder_.offset();
    alone = false;
    if (!usable && is_shard() && !copies) {
      const ByteView refusal = copies.error().what;
      alone = refusal.find("TRYAGAIN") != ByteView::npos;
      if (is_elsewhere(refusal)) {
        // Whoever has it now sends it whole, behind everything of ours.
        for (const auto& [db, key] : keys)
          sink_.suspects().healed(db, key);
        open_gate();
        continue;
      }
    }
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
      nothing->effects = decoder_.effects();
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
