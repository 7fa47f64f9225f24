#include "keyferry/pipeline/scan_node.hpp"

#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/value_kind.hpp"
#include "keyferry/rdb/dump.hpp"

namespace keyferry {
namespace {

constexpr std::size_t spill_write_bytes = 256 * 1024;
// Where no spool may be used, keys wait only in memory.
constexpr std::int64_t no_spool_bytes = 0;
constexpr std::int64_t waiting_share = 4;  // of limits.memory_max_bytes

std::size_t waiting_max_bytes(const Options& options, std::size_t nodes) {
  const auto all = static_cast<std::size_t>(options.limits_memory_max_bytes / waiting_share);
  return all / std::max<std::size_t>(1, nodes);
}

Error too_large(const ReadKey& key, Error error) {
  error.what += ": more than a quarter of limits.memory_max_bytes would have to be held";
  return with_context(fmt::format("key \"{}\" (database {})", escaped(key.key), key.db),
                      std::move(error));
}

KeyScanner::Limits limits_of(const Options& options) {
  KeyScanner::Limits limits;
  limits.page_keys = options.source_scan_count;
  limits.big_bytes = static_cast<std::uint64_t>(options.snapshot_restore_max_bytes);
  return limits;
}

}  // namespace

ScanNode::ScanNode(ScanCommon& common, Place place)
    : common_(common),
      place_(std::move(place)),
      source_(common.options.source),
      dirty_(waiting_max_bytes(common.options, place_.shares)),
      scanner_(common.executor, source_, limits_of(common.options), dirty_),
      notifications_(common.executor, source_),
      control_(common.executor),
      big_(common.executor, source_),
      spool_(common.options.spool_folder(),
             common.options.spool_enabled ? common.options.spool_max_bytes : no_spool_bytes),
      wake_(common.executor),
      heard_(common.executor),
      halt_(common.executor) {
  big_.ask(place_.host, place_.is_replica);
  constexpr std::size_t held_share = 4;  // of limits.memory_max_bytes, as in a snapshot
  big_.limit(static_cast<std::size_t>(common.options.limits_memory_max_bytes) / held_share);
}

void ScanNode::note(const Error& error) {
  last_error_ = error.what;
}

void ScanNode::stop() {
  stopping_ = true;
  receiving_ = listening_ = false;
  scanner_.close();
  notifications_.close();
  control_.close();
  big_.close();
  wake_.notify();
  heard_.notify();
  halt_.notify();
}

void ScanNode::stop_receiving() {
  receiving_ = listening_ = false;
  scanner_.begin(ScanPass());
  wants_all_ = wants_streams_ = in_pass_ = lost_events_ = needs_sweep_ = false;
  notifications_.close();
  heard_.notify();
  halt_.notify();
  wake_.notify();
}

void ScanNode::retire() {
  stop_receiving();
  dirty_.clear();
  spilled_ = 0;
  stop();
}

// --- events

Task<Error> ScanNode::listen() {
  Backoff backoff(Millis(50), Millis(2000));
  while (receiving_) {
    Error error;
    if (!listening_) {
      error = co_await notifications_.open(place_.host);
      if (!error && receiving_) {
        listening_ = true;
        wants_all_ = unheard_ = needs_sweep_ = true;
        log_warn("keyspace events come again; every key is looked at once more: node={}", name());
        backoff.reset();
      }
    }
    if (!error && receiving_) error = co_await listen_once();
    listening_ = false;
    heard_.notify();
    if (!receiving_ || stopping_) break;
    if (error.is(Errc::disk) || error.is(Errc::corrupt)) co_return error;
    ++reconnects_;
    note(error);
    log_warn("keyspace events broke off, subscribing again: error=\"{}\"", error.what);
    co_await halt_.wait_for(backoff.next());
  }
  co_return Error();
}

Task<Error> ScanNode::listen_once() {
  while (receiving_) {
    auto events = co_await notifications_.next();
    if (!events) co_return events.error();
    if (!receiving_) break;
    events_ += events->size();
    for (const KeyEvent& event : *events) {
      if (changes_key(event.event)) change(event.db, event.key);
    }
    heard_.notify();
    if (!events->empty()) wake_.notify();
    if (spill_.size() < spill_write_bytes) continue;
    Error error = co_await write_spill();
    if (error) co_return error;
  }
  co_return Error();
}

// --- copying

bool ScanNode::has_work() const {
  return !dirty_.empty() || (spilled_ > 0 && !spill_writing_) || !scanner_.pass().is_over() ||
         scanner_.taken() > 0;
}

Task<Error> ScanNode::copy() {
  Backoff backoff(Millis(20), Millis(1000));
  healthy_ = Clock::now();
  if (common_.rules.is_active()) {
    scanner_.wants = [this](std::int32_t db, ByteView key) {
      return common_.rules.admits_name(db, key);
    };
  }
  while (!stopping_) {
    if (common_.paused) {
      co_await wake_.wait_for(Millis(200));
      continue;
    }
    Error error;
    if (!scanner_.is_open()) {
      error = co_await reopen_scanner();
      if (error) co_return stopping_ ? Error() : error;
      continue;
    }
    if (spilled_ > 0 && dirty_.is_half_empty()) error = co_await refill();
    if (error) co_return error;
    auto keys = co_await scanner_.fetch();
    if (!keys) {
      if (!stopping_) {
        ++reconnects_;
        note(keys.error());
        log_warn("reading keys broke off, trying again: error=\"{}\"", keys.error().what);
      }
      if (!stopping_ && keys.error().is(Errc::refused_by_peer)) co_return keys.error();
      if (!stopping_) co_await halt_.wait_for(backoff.next());
      continue;
    }
    healthy_ = Clock::now();
    backoff.reset();
    if (!keys->empty()) {
      error = co_await put(*keys);
      if (error) co_return stopping_ ? Error() : error;
      continue;
    }
    if (in_pass_ && scanner_.has_passed()) end_pass();
    common_.on_progress();
    if (!stopping_ && !has_work()) co_await wake_.wait_for(Millis(500));
  }
  co_return Error();
}

Task<Error> ScanNode::reopen_scanner() {
  Backoff backoff(Millis(50), Millis(2000));
  while (!stopping_) {
    Error error = co_await scanner_.open(place_.host, place_.is_replica);
    if (!error || stopping_) break;
    note(error);
    if (elapsed_ms(healthy_, Clock::now()) > source_.reconnect_max_s * 1000) {
      co_return with_context(fmt::format("no working link for {} s", source_.reconnect_max_s),
                             std::move(error));
    }
    co_await halt_.wait_for(backoff.next());
  }
  co_return Error();
}

void ScanNode::end_pass() {
  in_pass_ = false;
  constexpr int streams_pause = 10;  // times as long as the pass took
  const TimePoint now = Clock::now();
  streams_again_at_ = now + streams_pause * (now - pass_began_);
  log_info("pass over the source ended: node={} keys={} seconds={:.1f}", name(),
           scanner_.pass().found(), static_cast<double>(elapsed_ms(pass_began_, now)) / 1000);
}

Task<Error> ScanNode::put(std::span<const ReadKey> keys) {
  for (const ReadKey& key : keys) {
    Error error;
    const std::int32_t db = common_.rules.transform().remap().db(key.db);
    if (db != last_db_) {
      error = co_await common_.sink.require_db(db);
      if (error) co_return error;
      last_db_ = db;
    }
    switch (key.kind) {
      case ReadKey::Kind::value:
        error = put_payload(key, key.payload);
        break;
      case ReadKey::Kind::gone:
        error = put_gone(key);
        break;
      case ReadKey::Kind::big:
        error = co_await put_big(key);
        break;
      case ReadKey::Kind::moved:
        common_.on_moved(key, key.text);
        break;
      case ReadKey::Kind::refused:
        if (!is_passing_trouble(key.text)) {
          co_return Error(Errc::refused_by_peer,
                          fmt::format("key \"{}\" cannot be read: {}", escaped(key.key), key.text));
        }
        change(key.db, key.key);
        break;
    }
    if (!error && common_.sink.must_pause()) error = co_await common_.sink.pause();
    if (!error && common_.rules.is_limited()) co_await wait_for_share(key.payload.size());
    if (error) co_return error;
  }
  common_.sink.flush_keys();
  co_return Error();
}

Error ScanNode::put_payload(const ReadKey& key, ByteView payload) {
  const auto dump = rdb::parse_dump(payload);
  if (!dump) {
    return with_context(fmt::format("key \"{}\" (database {})", escaped(key.key), key.db),
                        dump.error());
  }
  rdb::Event event;
  event.kind = rdb::Event::Kind::key;
  event.key = key.key;
  event.db = key.db;
  event.type = dump->type;
  event.value = dump->value;
  event.key_meta = dump->key_meta;
  if (key.expire_ms > 0) event.expire_ms = key.expire_ms;
  if (!common_.rules.apply(event, dump->dialect, value_bytes(event, dump->dialect), mapped_key_))
    return leave_out(key);
  return common_.sink.put_key(event, dump->dialect, nullptr);
}

Error ScanNode::put_gone(const ReadKey& key) {
  ByteView name = key.key;
  std::int32_t db = key.db;
  common_.rules.place(db, name, mapped_key_);
  return common_.sink.put_gone(name, db);
}

// Looks again now and then, so that a new limit need not wait for the old one.
Task<void> ScanNode::wait_for_share(std::size_t bytes) {
  constexpr Millis look_again{100};
  ScanRules& rules = common_.rules;
  rules.spend_target(1, bytes, Clock::now());
  rules.spend_source(scanner_.read_bytes() - paid_bytes_, Clock::now());
  paid_bytes_ = scanner_.read_bytes();
  while (!stopping_) {
    const Millis wait = rules.wait(Clock::now());
    if (wait <= Millis(0)) co_return;
    common_.sink.flush_keys();
    co_await halt_.wait_for(std::min(wait, look_again));
  }
}

Task<void> ScanNode::take_turn_for_big() {
  while (common_.big_busy && !stopping_)
    co_await common_.big_free.wait();
  common_.big_busy = true;
}

Task<Error> ScanNode::put_big(const ReadKey& key) {
  co_await take_turn_for_big();
  auto found = co_await big_.begin(key.db, key.key);
  Error error;
  if (!found && found.error().is(Errc::data_refused)) {
    error = too_large(key, found.error());
  } else if (!found) {
    // Like a change: it comes again when the source can be reached.
    change(key.db, key.key);
    note(found.error());
    co_await halt_.wait_for(Millis(50));
  } else if (found->kind == BigKeyReader::Key::Kind::gone) {
    error = put_gone(key);
  } else if (found->kind == BigKeyReader::Key::Kind::whole) {
    ReadKey whole = key;
    whole.expire_ms = found->expire_ms;
    error = put_payload(whole, found->payload);
  } else if (found->kind == BigKeyReader::Key::Kind::refused) {
    const bool is_redirection =
        found->payload.find("MOVED ") != Bytes::npos || found->payload.find("ASK ") != Bytes::npos;
    if (is_redirection) {
      const ByteView where = found->payload;
      common_.on_moved(key, where.substr(where.find(": ") + 2));
    } else {
      error = Error(Errc::refused_by_peer, found->payload);
    }
  } else {
    rdb::Event event;
    event.kind = rdb::Event::Kind::big_key;
    event.key = key.key;
    event.db = key.db;
    event.type = found->type;
    if (found->expire_ms > 0) event.expire_ms = found->expire_ms;
    // As large as it takes to be big; how large it really is nobody knows yet.
    const auto bytes = static_cast<std::uint64_t>(common_.options.snapshot_restore_max_bytes) + 1;
    Bytes name;
    if (common_.rules.apply(event, rdb::Dialect(), bytes, name)) {
      error = co_await put_pieces(event, key);
    } else {
      error = leave_out(key);
    }
  }
  common_.big_busy = false;
  common_.big_free.notify();
  co_return error;
}

Task<Error> ScanNode::put_pieces(const rdb::Event& event, const ReadKey& key) {
  rdb::Dialect dialect;
  dialect.family = identity_.traits.family;
  Error error = common_.sink.begin_key(event, dialect);
  while (!error) {
    auto elements = co_await big_.next();
    if (!elements) {
      if (elements.error().is(Errc::corrupt)) co_return elements.error();
      if (elements.error().is(Errc::data_refused)) co_return too_large(key, elements.error());
      note(elements.error());
      change(key.db, key.key);
      break;
    }
    if (elements->empty()) break;
    for (const rdb::Element& element : *elements) {
      if (!error) error = common_.sink.add_element(element);
      if (!error && common_.sink.must_pause()) error = co_await common_.sink.pause();
    }
  }
  if (!error) error = co_await common_.sink.end_key(event);
  co_return error;
}

}  // namespace keyferry
