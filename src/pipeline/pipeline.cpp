#include "keyferry/pipeline/pipeline.hpp"

#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

// Received and not yet decoded; more stays with the source, or goes to the spool.
constexpr std::int64_t intake_max_bytes = 2 * 1024 * 1024;
constexpr std::size_t readings_max = 4096;
constexpr std::int64_t heal_in_drain_ms = 1000;

}  // namespace

Pipeline::Pipeline(const asio::any_io_executor& executor, const Options& options,
                   StatusBoard& board)
    : executor_(executor),
      options_(options),
      board_(board),
      spool_(options.spool_folder(), options.spool_max_bytes),
      intake_(executor, budget_, options.spool_enabled ? &spool_ : nullptr,
              std::min(intake_max_bytes, options.limits_memory_max_bytes / 8)),
      psync_(executor, options.source, options.source_psync_command, budget_, intake_, source_),
      observer_(executor, options.source),
      sink_(executor, options, watermark_),
      copier_(executor, options.source),
      decoder_(budget_),
      scope_(executor),
      halt_(executor),
      resumed_(executor),
      window_(budget_),
      gate_(executor),
      comparison_(executor, options) {
  comparison_.lag = [this] { return verify_lag(); };
  comparison_.repair = [this](const KeyList& keys) { return heal_keys(keys); };
  comparison_.start = [this](const VerifyPlan& plan) { return verify(plan); };
  comparison_.fail = [this](Error error) { finish(std::move(error)); };
  if (options.source.uri.kind == Uri::Kind::file)
    file_.emplace(executor, options.source, budget_, intake_, source_);
}

Pipeline::~Pipeline() = default;

Task<Error> Pipeline::run() {
  began_ = logged_at_ = Clock::now();
  throughput_.begin(began_);
  ops_limit_.set(options_.limits_target_ops_per_s);
  bytes_limit_.set(options_.limits_target_bytes_per_s);
  source_limit_.set(options_.limits_source_bytes_per_s);
  psync_.throttle = [this](std::size_t bytes) { return source_wait(bytes); };
  publish(began_);
  scope_.spawn(report());  // from here on: a standby that waits for the lease is alive
  Error error = co_await open_ends();
  if (!error && !file_) error = co_await open_kept_stream();
  if (error || finished_) {
    finish(std::move(error));
    sink_.stop();  // once more: stopped while it was being opened, it has gone on opening
    Error ignored = co_await sink_.run();  // lanes may have been started
    if (kept_) kept_->release();
    co_await hand_back();
    co_await sink_.restore_target();
    ignored = co_await scope_.join();
    publish(Clock::now());
    co_return result_;
  }
  psync_.announced_port = announced_port;
  psync_.on_history = [this](const std::string& replid) { enter_history(replid); };
  if (!is_shard())
    psync_.meet_history = [this](Bytes info) { return meet_history(std::move(info)); };
  psync_.pressure = [this] {
    // While paused nothing makes room: what memory cannot take goes to the spool at once, rather
    // than piling up at the source.
    if (paused_) return SourcePressure();
    return observer_.pressure(source_.received_offset().value_or(source_.full_sync_offset),
                              Clock::now());
  };
  observer_.on_reading = [this](const std::string& replid, Offset offset, TimePoint now) {
    lag_.stream(source_.replid);
    lag_.link(source_.link_up && in_stream_);
    lag_.reading(replid, offset, now);
    if (source_.link_up && observer_.is_elsewhere(source_.replid, now)) psync_.reconnect();
    if (in_stream_ && replid == source_.replid) sink_.note_source_offset(offset);
    if (readings_.size() < readings_max) readings_.emplace_back(offset, now);
    on_progress();
    tell_backlog();
    check_goal(now);
  };
  // Often where something hangs on it: the source's output buffer while we cannot keep up, or the
  // end of the link.
  observer_.is_urgent = [this] {
    return !in_stream_ || !intake_.is_idle() || drain_wanted_ ||
           options_.stop_when == StopWhen::lag_zero;
  };
  sink_.on_applied = [this](std::uint64_t commands, TimePoint received) {
    const auto taken = std::chrono::duration<double>(Clock::now() - received);
    if (in_stream_) latency_.observe(taken.count(), commands);
    on_progress();
  };

  sink_.on_lost = [this](std::optional<Record> found) { on_lost(std::move(found)); };
  // What a transaction touched is known by the target's names only, at least once.
  const bool renames = transform_.remap().maps_keys() || transform_.remap().maps_databases() ||
                       transform_.has_script();
  sink_.can_heal = !file_ && (sink_.is_exactly_once() || !renames);
  sink_.runs_across = file_.has_value();
  if (const auto record = sink_.resumable()) resume_at(*record);

  scope_.on_error([this](const Error& first) { finish(first); });
  if (!file_) scope_.spawn(observer_.run());
  scope_.spawn(carry_out());
  scope_.spawn(decode());
  scope_.spawn(follow_source());
  if (sink_.can_heal) scope_.spawn(heal());
  if (kept_) scope_.spawn(kept_->run());
  error = co_await scope_.join();
  if (kept_) kept_->release();  // a shard that left may come back in this process
  if (puts_off_expiry()) co_await settle_expiries();
  co_await hand_back();
  co_await sink_.restore_target();
  publish(Clock::now());
  co_return result_;
}

// Reaches both ends and makes sure that they are not the same.
Task<Error> Pipeline::open_ends() {
  if (Error wrong = compile_rules()) co_return wrong;
  if (role != nullptr) sink_.shared = &role->target;
  if (is_shard()) {
    psync_.place = [this] { return role->replica; };
    psync_.turn = role->turn;
    psync_.may_full_sync = [this] { return source_.full_syncs == 0 || role->may_full_sync(); };
  }
  if (file_) co_return co_await open_files();
  ServerIdentity source;
  Error error = co_await observer_.open(source);
  if (error) co_return with_context("source " + redacted(options_.source.uri), std::move(error));
  if (role != nullptr && role->admit) error = role->admit(source);
  if (error) co_return error;
  if (source.is_cluster && !is_shard())
    log_warn("the source is one node of a cluster; only its own slots will be copied");
  error = co_await sink_.open();
  if (!error) error = judge_rules();
  if (error) co_return error;
  error = co_await measure_clocks();
  if (error) co_return error;
  for (const auto& [node, target] : sink_.nodes().masters()) {
    error = refuse_same(source, node, target);
    if (error) co_return error;
  }
  co_return Error();
}

// Expiries are absolute: a target whose clock is ahead lets keys go before the source does.
Task<Error> Pipeline::measure_clocks() {
  constexpr std::int64_t worth_a_warning_ms = 500;
  const auto source = co_await observer_.clock_ahead_ms();
  if (!source) co_return source.error();
  const auto target = co_await sink_.nodes().clock_ahead_ms();
  if (!target) co_return target.error();
  if (!*source || !*target) co_return Error();
  clock_skew_ms_ = **target - **source;
  if (std::abs(*clock_skew_ms_) > worth_a_warning_ms) {
    log_warn(
        "the clocks of source and target differ: skew_ms={}; keys expire that much too {} on the "
        "target",
        *clock_skew_ms_, *clock_skew_ms_ > 0 ? "early" : "late");
  }
  co_return Error();
}

Task<Error> Pipeline::follow_source() {
  Error error;
  if (file_) {
    error = co_await file_->run();
  } else {
    error = co_await psync_.run();
  }
  if (!draining_) finish(std::move(error));
  co_return Error();
}

Task<Error> Pipeline::carry_out() {
  Error error = co_await sink_.run();
  finish(std::move(error));
  co_return Error();
}

// Takes what was received, in order: a new snapshot, snapshot bytes, stream bytes.
Task<Error> Pipeline::decode() {
  while (true) {
    auto item = co_await intake_.pop();
    if (!item) co_return item.error();
    is_decoding_ = has_item_ = true;
    co_await wait_for_leave();
    Error error;
    if (auto* start = std::get_if<Intake::FullSync>(&*item)) {
      if (start->frame) {
        const bool is_absent = start->frame->is_absent;
        error = co_await begin_snapshot(std::move(*start));
        if (!error && is_absent) error = co_await end_snapshot(Clock::now());
      } else {
        error = co_await begin_stream(std::move(*start));
      }
    } else if (auto* chunk = std::get_if<Intake::Chunk>(&*item)) {
      if (chunk->begins_file) error = begin_file();
      const bool is_void = !in_snapshot_ && resume_;  // of a stream that will begin elsewhere
      if (error || is_void) {
        // Told below.
      } else if (in_snapshot_) {
        error = co_await decode_snapshot(*chunk);
      } else if (is_limited()) {
        error = co_await decode_limited(*chunk);
      } else {
        error = co_await decode_stream(chunk->slab, chunk->bytes, chunk->received);
      }
    } else if (std::holds_alternative<Intake::Ended>(*item)) {
      error = end_files();
    } else {
      co_return Error();
    }
    is_decoding_ = has_item_ = false;
    if (error && error.is(Errc::cancelled)) co_return Error();
    if (error) co_return place(std::move(error));
  }
}

// While paused, and while keys are copied at a known offset, nothing is decoded.
Task<void> Pipeline::wait_for_leave() {
  while ((paused_ || gate_closed_) && !finished_) {
    is_decoding_ = false;
    if (paused_) {
      co_await resumed_.wait();
    } else {
      co_await gate_.wait();
    }
    is_decoding_ = true;
  }
}

Task<Error> Pipeline::decode_stream(SlabRef slab, ByteView bytes, TimePoint received) {
  const Offset from = decoder_.offset();
  Error error = decoder_.feed(std::move(slab), bytes, received);
  if (error) co_return error;
  Offset getack = 0;
  if (decoder_.take_getack(getack)) {
    getack_at_ = getack;
    psync_.ack_now();
  }
  if (auto batch = decoder_.take()) {
    if (is_shard()) error = co_await meet_imports(*batch);
    if (is_shard() && !error) error = co_await enter_slots(foreign_slots(*batch), received);
    if (error) co_return error;
    transform_.apply(*batch);
    if (is_limited()) spend_target(static_cast<std::int64_t>(batch->commands.size()), bytes.size());
    if (puts_off_expiry()) put_off_expiries(*batch);
    batch->is_late = sink_.is_exactly_once() && is_late(from);
    error = co_await sink_.apply(std::move(batch));
    on_progress();
  }
  if (!error && decoder_.has_ended()) error = end_files();
  co_return error;
}

// Acknowledgements have moved the watermark (or may have).
void Pipeline::on_progress() {
  if (!in_stream_) return;
  const TimePoint now = Clock::now();
  lag_.applied(watermark_.applied(), watermark_.oldest(now), now);
  if (kept_) kept_->needed_from(sink_.recorded_offset());
  source_.ack_offset = options_.stream_ack == AckPolicy::applied ? watermark_.applied() : 0;
  if (getack_at_ && watermark_.applied() >= *getack_at_) {
    getack_at_.reset();
    psync_.ack_now();
  }
}

// After a reading of the source's offset: is it time to go?
void Pipeline::check_goal(TimePoint now) {
  if (role != nullptr) role->is_ready = false;
  if (!in_stream_ || draining_) return;
  if (!caught_up_ && lag_.synced(now)) {
    log_info("caught up with the source: ms_since_start={}", elapsed_ms(began_, now));
    caught_up_ = true;
  }
  if (!sink_.suspects().empty()) return;  // the target is not what the source is
  if (!drain_wanted_ && options_.stop_when != StopWhen::lag_zero) return;
  bool reached = lag_.stable_ms(now) >= options_.stop_stable_for_ms;
  if (options_.stop_lag_bytes >= 0) {
    const auto lag = lag_.lag_bytes(now);
    if (!lag || *lag > options_.stop_lag_bytes) low_lag_since_.reset();
    if (lag && *lag <= options_.stop_lag_bytes && !low_lag_since_) low_lag_since_ = now;
    reached = reached ||
              (low_lag_since_ && elapsed_ms(*low_lag_since_, now) >= options_.stop_stable_for_ms);
  }
  if (!may_end(reached) || !comparison_.allows_end()) return;
  log_info("lag is zero: applied_offset={} source_offset={}", watermark_.applied(),
           lag_.source_offset());
  reached_goal_ = true;
  finish_received();
}

void Pipeline::pause() {
  if (finished_ || draining_ || drain_wanted_ || paused_) return;
  log_info("paused: receiving goes on, applying does not");
  paused_ = true;
}

void Pipeline::resume() {
  if (!std::exchange(paused_, false)) return;
  log_info("resumed");
  resumed_.notify();
}

void Pipeline::stop() {
  if (finished_ || draining_) return;
  log_info("stopping: applying what has been received");
  finish_received();
}

void Pipeline::drain() {
  if (finished_) return;
  resume();
  log_info("draining: will stop when lag reaches zero");
  drain_wanted_ = true;
}

void Pipeline::abort() {
  finish(Error(Errc::left_early, "left before everything received was applied"));
}

void Pipeline::finish_received() {
  resume();
  draining_ = true;
  psync_.stop_reading();
  if (file_) file_->stop_reading();
  scope_.spawn(drain_received());
}

Task<Error> Pipeline::drain_received() {
  const TimePoint begin = Clock::now();
  while (!finished_) {
    // What the source goes on writing cannot be healed any more: a start finds it again.
    const bool leaves_suspects = elapsed_ms(begin, Clock::now()) > heal_in_drain_ms;
    if (leaves_suspects && gate_closed_) copier_.reconnect();  // what was received waits for it
    if ((intake_.is_idle() || left_behind_) && !has_item_) {
      if (in_snapshot_) sink_.flush_keys();
      if (file_) give_up_suspects();
      const bool is_healed = leaves_suspects || sink_.suspects().empty();
      if (sink_.is_idle()) sink_.note_everything();
      if (sink_.is_idle() && is_healed) sink_.checkpoint();
      if (sink_.is_idle() && is_healed && (in_snapshot_ || sink_.is_recorded())) break;
      if (sink_.is_idle() && leaves_suspects && sink_.is_recorded_but_suspects()) break;
    }
    if (elapsed_ms(begin, Clock::now()) > options_.stop_shutdown_grace_s * 1000) {
      finish(Error(Errc::left_early, fmt::format("not everything received was applied within {} s",
                                                 options_.stop_shutdown_grace_s)));
      co_return Error();
    }
    co_await halt_.wait_for(Millis(5));
  }
  if (in_snapshot_) log_warn("stopped inside the snapshot: the target is incomplete");
  if (!sink_.suspects().empty())
    log_warn(
        "keys of the target are not what they are at the source; the next start copies them: "
        "keys={}",
        sink_.suspects().size());
  if (expired_keys_ > 0)
    log_warn("keys had expired here before their expiry was put off: count={}", expired_keys_);
  if (in_stream_) {
    on_progress();
    psync_.ack_now();
    co_await sleep_for(Millis(10));  // lets the last ACK out
  }
  finish(Error());
  co_return Error();
}

void Pipeline::finish(Error error) {
  if (finished_) return;
  finished_ = true;
  result_ = std::move(error);
  intake_.close();
  if (kept_) kept_->close();
  psync_.stop();
  if (file_) file_->stop();
  comparison_.stop();
  observer_.stop();
  sink_.stop();
  copier_.stop();
  open_gate();
  halt_.notify();
  resumed_.notify();
}

}  // namespace keyferry
