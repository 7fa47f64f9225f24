// Pipeline: the snapshot, decoded while it arrives, and the switch to the stream.
#include "keyferry/base/log.hpp"
#include "keyferry/command/expiry.hpp"
#include "keyferry/pipeline/pipeline.hpp"

namespace keyferry {
namespace {

// Up to this size a value is decoded in one piece even when it may not be restored.
constexpr std::size_t whole_max_bytes = 64 * 1024;

// Of limits.memory_max_bytes: what is held whole at most (it is there up to four times: as it came,
// decompressed, as a command, and on its way), and from where on a text goes through a file.
constexpr std::size_t held_share = 4;
constexpr std::size_t file_share = 16;
constexpr const char* held_hint =
    ": more than a quarter of limits.memory_max_bytes would have to be held; give it more";

}  // namespace

Task<Error> Pipeline::begin_snapshot(Intake::FullSync full_sync) {
  full_sync_ = std::move(full_sync);
  const bool again = source_.full_syncs > 1 || resume_ || sink_.has_remains();
  // A snapshot that broke off is asked for again by psync, which counts for itself.
  const bool was_lost = std::exchange(was_lost_, false);
  const bool is_resync = resume_ || in_stream_ || was_lost;
  const bool was_asked = std::exchange(resync_asked_, false);
  const bool had_stream = in_stream_;
  resume_.reset();
  in_stream_ = caught_up_ = false;
  in_snapshot_ = true;
  snapshot_ended_ = false;
  getack_at_.reset();
  if (again && !options_.snapshot_enabled && had_stream) {
    co_return Error(
        Errc::history_lost,
        "the source asks for another full sync, and snapshot.enabled is false: what was "
        "written meanwhile is only in its snapshot");
  }
  if (again && options_.snapshot_enabled) {
    sink_.forget_snapshot();
    Error error = is_resync && !was_asked ? judge_resync() : Error();
    if (!error) error = co_await sink_.idle();
    if (!error && role != nullptr && role->begin_anew) error = role->begin_anew();
    if (error) co_return error;
    // Keys that were deleted at the source meanwhile are in no snapshot; a real replica empties
    // itself as well.
    const bool mirrors = options_.snapshot_mirror && !is_resync;
    if (!sink_.target_was_empty() && !mirrors) {
      co_return Error(
          Errc::history_lost,
          "the source asks for another full sync, but the target held keys before this link began, "
          "so keys "
          "deleted meanwhile cannot be told from those; start again with target.before: flush");
    }
    if (!mirrors) {
      log_warn("another full sync: emptying the target first");
      error = co_await sink_.flush_all();
      if (error) co_return error;
    }
  }
  Error error =
      co_await sink_.begin_generation(full_sync_.position.replid, full_sync_.position.offset);
  if (error) co_return error;
  histories_.assign(1, source_.replid);
  watermark_.reset(full_sync_.position.offset);
  lag_.stream(full_sync_.position.replid);
  reader_ = std::make_unique<rdb::RdbReader>(
      std::max(whole_max_bytes, static_cast<std::size_t>(options_.snapshot_restore_max_bytes)));
  const auto memory = static_cast<std::size_t>(options_.limits_memory_max_bytes);
  const std::size_t held = memory / held_share;
  // A script is given whole commands.
  const bool through_files = options_.spool_enabled && !transform_.has_script();
  reader_->limit_elements(through_files ? memory / file_share : held, held);
  if (transform_.filter().is_active())
    reader_->wants = [this](const rdb::Event& key) {
      return rules_.wants(key, reader_->dialect());
    };
  entered_.reset();
  rules_.begin();
  window_.clear();
  stream_db_ = 0;
  keys_total_ = 0;
  keys_before_ = sink_.stats().snapshot_keys;
  snapshot_began_ = Clock::now();
  co_return Error();
}

Task<Error> Pipeline::decode_snapshot(const Intake::Chunk& chunk) {
  window_.append(chunk.slab, chunk.bytes);
  rdb::Event event;
  while (!snapshot_ended_) {
    std::size_t consumed = 0;
    const auto status = reader_->next(window_.view(), event, consumed);
    if (status == rdb::RdbReader::Status::error) {
      Error problem = with_context("snapshot", reader_->error());
      if (problem.is(Errc::data_refused)) problem.what += held_hint;
      co_return problem;
    }
    if (status == rdb::RdbReader::Status::need_more) {
      if (window_.want(reader_->need_bytes())) continue;
      if (intake_.is_idle()) sink_.flush_keys();  // nothing more at the moment: let the target work
      co_return Error();
    }
    if (meets_foreign_slot(event)) {
      Error foreign = co_await enter_slot_of(event);
      if (foreign) co_return foreign;
    }
    if (event.expire_ms && puts_off_expiry()) *event.expire_ms += expiry_put_off_ms;
    Error error;
    if (transform_.is_active() && !rules_.apply(event, reader_->dialect(), error)) {
      window_.consume(consumed);
      if (error) co_return error;
      continue;
    }
    const bool is_plain = event.kind == rdb::Event::Kind::key && options_.snapshot_enabled;
    const bool is_element = event.kind == rdb::Event::Kind::element && options_.snapshot_enabled;
    if (is_plain || is_element) {
      // The hot cases: no coroutine of their own.
      if (is_plain && sink_.must_ask(event, reader_->dialect()))
        error = co_await sink_.ask_for_key(event);
      if (is_element && event.element->whole_bytes > 0) {
        error = co_await sink_.add_part(*event.element);
      } else if (!error) {
        error = is_element ? sink_.add_element(*event.element)
                           : sink_.put_key(event, reader_->dialect(), &reader_->templates());
      }
      if (!error && sink_.must_pause()) error = co_await sink_.pause();
      if (!error && is_limited()) {
        spend_target(is_plain ? 1 : 0, consumed);
        co_await wait_for_share();
      }
    } else {
      error = co_await take_event(event);
    }
    window_.consume(consumed);
    if (error) co_return error;
  }
  // Behind a diskless snapshot comes the mark that was announced, without line end.
  const std::string& mark = full_sync_.frame->mark;
  while (window_.view().size() < mark.size()) {
    if (!window_.want(mark.size())) co_return Error();
  }
  if (window_.view().substr(0, mark.size()) != mark) {
    co_return Error(Errc::corrupt,
                    "snapshot: its end is not followed by the mark that was announced");
  }
  window_.consume(mark.size());
  co_return co_await end_snapshot(chunk.received);
}

// Views of the event stay valid until window_ is consumed, which only happens after this.
Task<Error> Pipeline::take_event(const rdb::Event& event) {
  using Kind = rdb::Event::Kind;
  switch (event.kind) {
    case Kind::header:
      log_info("snapshot: rdb_version={}", reader_->dialect().version);
      break;
    case Kind::aux:
      // The database that the first stream command runs in when no SELECT comes before it (Redis
      // >= 4.0).
      if (event.name == "repl-stream-db" && !file_ && !event.text.empty() && event.text[0] != '-') {
        stream_db_ = std::atoi(std::string(event.text).c_str());
      }
      // A script the source had loaded (Redis 4.0 to 6.2 rdb.c rdbSaveInfoAuxFields).
      if (event.name == "lua" && options_.snapshot_enabled)
        co_return co_await sink_.load_script(event.text);
      break;
    case Kind::select_db:
      if (!options_.snapshot_enabled) break;
      co_return co_await sink_.require_db(event.db);
    case Kind::resize_db:
      keys_total_ += event.db_keys;
      break;
    case Kind::function:
      if (!options_.snapshot_enabled) break;
      co_return co_await sink_.load_function(event.text);
    case Kind::key:
    case Kind::element:
      break;  // decode_snapshot takes them itself
    case Kind::big_key:
      if (!options_.snapshot_enabled) break;
      if (sink_.must_ask(event, reader_->dialect())) {
        Error error = co_await sink_.ask_for_key(event);
        if (error) co_return error;
      }
      co_return sink_.begin_key(event, reader_->dialect());
    case Kind::big_key_end:
      if (!options_.snapshot_enabled) break;
      co_return co_await sink_.end_key(event);
    case Kind::skipped:
      break;
    case Kind::end:
      if (event.checksum_disabled) log_info("snapshot: the source does not write checksums");
      snapshot_ended_ = true;
      break;
  }
  co_return Error();
}

// Every key has been handed to the sink. The first command of the stream waits until all of them
// are there.
Task<Error> Pipeline::end_snapshot(TimePoint now) {
  const std::uint64_t bytes = reader_->offset();
  const auto& frame = *full_sync_.frame;
  if (frame.length && *frame.length != bytes) {
    co_return Error(
        Errc::corrupt,
        fmt::format("snapshot: {} bytes were announced, it ends after {}", *frame.length, bytes));
  }
  source_.snapshot_wire_bytes = bytes + frame.mark.size();
  if (psync_.turn.give_back) psync_.turn.give_back();
  sink_.flush_keys();
  Error error = co_await sink_.idle();
  if (!error && options_.snapshot_mirror) error = co_await sink_.remove_leftovers();
  if (error) co_return error;

  log_info("snapshot applied: keys={} rewritten={} bytes={} seconds={:.1f}",
           sink_.stats().snapshot_keys - keys_before_, sink_.stats().rewritten_keys, bytes,
           static_cast<double>(elapsed_ms(snapshot_began_, Clock::now())) / 1000);
  if (reader_->module_aux_skipped() > 0) {
    log_warn("snapshot: data that modules keep outside of keys was left out: records={}",
             reader_->module_aux_skipped());
  }
  error =
      co_await sink_.complete_generation(source_.replid, full_sync_.position.offset, stream_db_);
  if (error) co_return error;
  in_snapshot_ = false;
  in_stream_ = true;
  watermark_.reset(full_sync_.position.offset);
  decoder_.start(full_sync_.position.offset, stream_db_);
  on_progress();
  psync_.ack_now();
  if (!options_.stream_enabled && !was_lost_) {
    reached_goal_ = true;
    finish(Error());
    co_return Error();
  }
  while (!window_.view().empty()) {
    const ByteView rest = window_.view();
    error = co_await decode_stream(window_.slab(), rest, now);
    if (error) co_return error;
    window_.consume(rest.size());
  }
  window_.clear();
  // Lost meanwhile: another full sync is on its way, and that one counts.
  if (options_.stop_when == StopWhen::snapshot && !draining_ && !was_lost_) {
    reached_goal_ = true;
    finish_received();
  }
  co_return Error();
}

}  // namespace keyferry
