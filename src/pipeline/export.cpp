#include "keyferry/pipeline/export.hpp"

#include "keyferry/base/log.hpp"
#include "keyferry/config/file_format.hpp"

namespace keyferry {
namespace {

constexpr std::int64_t intake_max_bytes = 2 * 1024 * 1024;
// Larger values come in pieces.
constexpr std::size_t value_max_bytes = std::size_t{1} << 20;
// What was taken lies in memory for at most so long, whatever the interval of syncs.
constexpr std::int64_t write_interval_ms = 200;
constexpr std::uint64_t doubts_told = 20;

}  // namespace

Export::Export(const asio::any_io_executor& executor, const Options& options, StatusBoard& board,
               ExportRole* role)
    : executor_(executor),
      options_(options),
      board_(board),
      spool_(options.spool_folder(), options.spool_max_bytes),
      intake_(executor, budget_, options.spool_enabled ? &spool_ : nullptr,
              std::min(intake_max_bytes, options.limits_memory_max_bytes / 8)),
      psync_(executor, options.source, options.source_psync_command, budget_, intake_, source_),
      observer_(executor, options.source),
      role_(role),
      sink_(role != nullptr ? *role->sink : own_sink_.emplace(options)),
      feed_(sink_.add_feed()),
      decoder_(budget_),
      scope_(executor),
      halt_(executor),
      resumed_(executor),
      own_turn_(executor),
      turn_(role != nullptr ? *role->turn : own_turn_),
      window_(budget_) {
  if (options.source.uri.kind == Uri::Kind::file)
    file_.emplace(executor, options.source, budget_, intake_, source_);
}

Task<Error> Export::run() {
  began_ = logged_at_ = Clock::now();
  throughput_.begin(began_);
  publish(began_);
  Error error = co_await open_ends();
  if (error) {
    finish(std::move(error));
    publish(Clock::now());
    co_return result_;
  }
  psync_.announced_port = announced_port;
  psync_.pressure = [this] {
    if (paused_) return SourcePressure();
    return observer_.pressure(source_.received_offset().value_or(source_.full_sync_offset),
                              Clock::now());
  };
  observer_.on_reading = [this](const std::string& replid, Offset offset, TimePoint now) {
    lag_.stream(source_.replid);
    lag_.link(source_.link_up && in_stream_);
    lag_.reading(replid, offset, now);
    if (source_.link_up && observer_.is_elsewhere(source_.replid, now)) psync_.reconnect();
    on_progress();
    check_goal(now);
  };
  observer_.is_urgent = [this] {
    return !in_stream_ || !intake_.is_idle() || drain_wanted_ ||
           options_.stop_when == StopWhen::lag_zero;
  };
  scope_.on_error([this](const Error& first) { finish(first); });
  scope_.spawn(report());
  if (!file_) scope_.spawn(observer_.run());
  scope_.spawn(decode());
  if (role_ == nullptr) scope_.spawn(sync());
  scope_.spawn(follow_source());
  error = co_await scope_.join();
  publish(Clock::now());
  co_return result_;
}

Task<Error> Export::open_ends() {
  if (Error wrong = compile_rules()) co_return wrong;
  if (file_) {
    FileCheckRules rules;
    rules.until = parse_time(options_.source_aof_until);
    rules.may_be_torn = options_.source_aof_on_truncated == OnTruncated::keep;
    Error error = file_->open();
    if (!error) error = co_await file_->check(rules);
    if (error) co_return with_context("source " + redacted(options_.source.uri), std::move(error));
    if (file_->files().is_append_only && !sink_.has_stream()) {
      co_return Error(Errc::usage,
                      "an append-only file cannot become an .rdb here: its commands would have to "
                      "be executed; load it into a server and take the snapshot from there");
    }
    decoder_.read_annotations(rules.until);
  } else {
    ServerIdentity source;
    Error error = co_await observer_.open(source);
    if (error) co_return with_context("source " + redacted(options_.source.uri), std::move(error));
    if (role_ != nullptr) {
      psync_.may_full_sync = [this] {
        if (source_.full_syncs > 0) role_->on_full_sync();
        return source_.full_syncs == 0;
      };
      co_return Error();
    }
    if (source.is_cluster)
      log_warn("the source is one node of a cluster; only its own slots will be copied");
  }
  co_return sink_.open();
}

Task<Error> Export::follow_source() {
  Error error;
  if (file_) {
    error = co_await file_->run();
  } else {
    error = co_await psync_.run();
  }
  if (!draining_) finish(std::move(error));
  co_return Error();
}

Task<Error> Export::decode() {
  while (true) {
    auto item = co_await intake_.pop();
    if (!item) co_return item.error();
    if (std::holds_alternative<Intake::Closed>(*item)) co_return Error();
    is_decoding_ = true;
    while (paused_ && !finished_) {
      is_decoding_ = false;
      co_await resumed_.wait();
      is_decoding_ = true;
    }
    co_await turn_.take();
    Error error = co_await take_item(*item);
    if (!error && sink_.is_full()) error = co_await sink_.write();
    turn_.give();
    is_decoding_ = false;
    on_progress();
    if (!error) continue;
    if (!file_ || !error.is(Errc::corrupt)) co_return error;
    const std::string where =
        in_snapshot_ ? file_->files().files.front().name : file_->place_of(decoder_.whole_offset());
    co_return with_context(fmt::format("source {}: {}", redacted(options_.source.uri), where),
                           std::move(error));
  }
}

Task<Error> Export::take_item(Intake::Item& item) {
  if (auto* start = std::get_if<Intake::FullSync>(&item)) {
    const bool is_absent = start->frame && start->frame->is_absent;
    Error error = co_await begin_snapshot(std::move(*start));
    if (!error && is_absent) error = co_await end_snapshot(Clock::now());
    co_return error;
  }
  if (auto* chunk = std::get_if<Intake::Chunk>(&item)) {
    if (chunk->begins_file) {
      if (Error error = begin_file()) co_return error;
    }
    if (in_snapshot_) co_return co_await decode_snapshot(*chunk);
    co_return co_await decode_stream(chunk->slab, chunk->bytes, chunk->received);
  }
  co_return end_files();
}

Task<Error> Export::begin_snapshot(Intake::FullSync full_sync) {
  full_sync_ = std::move(full_sync);
  if (source_.full_syncs > 1) log_warn("another full sync: the snapshot is written once more");
  in_stream_ = caught_up_ = snapshot_ended_ = false;
  in_snapshot_ = true;
  lag_.stream(full_sync_.position.replid);
  reader_ = std::make_unique<rdb::RdbReader>(
      std::max(value_max_bytes, static_cast<std::size_t>(options_.snapshot_restore_max_bytes)));
  window_.clear();
  stream_db_ = 0;
  in_stray_ = false;
  keys_total_ = 0;
  keys_before_ = feed_.stats.keys;
  foreign_keys_ = 0;
  rules_.begin();
  if (role_ != nullptr) rules_.share(role_->names);
  if (role_ != nullptr || transform_.filter().is_active())
    reader_->wants = [this](const rdb::Event& key) { return wants_key(key); };
  snapshot_began_ = Clock::now();
  if (role_ != nullptr && !role_->begins_file) co_return Error();
  co_return co_await sink_.begin_snapshot();
}

Task<Error> Export::decode_snapshot(const Intake::Chunk& chunk) {
  using Kind = rdb::Event::Kind;
  window_.append(chunk.slab, chunk.bytes);
  rdb::Event event;
  while (!snapshot_ended_) {
    std::size_t consumed = 0;
    const auto status = reader_->next(window_.view(), event, consumed);
    if (status == rdb::RdbReader::Status::error)
      co_return with_context("snapshot", reader_->error());
    if (status == rdb::RdbReader::Status::need_more) {
      if (window_.want(reader_->need_bytes())) continue;
      co_return Error();
    }
    if (event.kind == Kind::resize_db) keys_total_ += event.db_keys;
    if (event.kind == Kind::aux && event.name == "repl-stream-db" && !file_)
      stream_db_ = std::max(0, std::atoi(std::string(event.text).c_str()));
    snapshot_ended_ = event.kind == Kind::end;
    Error error;
    const bool travels = !is_stray(event) && (!transform_.is_active() ||
                                              rules_.apply(event, reader_->dialect(), error));
    if (travels && (options_.snapshot_enabled || event.kind == Kind::header)) {
      error = sink_.take(feed_, event, window_.view().substr(0, consumed), reader_->dialect(),
                         reader_->templates());
    }
    window_.consume(consumed);
    if (!error && sink_.is_full()) error = co_await sink_.write();
    if (error) co_return error;
  }
  // Behind a diskless snapshot comes the mark that was announced.
  const std::string& mark = full_sync_.frame->mark;
  while (window_.view().size() < mark.size()) {
    if (!window_.want(mark.size())) co_return Error();
  }
  if (window_.view().substr(0, mark.size()) != mark)
    co_return Error(Errc::corrupt, "snapshot: its end is not followed by the mark announced");
  window_.consume(mark.size());
  co_return co_await end_snapshot(chunk.received);
}

Task<Error> Export::end_snapshot(TimePoint received) {
  const std::uint64_t bytes = reader_->offset();
  const auto& frame = *full_sync_.frame;
  if (frame.length && *frame.length != bytes) {
    co_return Error(
        Errc::corrupt,
        fmt::format("snapshot: {} bytes were announced, it ends after {}", *frame.length, bytes));
  }
  source_.snapshot_wire_bytes = bytes + frame.mark.size();
  in_snapshot_ = false;
  Error error = co_await end_part();
  if (error) co_return error;
  log_info("snapshot written: keys={} rewritten={} bytes={} seconds={:.1f} file={}",
           feed_.stats.keys - keys_before_, feed_.stats.rewritten_keys, bytes,
           static_cast<double>(elapsed_ms(snapshot_began_, Clock::now())) / 1000, sink_.path());
  in_stream_ = true;
  decoder_.start(full_sync_.position.offset, stream_db_);
  on_progress();
  psync_.ack_now();
  // A snapshot file has no place for what follows.
  const bool is_done =
      !options_.stream_enabled || !sink_.has_stream() || options_.stop_when == StopWhen::snapshot;
  if (is_done && !draining_ && role_ == nullptr) {
    reached_goal_ = true;
    finish_received();
  }
  while (!window_.view().empty() && sink_.has_stream()) {
    const ByteView rest = window_.view();
    error = co_await decode_stream(window_.slab(), rest, received);
    if (error) co_return error;
    window_.consume(rest.size());
  }
  window_.clear();
  co_return Error();
}

Task<Error> Export::decode_stream(SlabRef slab, ByteView bytes, TimePoint received) {
  if (!sink_.has_stream()) co_return Error();
  Error error = decoder_.feed(std::move(slab), bytes, received);
  if (error) co_return error;
  Offset getack = 0;
  if (decoder_.take_getack(getack)) psync_.ack_now();
  if (auto batch = decoder_.take()) {
    if (feed_.written >= feed_.synced) oldest_unwritten_ = received;
    if (role_ != nullptr) error = co_await hold_back(*batch);
    if (!error) error = take_batch(*batch);
    if (error) co_return error;
  }
  if (decoder_.has_ended()) error = end_files();
  co_return error;
}

Error Export::take_batch(Batch& batch) {
  Error error;
  if (transform_.is_active()) {
    transform_.apply(batch);
    error = judge_refusals(batch);
  }
  if (!error && role_ != nullptr) error = judge_commands(batch);
  if (!error) sink_.take(feed_, batch);
  return error;
}

// Nothing in a file can be healed: what a rule tears apart is told, as with a target at least once.
Error Export::compile_rules() {
  Result<Transform> compiled = Transform::compile(options_);
  if (!compiled) return compiled.error();
  transform_ = std::move(*compiled);
  transform_.owns_target = [] { return true; };
  transform_.on_doubt = [this](std::int32_t db, ByteView key) {
    if (++doubts_ > doubts_told) return;
    log_warn(
        "a command was left out of whose keys only some travel: key \"{}\" (database {}) may "
        "differ from now on",
        escaped(key), db);
  };
  return Error();
}

// What the rules make impossible (a name that two keys would share, a flush of a part).
Error Export::judge_refusals(const Batch& batch) {
  for (const Command& command : batch.commands) {
    if (command.refusal == nullptr) continue;
    const std::string what = fmt::format("the rules refuse {} ({})",
                                         escaped(batch.args_of(command).front()), command.refusal);
    if (options_.errors_policy == ErrorPolicy::stop) return Error(Errc::data_refused, what);
    log_warn("left out: {}", what);
  }
  return Error();
}

Error Export::begin_file() {
  if (!in_snapshot_) return decoder_.begin_file();
  return Error(Errc::corrupt, "the file ends inside the snapshot, and others follow it");
}

Error Export::end_files() {
  if (draining_) return Error();
  if (in_snapshot_) {
    return Error(Errc::corrupt, fmt::format("the snapshot is cut off: it ends after {} bytes",
                                            reader_->offset() + window_.unread_bytes()));
  }
  if (!decoder_.has_ended() && decoder_.is_torn()) {
    if (options_.source_aof_on_truncated == OnTruncated::stop)
      return Error(Errc::corrupt, "the last command is cut off (source.aof.on_truncated: keep)");
    log_warn("the last command is cut off: {}", file_->place_of(decoder_.whole_offset()));
  }
  reached_goal_ = true;
  finish_received();
  return Error();
}

// Brings what was taken to disk, now and then.
Task<Error> Export::sync() {
  const std::int64_t interval = options_.target_file_fsync_interval_ms;
  TimePoint synced = Clock::now();
  while (!finished_) {
    co_await halt_.wait_for(Millis(std::clamp<std::int64_t>(interval, 20, write_interval_ms)));
    if (finished_ || !in_stream_) continue;
    co_await turn_.take();
    Error error;
    if (finished_) {
      // The end has synced it.
    } else if (elapsed_ms(synced, Clock::now()) >= interval) {
      synced = Clock::now();
      error = co_await sink_.sync();
    } else {
      error = co_await sink_.write();
    }
    turn_.give();
    if (error) co_return error;
    on_progress();
  }
  co_return Error();
}

void Export::on_progress() {
  if (!in_stream_) return;
  const TimePoint now = Clock::now();
  const bool has_all = feed_.written >= decoder_.offset();
  if (!held_.empty()) return;
  lag_.applied(feed_.written, has_all ? now : oldest_unwritten_, now);
  source_.ack_offset = options_.stream_ack == AckPolicy::applied ? feed_.synced : 0;
}

void Export::check_goal(TimePoint now) {
  if (role_ != nullptr) role_->is_ready = false;
  if (!in_stream_ || draining_) return;
  caught_up_ = caught_up_ || lag_.synced(now);
  if (!drain_wanted_ && options_.stop_when != StopWhen::lag_zero) return;
  if (lag_.stable_ms(now) < options_.stop_stable_for_ms) return;
  if (!held_.empty()) return;
  if (role_ != nullptr) role_->is_ready = true;
  if (role_ != nullptr && !role_->may_end()) return;
  log_info("lag is zero: offset={}", feed_.written);
  reached_goal_ = true;
  finish_received();
}

void Export::pause() {
  if (finished_ || draining_ || drain_wanted_ || paused_) return;
  log_info("paused: receiving goes on, writing does not");
  paused_ = true;
}

void Export::resume() {
  if (!std::exchange(paused_, false)) return;
  log_info("resumed");
  resumed_.notify();
}

void Export::stop() {
  if (finished_ || draining_) return;
  resume();
  log_info("stopping: writing what has been received");
  finish_received();
}

void Export::drain() {
  if (finished_) return;
  resume();
  log_info("draining: will stop when lag reaches zero");
  drain_wanted_ = true;
}

void Export::abort() {
  finish(Error(Errc::left_early, "left before everything received was written"));
}

void Export::finish_received() {
  draining_ = true;
  psync_.stop_reading();
  if (file_) file_->stop_reading();
  scope_.spawn(drain_received());
}

Task<Error> Export::drain_received() {
  while (!finished_ && (!intake_.is_idle() || is_decoding_ || !held_.empty()))
    co_await halt_.wait_for(Millis(5));
  if (finished_) co_return Error();
  co_await turn_.take();
  Error error;
  if (in_snapshot_) {
    log_warn("stopped inside the snapshot: the file is incomplete");
    error = co_await sink_.write();
  } else if (in_stream_) {
    error = co_await sink_.sync();
  }
  if (!error && role_ == nullptr && (in_snapshot_ || in_stream_)) error = co_await sink_.finish();
  turn_.give();
  on_progress();
  psync_.ack_now();
  co_await sleep_for(Millis(10));  // lets the last ACK out
  finish(std::move(error));
  co_return Error();
}

void Export::finish(Error error) {
  if (finished_) return;
  finished_ = true;
  has_left_out_ = !held_.empty();
  result_ = std::move(error);
  intake_.close();
  psync_.stop();
  if (file_) file_->stop();
  observer_.stop();
  halt_.notify();
  resumed_.notify();
}

}  // namespace keyferry
