// Pipeline: the rules of filter, databases and transform applied to the snapshot. (The stream's
// batches go through Transform::apply as they are.)
#include <chrono>

#include "keyferry/base/checksum.hpp"
#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/pipeline/pipeline.hpp"
#include "keyferry/pipeline/value_kind.hpp"

namespace keyferry {
namespace {

constexpr std::size_t names_max = 1024 * 1024;  // 8 bytes each, and about 40 of the table
constexpr std::uint64_t doubts_told = 20;

std::int64_t unix_ms() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<Millis>(system_clock::now().time_since_epoch()).count();
}

// What a function library or a script of the snapshot is filtered as.
bool admits_code(const Filter& filter, ByteView command) {
  const ByteView args[] = {command, "LOAD"};
  return filter.on_command(0, find_command(command), args).keeps();
}

}  // namespace

Error Pipeline::compile_rules() {
  Result<Transform> compiled = Transform::compile(options_);
  if (!compiled) return compiled.error();
  transform_ = std::move(*compiled);
  if (!transform_.is_active()) return Error();
  transform_.learnt = [this](ByteView name) { return sink_.nodes().learnt().find(name); };
  transform_.owns_target = [this] { return sink_.target_was_empty(); };
  transform_.on_doubt = [this](std::int32_t db, ByteView key) {
    if (sink_.is_exactly_once()) return sink_.suspects().add(db, key);
    if (++doubts_ > doubts_told) return;
    log_warn(
        "a command was left out of whose keys only some travel: key \"{}\" (database {}) may "
        "differ from now on",
        escaped(key), db);
  };
  sink_.transform = &transform_;
  return Error();
}

// The record tells under which rules the target was filled.
Error Pipeline::judge_rules() const {
  const std::optional<Record> record = sink_.resumable();
  if (!record || record->options == transform_.fingerprint()) return Error();
  return Error(Errc::usage,
               "the target was filled by this link under other rules (filter, databases, "
               "transform): go on with those, or begin again with --restart");
}

bool Pipeline::admits(const rdb::Event& event, std::optional<std::uint64_t> bytes) {
  KeyFacts facts;
  facts.db = event.db;
  facts.key = event.key;
  facts.kind = value_kind(rdb::value_type(event.type, reader_->dialect()).data);
  facts.bytes = bytes;
  facts.never_expires = !event.expire_ms;
  if (event.expire_ms) facts.ttl_ms = *event.expire_ms - unix_ms();
  if (transform_.admits(facts)) return true;
  ++snapshot_filtered_;
  sink_.spare_key(event);
  return false;
}

// Changes the event to what the target is to see; false: it is to see nothing.
bool Pipeline::apply_rules(rdb::Event& event, Error& error) {
  using Kind = rdb::Event::Kind;
  switch (event.kind) {
    case Kind::key:
      if (!admits(event, value_bytes(event, reader_->dialect()))) return false;
      break;
    case Kind::big_key: {
      // As large as it takes to be big; how large it really is nobody knows yet.
      leaving_out_ =
          !admits(event, static_cast<std::uint64_t>(options_.snapshot_restore_max_bytes) + 1);
      if (leaving_out_) return false;
      break;
    }
    case Kind::element:
      return !leaving_out_;
    case Kind::big_key_end:
      if (std::exchange(leaving_out_, false)) return false;
      break;
    case Kind::select_db:
      if (!transform_.filter().on_database(event.db).keeps()) return false;
      event.db = transform_.remap().db(event.db);
      return true;
    case Kind::function:
      return admits_code(transform_.filter(), "FUNCTION");
    case Kind::aux:
      return event.name != "lua" || admits_code(transform_.filter(), "SCRIPT");
    default:
      return true;
  }
  const Remap& remap = transform_.remap();
  if (!remap.is_active() || is_own_key(event.key)) return true;
  const std::int32_t source_db = event.db;
  event.db = remap.db(source_db);
  event.expire_ms = remap.expire(event.expire_ms);
  if (!remap.maps_keys() && !remap.may_collide()) return true;
  mapped_key_.clear();
  remap.append_key(mapped_key_, source_db, event.key);
  if (event.kind != Kind::big_key_end && collides(event.db)) {
    error = collision(event.key, source_db);
    leaving_out_ = event.kind == Kind::big_key;
    return false;
  }
  event.key = mapped_key_;
  return true;
}

// Whether another key of the snapshot has taken mapped_key_ already. Exact but for one chance in
// 2^64 per pair.
bool Pipeline::collides(std::int32_t db) {
  if (!transform_.remap().may_collide()) return false;
  if (names_.size() >= names_max) {
    if (!std::exchange(names_full_, true))
      log_warn("more than {} keys: names that collide under the mapping are no longer found",
               names_max);
    return false;
  }
  const std::uint64_t seed = static_cast<std::uint64_t>(db) * 0x9e3779b97f4a7c15;
  return !names_.insert(crc64(seed, mapped_key_)).second;
}

Error Pipeline::collision(ByteView key, std::int32_t source_db) {
  const std::string what =
      fmt::format("key \"{}\" (database {}) would become \"{}\", which another key has become",
                  escaped(key), source_db, escaped(mapped_key_));
  transform_.note_collision();
  if (options_.errors_policy == ErrorPolicy::stop) return Error(Errc::data_refused, what);
  log_warn("left out: {}", what);
  return Error();
}

}  // namespace keyferry
