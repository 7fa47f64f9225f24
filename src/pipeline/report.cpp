// Pipeline: phases, the published status, and the progress line in the log.
#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/file_progress.hpp"
#include "keyferry/pipeline/pipeline.hpp"
#include "keyferry/pipeline/sink_status.hpp"

namespace keyferry {
namespace {

constexpr Millis publish_interval{100};
constexpr std::int64_t log_interval_ms = 5000;

}  // namespace

Task<Error> Pipeline::report() {
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

Phase Pipeline::phase() const {
  if (finished_) return result_ ? Phase::failed : Phase::stopped;
  if (draining_ || drain_wanted_) return Phase::draining;
  if (paused_) return Phase::paused;
  if (source_.handshaking) return Phase::handshake;
  if (!source_.link_up) return Phase::connecting;
  if (!in_stream_) return Phase::snapshot;
  return caught_up_ ? Phase::steady : Phase::catch_up;
}

void Pipeline::publish(TimePoint now) {
  const SinkStats& sink = sink_.stats();
  auto status = std::make_shared<Status>();
  Status& s = *status;
  s.phase = phase();
  s.synced = in_stream_ && sink_.held_slots() == 0 && sink_.suspects().empty() && lag_.synced(now);
  s.clock_skew_ms = clock_skew_ms_;
  s.uptime_s = static_cast<double>(elapsed_ms(began_, now)) / 1000;
  if (in_stream_) {
    s.lag_bytes = lag_.lag_bytes(now);
    s.lag_ms = lag_.lag_ms(now);
    s.applied_offset = watermark_.applied();
  }
  s.received_offset = source_.received_offset().value_or(source_.full_sync_offset);
  s.source_offset = observer_.source_offset();

  s.snapshot_keys_done = sink.snapshot_keys - keys_before_;
  if (keys_total_ > 0) s.snapshot_keys_total = keys_total_;
  s.snapshot_bytes_done = reader_ ? reader_->offset() : 0;
  s.snapshot_bytes_total = full_sync_.frame ? full_sync_.frame->length : std::nullopt;
  if (in_snapshot_ && keys_total_ > 0 && s.snapshot_keys_done > 0) {
    const double done = static_cast<double>(s.snapshot_keys_done + rules_.left_out());
    const double left = std::max(0.0, static_cast<double>(keys_total_) - done);
    s.snapshot_eta_s = left * static_cast<double>(elapsed_ms(snapshot_began_, now)) / 1000 / done;
  }

  throughput_.show(sink.applied, source_.source_bytes, now, s);
  describe_sink(sink_, s);
  s.limits = {ops_limit_.per_second(), bytes_limit_.per_second(), source_limit_.per_second()};
  show_filtered(transform_, s);
  s.source_reconnects = source_.reconnects;
  s.reconnects = s.source_reconnects + s.target_reconnects;
  // The first one of a link is none; a start that finds what one left had it before.
  const bool had_one = !file_ && sink_.has_remains();
  s.full_resyncs =
      had_one ? source_.full_syncs : std::max<std::uint64_t>(source_.full_syncs, 1) - 1;
  s.verify = comparison_.summary();
  s.suspect_keys = sink_.suspects().size();
  s.source_bytes = source_.source_bytes;
  s.apply_latency = latency_;
  s.memory_used_bytes = budget_.used_bytes;
  s.memory_max_bytes = static_cast<std::uint64_t>(options_.limits_memory_max_bytes);
  s.spool_used_bytes =
      static_cast<std::uint64_t>(spool_.unread_bytes() + (kept_ ? kept_->disk_bytes() : 0));
  s.spool_max_bytes = static_cast<std::uint64_t>(spool_.max_bytes());
  s.source = shown_host(options_.source.uri);
  s.master = source_.master;
  s.replid = source_.replid;
  s.source_link_up = source_.link_up;
  s.waits_for_turn = source_.waits_for_turn;
  s.is_streaming = in_stream_;
  s.can_resync = can_resync();
  if (file_) show_file_progress(*file_, s);
  s.cutover = cutover_;
  if (result_) {
    s.last_error = result_.what;
  } else if (!s.last_error && !source_.last_error.empty()) {
    s.last_error = source_.last_error;
  }
  s.last_dead_letters = sink.last_dead_letters;
  s.published_ms = std::chrono::duration_cast<Millis>(now.time_since_epoch()).count();
  board_.publish(std::move(status));
}

void Pipeline::log_progress(TimePoint now) {
  logged_at_ = now;
  has_logged_ = true;
  if (!logs_progress) return;
  const auto lag = file_ ? board_.read()->lag_bytes : lag_.lag_bytes(now);
  if (in_snapshot_) {
    log_info("progress: phase={} keys={}{} bytes={} commands_per_s={:.0f}", to_string(phase()),
             sink_.stats().snapshot_keys - keys_before_,
             keys_total_ > 0 ? fmt::format("/{}", keys_total_) : "",
             reader_ ? reader_->offset() : 0, throughput_.commands_per_s());
  } else if (in_stream_) {
    log_info("progress: phase={} applied={} commands_per_s={:.0f} lag_bytes={} offset={}",
             to_string(phase()), sink_.stats().applied, throughput_.commands_per_s(),
             lag ? std::to_string(*lag) : "unknown", watermark_.applied());
  } else {
    log_info("progress: phase={}", to_string(phase()));
  }
}

}  // namespace keyferry
