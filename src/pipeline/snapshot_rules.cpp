#include "keyferry/pipeline/snapshot_rules.hpp"

#include "keyferry/base/checksum.hpp"
#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/pipeline/value_kind.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {
namespace {

constexpr std::size_t names_max = 1024 * 1024;  // 8 bytes each, and about 40 of the table

// What a function library or a script of the snapshot is filtered as.
bool admits_code(const Filter& filter, ByteView command) {
  const ByteView args[] = {command, "LOAD"};
  return filter.on_command(0, find_command(command), args).keeps();
}

}  // namespace

void SnapshotRules::begin() {
  names_ = std::make_shared<Names>();
  leaving_out_ = leaving_out_db_ = false;
  left_out_ = 0;
}

bool SnapshotRules::wants(const rdb::Event& key, rdb::Dialect dialect) {
  return admits(key, dialect, std::nullopt);
}

bool SnapshotRules::admits(const rdb::Event& key, rdb::Dialect dialect,
                           std::optional<std::uint64_t> bytes) {
  if (rules_.admits(key_facts(key, dialect, bytes, unix_now_ms()))) return true;
  ++left_out_;
  if (on_left_out) on_left_out(key);
  return false;
}

bool SnapshotRules::apply(rdb::Event& event, rdb::Dialect dialect, Error& error) {
  using Kind = rdb::Event::Kind;
  switch (event.kind) {
    case Kind::key:
      return admits(event, dialect, value_bytes(event, dialect)) && apply_to_key(event, error);
    case Kind::big_key: {
      // As large as it takes to be big; how large it really is nobody knows yet.
      const auto bytes = static_cast<std::uint64_t>(options_.snapshot_restore_max_bytes) + 1;
      leaving_out_ = !admits(event, dialect, bytes);
      return !leaving_out_ && apply_to_key(event, error);
    }
    case Kind::element:
      return !leaving_out_;
    case Kind::big_key_end:
      return !std::exchange(leaving_out_, false) && apply_to_key(event, error);
    case Kind::select_db:
      leaving_out_db_ = !rules_.filter().on_database(event.db).keeps();
      event.db = rules_.remap().db(event.db);
      return !leaving_out_db_;
    case Kind::resize_db:
      return !leaving_out_db_;
    case Kind::function:
      return admits_code(rules_.filter(), "FUNCTION");
    case Kind::aux:
      return event.name != "lua" || admits_code(rules_.filter(), "SCRIPT");
    default:
      return true;
  }
}

bool SnapshotRules::apply_to_key(rdb::Event& key, Error& error) {
  const Remap& remap = rules_.remap();
  if (!remap.is_active() || is_own_key(key.key)) return true;
  const std::int32_t source_db = key.db;
  key.db = remap.db(source_db);
  key.expire_ms = remap.expire(key.expire_ms);
  if (!remap.maps_keys() && !remap.may_collide()) return true;
  mapped_key_.clear();
  remap.append_key(mapped_key_, source_db, key.key);
  if (key.kind != rdb::Event::Kind::big_key_end && collides(key.db)) {
    error = collision(key.key, source_db);
    leaving_out_ = key.kind == rdb::Event::Kind::big_key;
    return false;
  }
  key.key = mapped_key_;
  return true;
}

// Whether another key of the snapshot has taken mapped_key_ already. Exact but for one chance in
// 2^64 per pair.
bool SnapshotRules::collides(std::int32_t db) {
  if (!rules_.remap().may_collide()) return false;
  if (names_->hashes.size() >= names_max) {
    if (!std::exchange(names_->is_full, true))
      log_warn("more than {} keys: names that collide under the mapping are no longer found",
               names_max);
    return false;
  }
  const std::uint64_t seed = static_cast<std::uint64_t>(db) * 0x9e3779b97f4a7c15;
  return !names_->hashes.insert(crc64(seed, mapped_key_)).second;
}

Error SnapshotRules::collision(ByteView key, std::int32_t source_db) {
  const std::string what =
      fmt::format("key \"{}\" (database {}) would become \"{}\", which another key has become",
                  escaped(key), source_db, escaped(mapped_key_));
  rules_.note_collision();
  if (options_.errors_policy == ErrorPolicy::stop) return Error(Errc::data_refused, what);
  log_warn("left out: {}", what);
  return Error();
}

}  // namespace keyferry
