// Export: phases, the published status, and the progress line in the log.
#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/export.hpp"
#include "keyferry/pipeline/file_progress.hpp"

namespace keyferry {
namespace {

constexpr Millis publish_interval{100};
constexpr std::int64_t log_interval_ms = 5000;

}  // namespace

Task<Error> Export::report() {
  while (!finished_) {
    const TimePoint now = Clock::now();
    lag_.stream(source_.replid);
    lag_.link(source_.link_up && in_stream_);
    publish(now);
    if (!has_logged_ || elapsed_ms(logged_at_, now) >= log_interval_ms) log_progress(now);
    co_await halt_.wait_for(publish_interval);
  }
  log_progress(Clock::now());
  co_return Error();
}

Phase Export::phase() const {
  if (finished_) return result_ ? Phase::failed : Phase::stopped;
  if (draining_ || drain_wanted_) return Phase::draining;
  if (paused_) return Phase::paused;
  if (source_.handshaking) return Phase::handshake;
  if (!source_.link_up) return Phase::connecting;
  if (!in_stream_) return Phase::snapshot;
  return caught_up_ ? Phase::steady : Phase::catch_up;
}

void Export::publish(TimePoint now) {
  const DumpStats& sink = feed_.stats;
  auto status = std::make_shared<Status>();
  Status& s = *status;
  s.phase = phase();
  s.synced = in_stream_ && lag_.synced(now);
  s.uptime_s = static_cast<double>(elapsed_ms(began_, now)) / 1000;
  if (in_stream_) {
    s.lag_bytes = lag_.lag_bytes(now);
    s.lag_ms = lag_.lag_ms(now);
    s.applied_offset = feed_.written;
  }
  s.received_offset = source_.received_offset().value_or(source_.full_sync_offset);
  s.source_offset = observer_.source_offset();
  s.snapshot_keys_done = sink.keys - keys_before_;
  if (keys_total_ > 0) s.snapshot_keys_total = keys_total_;
  s.snapshot_bytes_done = reader_ ? reader_->offset() : 0;
  s.snapshot_bytes_total = full_sync_.frame ? full_sync_.frame->length : std::nullopt;
  throughput_.show(sink.keys + sink.commands, source_.source_bytes, now, s);
  s.commands_applied = s.applied = sink.keys + sink.commands;
  s.filtered = sink.filtered;
  show_filtered(transform_, s);
  s.failed = sink.failed;
  s.reconnects = s.source_reconnects = source_.reconnects;
  s.full_resyncs = source_.full_syncs > 0 ? source_.full_syncs - 1 : 0;
  s.source_bytes = source_.source_bytes;
  s.target_bytes = feed_.bytes;
  s.memory_used_bytes = budget_.used_bytes;
  s.memory_max_bytes = static_cast<std::uint64_t>(options_.limits_memory_max_bytes);
  s.spool_used_bytes = static_cast<std::uint64_t>(spool_.unread_bytes());
  s.spool_max_bytes = static_cast<std::uint64_t>(spool_.max_bytes());
  s.source = redacted(options_.source.uri);
  s.master = source_.master;
  s.replid = source_.replid;
  s.source_link_up = source_.link_up;
  s.is_streaming = in_stream_;
  if (file_) show_file_progress(*file_, s);
  s.lanes.push_back({sink_.path().empty() ? options_.target.uri.path : sink_.path(), 0, 0});
  if (result_) {
    s.last_error = result_.what;
  } else if (!sink.last_error.empty()) {
    s.last_error = sink.last_error;
  } else if (!source_.last_error.empty()) {
    s.last_error = source_.last_error;
  }
  s.published_ms = std::chrono::duration_cast<Millis>(now.time_since_epoch()).count();
  board_.publish(std::move(status));
}

void Export::log_progress(TimePoint now) {
  logged_at_ = now;
  has_logged_ = true;
  if (!logs_progress || role_ != nullptr) return;
  const auto lag = file_ ? board_.read()->lag_bytes : lag_.lag_bytes(now);
  log_info("progress: phase={} keys={} commands={} written_bytes={} lag_bytes={}",
           to_string(phase()), feed_.stats.keys - keys_before_, feed_.stats.commands, feed_.bytes,
           lag ? std::to_string(*lag) : "unknown");
}

}  // namespace keyferry
