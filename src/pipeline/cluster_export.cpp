#include "keyferry/pipeline/cluster_export.hpp"

#include <algorithm>

#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

constexpr Millis publish_interval{100};
constexpr std::int64_t log_interval_ms = 5000;
// What was taken lies in memory for at most so long, whatever the interval of syncs.
constexpr std::int64_t write_interval_ms = 200;
constexpr std::size_t rounds_per_hour_max = 6;
constexpr Millis between_rounds{500};
// At the end the nodes may need a moment to agree on a move that is over.
constexpr std::int64_t agreement_max_ms = 3000;
constexpr Millis ask_again{200};

}  // namespace

ClusterExport::ClusterExport(const asio::any_io_executor& executor, const Options& options,
                             StatusBoard& board)
    : executor_(executor),
      options_(options),
      board_(board),
      source_(executor, options.source),
      sink_(options),
      turn_(executor),
      scope_(executor),
      step_(executor),
      look_(executor) {}

Task<Error> ClusterExport::run() {
  began_ = logged_at_ = Clock::now();
  scope_.spawn(report());
  Error ending = co_await play_rounds();
  ending = co_await end_link(std::move(ending));
  if (!result_) result_ = std::move(ending);
  finished_ = true;
  source_.close();
  step_.notify();
  const Error error = co_await scope_.join();
  KEYFERRY_ASSERT(!error);  // a report has none
  publish(Clock::now());
  co_return result_;
}

Task<Error> ClusterExport::play_rounds() {
  Error error = sink_.open();
  while (!error) {
    error = co_await play_round();
    if (error || result_ || renewal_.empty() || stopping_) break;
    error = judge_renewal();
    if (!error) co_await step_.wait_for(between_rounds);
  }
  co_return error;
}

Error ClusterExport::judge_renewal() {
  const TimePoint now = Clock::now();
  while (!rounds_.empty() && now - rounds_.front() > std::chrono::hours(1))
    rounds_.pop_front();
  if (rounds_.size() >= rounds_per_hour_max) {
    return {Errc::history_lost,
            fmt::format("{}; everything has been written anew {} times within an hour", renewal_,
                        rounds_.size() - 1)};
  }
  log_warn("everything is written anew: {}", renewal_);
  return Error();
}

// From the snapshots to the end of the link, or to where it has to begin anew.
Task<Error> ClusterExport::play_round() {
  renewal_.clear();
  is_streaming_ = leaving_ = round_over_ = false;
  joined_.clear();
  shards_.clear();
  sink_.drop_feeds();
  rounds_.push_back(Clock::now());
  ++rounds_begun_;
  Error error = co_await begin_shape();
  if (error || stopping_) co_return error;
  round_ = std::make_unique<Scope>(executor_);
  round_->on_error([this](const Error& first) { fail(first); });
  round_->spawn(follow());
  round_->spawn(sync());
  round_->spawn(read_snapshots());
  error = co_await round_->join();
  co_return result_;
}

// One after the other: memory and the disks of the source hold one at a time.
Task<Error> ClusterExport::read_snapshots() {
  for (std::size_t i = 0; i < shards_.size() && !round_over_; ++i) {
    Shard& shard = *shards_[i];
    shard.role.begins_file = i == 0;
    has_file_ = true;
    begin_shard(shard);
    while (!shard.has_snapshot && !round_over_)
      co_await step_.wait();
  }
  if (round_over_) co_return Error();
  Error error = co_await read_settled();
  if (round_over_) co_return Error();
  if (error || !is_as_known() || source_.view().epoch != epoch_) {
    begin_anew("slots moved, or masters changed, while the snapshots were read");
    co_return Error();
  }
  co_await turn_.take();
  error = co_await sink_.end_snapshot();
  turn_.give();
  if (error) co_return error;
  log_info("the snapshots of all shards are written: shards={} file={}", shards_.size(),
           options_.target.uri.path);
  is_streaming_ = true;
  incomplete_.clear();
  step_.notify();
  if (sink_.has_stream() && options_.stream_enabled && options_.stop_when != StopWhen::snapshot)
    co_return Error();
  reached_goal_ = true;
  end_round();
  co_return Error();
}

Task<Error> ClusterExport::run_shard(Shard& shard) {
  Error error = co_await shard.link->run();
  shard.has_ended = true;
  if (error.is(Errc::cancelled)) error = Error();
  if (!error || round_over_) {
    settle_end();
    co_return Error();
  }
  co_return with_context("shard " + to_string(shard.master), std::move(error));
}

// The streams of all shards begin together, behind the last snapshot: nothing is put between the
// pieces of a value.
Task<Error> ClusterExport::await_streams(Shard& shard) {
  shard.has_snapshot = true;
  step_.notify();
  while (!is_streaming_ && !round_over_)
    co_await step_.wait();
  if (round_over_) co_return Error(Errc::cancelled, "the round is over");
  co_return Error();
}

// Brings what was taken to disk, now and then.
Task<Error> ClusterExport::sync() {
  const std::int64_t interval = options_.target_file_fsync_interval_ms;
  TimePoint synced = Clock::now();
  while (!round_over_) {
    co_await step_.wait_for(Millis(std::clamp<std::int64_t>(interval, 20, write_interval_ms)));
    if (round_over_ || !is_streaming_) continue;
    co_await turn_.take();
    Error error;
    if (elapsed_ms(synced, Clock::now()) >= interval) {
      synced = Clock::now();
      error = co_await sink_.sync();
    } else {
      error = co_await sink_.write();
    }
    turn_.give();
    if (error) co_return error;
    for (const auto& shard : shards_) {
      if (shard->link && !shard->has_ended) shard->link->note_written();
    }
  }
  co_return Error();
}

// Nothing else runs any more. The file ends properly whatever ended the link, and what it may lack
// is told.
Task<Error> ClusterExport::end_link(Error error) {
  if (!has_file_) co_return error;
  Error closing = co_await sink_.sync();
  if (!closing) closing = co_await sink_.finish();
  if (error || result_) co_return error;
  if (closing) co_return closing;
  error = judge_end();
  if (!error) error = co_await judge_moves();
  co_return error;
}

Error ClusterExport::judge_end() const {
  if (!incomplete_.empty()) {
    return {Errc::left_early,
            "the link ended before everything was written anew, and the file is incomplete (start "
            "again): " +
                incomplete_};
  }
  for (const auto& shard : shards_) {
    if (!shard->link || !shard->link->has_left_out()) continue;
    return {Errc::left_early,
            fmt::format("what shard {} did to slots that were moving waited for other shards when "
                        "the link ended, and is missing in the file (start again)",
                        to_string(shard->master))};
  }
  return Error();
}

// Whether a key was on its way between two masters when the streams ended.
Task<Error> ClusterExport::judge_moves() {
  if (!is_streaming_) {
    log_warn("stopped inside the snapshots: the file is incomplete");
    co_return Error();
  }
  const bool has_streams = sink_.has_stream() && options_.stream_enabled;
  if (!has_streams || options_.stop_when == StopWhen::snapshot) co_return Error();
  Error error;
  const TimePoint begin = Clock::now();
  while (elapsed_ms(begin, Clock::now()) < agreement_max_ms) {
    error = co_await read_settled();
    // Slots may even have come back meanwhile.
    if (!error && is_as_known() && (!stopping_ || source_.view().epoch == epoch_))
      co_return Error();
    co_await step_.wait_for(ask_again);
  }
  const std::string why = error ? error.what : "slots have another master than the file knows";
  if (error.is(Errc::unreachable)) {
    log_warn("whether slots were moving when the link ended is not known: {}", why);
    co_return Error();
  }
  co_return Error(Errc::left_early,
                  "slots were moving when the link ended, and what was on its way may be missing "
                  "in the file (start again): " +
                      why);
}

// When the last shard has ended there is nothing left to do.
void ClusterExport::settle_end() {
  step_.notify();
  if (round_over_ || !is_streaming_) return;
  bool any_goal = false;
  for (const auto& shard : shards_) {
    if (shard->link && !shard->has_ended) return;
    any_goal = any_goal || (shard->link && shard->link->reached_goal());
  }
  reached_goal_ = any_goal && !stopping_;
  end_round();
}

void ClusterExport::end_round() {
  if (std::exchange(round_over_, true)) return;
  for (const auto& shard : shards_) {
    if (shard->link && !shard->has_ended) shard->link->leave();
  }
  step_.notify();
  look_.notify();
}

void ClusterExport::begin_anew(const std::string& why) {
  if (round_over_) return;
  renewal_ = incomplete_ = why;
  end_round();
}

void ClusterExport::fail(Error error) {
  if (!result_ && !round_over_) result_ = std::move(error);
  end_round();
}

void ClusterExport::stop() {
  if (std::exchange(stopping_, true)) return;
  log_info("stopping: writing what has been received");
  paused_ = false;
  if (!is_streaming_) return end_round();
  for (const auto& shard : shards_)
    shard->link->stop();
}

void ClusterExport::drain() {
  draining_ = true;
  paused_ = false;
  for (const auto& shard : shards_) {
    if (shard->link) shard->link->drain();
  }
}

void ClusterExport::abort() {
  stopping_ = true;
  if (!result_ && !finished_)
    result_ = Error(Errc::left_early, "left before everything received was written");
  end_round();
}

void ClusterExport::pause() {
  paused_ = true;
  for (const auto& shard : shards_) {
    if (shard->link) shard->link->pause();
  }
}

void ClusterExport::resume() {
  paused_ = false;
  for (const auto& shard : shards_) {
    if (shard->link) shard->link->resume();
  }
}

bool ClusterExport::all_ready() const {
  return is_streaming_ && std::all_of(shards_.begin(), shards_.end(), [](const auto& shard) {
           return shard->has_ended || shard->role.is_ready;
         });
}

Task<Error> ClusterExport::report() {
  while (!finished_) {
    publish(Clock::now());
    co_await step_.wait_for(publish_interval);
  }
  co_return Error();
}

void ClusterExport::publish(TimePoint now) {
  std::vector<Status> all;
  for (const auto& shard : shards_) {
    if (shard->link) all.push_back(*shard->board.read());
  }
  const bool has_all = !shards_.empty() && all.size() == shards_.size();
  const auto status = std::make_shared<Status>(sum_of(std::move(all)));
  if (status->shards.empty()) status->phase = Phase::connecting;
  const bool goes_on = status->phase == Phase::steady || status->phase == Phase::catch_up ||
                       status->phase == Phase::stopped;
  if (!is_streaming_ && has_file_ && goes_on) status->phase = Phase::snapshot;
  if (!has_all) {
    status->snapshot_keys_total.reset();
    status->snapshot_bytes_total.reset();
  }
  status->synced = status->synced && is_streaming_;
  if (finished_) status->phase = result_ ? Phase::failed : Phase::stopped;
  status->full_resyncs = rounds_begun_ == 0 ? 0 : rounds_begun_ - 1;
  status->uptime_s = static_cast<double>(elapsed_ms(began_, now)) / 1000;
  const Uri& uri = options_.source.uri;
  if (!uri.hosts.empty())
    status->source = to_string(Endpoint{uri.hosts.front().host, uri.hosts.front().port});
  if (!last_error_.empty() && !status->last_error) status->last_error = last_error_;
  if (result_) status->last_error = result_.what;
  status->published_ms = std::chrono::duration_cast<Millis>(now.time_since_epoch()).count();
  const bool is_due = elapsed_ms(logged_at_, now) >= log_interval_ms || finished_;
  if (is_due && logs_progress) {
    logged_at_ = now;
    log_info("progress: phase={} shards={} keys={} commands={} written_bytes={} lag_bytes={}",
             to_string(status->phase), status->shards.size(), status->snapshot_keys_done,
             status->applied - status->snapshot_keys_done, status->target_bytes,
             status->lag_bytes ? std::to_string(*status->lag_bytes) : "unknown");
  }
  board_.publish(status);
}

}  // namespace keyferry
