#include "keyferry/pipeline/scan_rules.hpp"

#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/command/command_table.hpp"
#include "keyferry/pipeline/value_kind.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {

Error ScanRules::compile(const Options& options) {
  Result<Transform> compiled = Transform::compile(options);
  if (!compiled) return compiled.error();
  transform_ = std::move(*compiled);
  ops_.set(options.limits_target_ops_per_s);
  bytes_.set(options.limits_target_bytes_per_s);
  source_.set(options.limits_source_bytes_per_s);
  // What the target has cannot be looked up at the source under another name.
  const bool looks_back = options.snapshot_mirror || options.source_scan_reconcile_s > 0;
  if (maps_places() && looks_back) {
    return Error(Errc::usage,
                 "snapshot.mirror and source.scan.reconcile_s do not go together with a mapping of "
                 "keys or databases");
  }
  const auto names_commands = [](const FilterRules& rules) { return !rules.commands.empty(); };
  if (names_commands(options.filter.allow) || names_commands(options.filter.block)) {
    log_warn(
        "filter.*.commands hold for function libraries only in scan mode: nobody sees which "
        "command "
        "changed a key, and all of it is copied");
  }
  if (transform_.remap().may_collide())
    log_warn("names that meet under the mapping are not found in scan mode: the last one stays");
  return Error();
}

bool ScanRules::admits_name(std::int32_t db, ByteView key) {
  if (wants(db, key)) return true;
  KeyFacts facts;
  facts.db = db;
  facts.key = key;
  return transform_.admits(facts);
}

bool ScanRules::admits_functions() const {
  if (!is_active()) return true;
  const ByteView args[] = {"FUNCTION", "LOAD"};
  return transform_.filter().on_command(0, find_command("FUNCTION"), args).keeps();
}

bool ScanRules::apply(rdb::Event& event, rdb::Dialect dialect, std::uint64_t bytes, Bytes& name) {
  if (!is_active()) return true;
  if (!transform_.admits(key_facts(event, dialect, bytes, unix_now_ms()))) return false;
  event.expire_ms = transform_.remap().expire(event.expire_ms);
  place(event.db, event.key, name);
  return true;
}

void ScanRules::place(std::int32_t& db, ByteView& key, Bytes& name) const {
  const Remap& remap = transform_.remap();
  if (!remap.is_active()) return;
  if (remap.maps_keys()) {
    name.clear();
    remap.append_key(name, db, key);
    key = name;
  }
  db = remap.db(db);
}

void ScanRules::change_limits(const RateChange& change) {
  if (change.target_ops_per_s) ops_.set(*change.target_ops_per_s);
  if (change.target_bytes_per_s) bytes_.set(*change.target_bytes_per_s);
  if (change.source_bytes_per_s) source_.set(*change.source_bytes_per_s);
  log_info("limits: target_ops_per_s={} target_bytes_per_s={} source_bytes_per_s={}",
           ops_.per_second(), bytes_.per_second(), source_.per_second());
}

void ScanRules::spend_target(std::int64_t ops, std::size_t bytes, TimePoint now) {
  ops_.spend(ops, now);
  bytes_.spend(static_cast<std::int64_t>(bytes), now);
}

void ScanRules::spend_source(std::size_t bytes, TimePoint now) {
  source_.spend(static_cast<std::int64_t>(bytes), now);
}

Millis ScanRules::wait(TimePoint now) const {
  return std::max({ops_.wait(now), bytes_.wait(now), source_.wait(now)});
}

}  // namespace keyferry
