#include "keyferry/config/options.hpp"

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "keyferry/config/option_table.hpp"

namespace keyferry {
namespace {

std::string set_option(Options& options, const std::string& name, const std::string& value) {
  const OptionDef* def = find_option(name);
  if (def == nullptr) return "no such option: " + name;
  return def->set(options, value);
}

bool has_default(const OptionRow& row) {
  return row.name != "source.uri" && row.name != "target.uri";
}

TEST(OptionTable, EveryDefaultIsAcceptedAndShownAlike) {
  for (const OptionRow& row : option_rows()) {
    if (!has_default(row)) continue;
    Options options;
    EXPECT_EQ(set_option(options, row.name, row.default_text), "") << row.name;
    EXPECT_EQ(find_option(row.name)->show(options), row.default_text) << row.name;
  }
}

TEST(OptionTable, NamesAreUniqueAndInAGroup) {
  std::set<std::string> names;
  for (const OptionRow& row : option_rows()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_NE(row.name.find('.'), std::string::npos) << row.name;
    EXPECT_FALSE(row.what.empty()) << row.name;
  }
}

struct Change {
  const char* name;
  const char* value;
};

// One value per option that is not its default.
const std::vector<Change>& changes() {
  static const std::vector<Change> table = {
      {"source.uri", "redis://a:1"},
      {"source.topology", "standalone"},
      {"source.password_file", "/run/a"},
      {"source.tls.verify", "none"},
      {"source.tls.ca_file", "/source/ca"},
      {"source.tls.cert_file", "/source/cert"},
      {"source.tls.key_file", "/source/key"},
      {"source.tls.key_password_file", "/source/kp"},
      {"source.tls.server_name", "source.example"},
      {"source.sentinel.user", "source-s"},
      {"source.sentinel.password_file", "/source/sp"},
      {"source.connect_timeout_ms", "1"},
      {"source.reply_timeout_ms", "2"},
      {"source.reconnect_max_s", "3"},
      {"source.psync_command", "SYNCHRONISE"},
      {"source.mode", "scan"},
      {"source.prefer_replica", "true"},
      {"source.max_parallel_snapshots", "2"},
      {"source.shards", "1/3"},
      {"source.scan.count", "77"},
      {"source.scan.enable_notifications", "true"},
      {"source.scan.probe", "never"},
      {"source.scan.lag_zero", "quiet"},
      {"source.scan.check_ms", "99"},
      {"source.scan.reconcile_s", "88"},
      {"source.aof.on_truncated", "keep"},
      {"source.aof.until", "2026-01-31T12:00:00Z"},
      {"target.file.release", "redis-7.2"},
      {"target.file.rotate_bytes", "1GiB"},
      {"target.file.fsync_interval_ms", "50"},
      {"target.uri", "redis://b:2"},
      {"target.topology", "cluster"},
      {"target.password_file", "/run/b"},
      {"target.tls.verify", "none"},
      {"target.tls.ca_file", "/target/ca"},
      {"target.tls.cert_file", "/target/cert"},
      {"target.tls.key_file", "/target/key"},
      {"target.tls.key_password_file", "/target/kp"},
      {"target.tls.server_name", "target.example"},
      {"target.sentinel.user", "target-s"},
      {"target.sentinel.password_file", "/target/sp"},
      {"target.connect_timeout_ms", "4"},
      {"target.reply_timeout_ms", "5"},
      {"target.reconnect_max_s", "6"},
      {"target.lanes_per_node", "64"},
      {"target.topology_refresh_s", "7"},
      {"target.before", "must_be_empty"},
      {"snapshot.enabled", "false"},
      {"snapshot.on_existing_key", "skip"},
      {"snapshot.mirror", "true"},
      {"snapshot.restore_max_bytes", "11MiB"},
      {"snapshot.on_lossy", "warn"},
      {"snapshot.on_unknown_module", "skip"},
      {"stream.enabled", "false"},
      {"stream.ack", "zero"},
      {"delivery.mode", "at_least_once"},
      {"delivery.link", "mine"},
      {"delivery.checkpoint_interval_ms", "11"},
      {"delivery.transaction_max_ms", "12"},
      {"delivery.lease_s", "13"},
      {"delivery.migrating_max_s", "15"},
      {"delivery.retain_bytes", "5KiB"},
      {"delivery.on_lost_history", "fail"},
      {"delivery.full_resyncs_per_hour", "14"},
      {"errors.policy", "skip"},
      {"errors.dead_letter_file", "dead"},
      {"filter.allow.keys", "[a]"},
      {"filter.allow.prefixes", "[b]"},
      {"filter.allow.suffixes", "[c]"},
      {"filter.allow.globs", "[d*]"},
      {"filter.allow.regexes", "[e]"},
      {"filter.allow.slots", "[1-2]"},
      {"filter.allow.databases", "[3]"},
      {"filter.allow.commands", "[SET]"},
      {"filter.allow.groups", "[hash]"},
      {"filter.allow.types", "[list]"},
      {"filter.block.keys", "[A]"},
      {"filter.block.prefixes", "[B]"},
      {"filter.block.suffixes", "[C]"},
      {"filter.block.globs", "[D]"},
      {"filter.block.regexes", "[E]"},
      {"filter.block.slots", "[7]"},
      {"filter.block.databases", "[4]"},
      {"filter.block.commands", "[DEL]"},
      {"filter.block.groups", "[set]"},
      {"filter.block.types", "[zset]"},
      {"filter.min_bytes", "5"},
      {"filter.max_bytes", "6"},
      {"filter.min_ttl_s", "7"},
      {"filter.max_ttl_s", "8"},
      {"source.address_map", "{10.0.0.1:6379: localhost:7001}"},
      {"target.address_map", "{\"[::1]:6379\": 127.0.0.1:7002}"},
      {"databases.map", "{1: 0}"},
      {"databases.prefix", "{2: p}"},
      {"transform.key_prefix.strip", "s"},
      {"transform.key_prefix.replace", "{r: R}"},
      {"transform.key_prefix.add", "a"},
      {"transform.ttl", "+90s"},
      {"transform.script_file", "/etc/k.lua"},
      {"transform.decode", "true"},
      {"limits.target_ops_per_s", "1"},
      {"limits.target_bytes_per_s", "2"},
      {"limits.source_bytes_per_s", "3"},
      {"limits.memory_max_bytes", "16MiB"},
      {"spool.enabled", "false"},
      {"spool.dir", "/var/spool/k"},
      {"spool.max_bytes", "1GiB"},
      {"http.listen", ""},
      {"http.token_file", "/run/token"},
      {"http.ready_lag_bytes", "2KiB"},
      {"admin.resp_listen", "0.0.0.0:8485"},
      {"log.level", "debug"},
      {"log.format", "json"},
      {"log.file", "/var/log/k"},
      {"cutover.pause_timeout_ms", "2000"},
      {"cutover.max_lag_bytes", "3KiB"},
      {"cutover.wait_s", "11"},
      {"cutover.on_switch", "switch now"},
      {"cutover.on_pause", "pause now"},
      {"cutover.on_unpause", "go on"},
      {"cutover.sample_keys", "12"},
      {"verify.level", "full"},
      {"verify.sample", "0.5%"},
      {"verify.seed", "12"},
      {"verify.ttl_tolerance_ms", "13"},
      {"verify.recheck_wait_ms", "14"},
      {"verify.rechecks", "15"},
      {"verify.keys_per_s", "16"},
      {"verify.repair", "true"},
      {"verify.repair_extra", "true"},
      {"verify.report_file", "differences.jsonl"},
      {"stop.when", "lag-zero"},
      {"stop.then", "idle"},
      {"stop.verify", "sample"},
      {"stop.stable_for_ms", "8"},
      {"stop.lag_bytes", "9"},
      {"stop.shutdown_grace_s", "10"},
  };
  return table;
}

TEST(OptionTable, EachRowSetsItsOwnFieldAndNoOther) {
  Options options;
  for (const Change& change : changes()) {
    EXPECT_EQ(set_option(options, change.name, change.value), "") << change.name;
  }

  std::set<std::string> changed;
  for (const Change& change : changes()) {
    EXPECT_EQ(find_option(change.name)->show(options), change.value) << change.name;
    changed.insert(change.name);
  }
  for (const OptionRow& row : option_rows())
    EXPECT_EQ(changed.count(row.name), 1U) << row.name;
}

TEST(OptionTable, AVerifySampleIsAPart) {
  Options options;
  for (const char* wrong : {"", "1", "0%", "-1%", "101%", "x%", "1%%", "nan%"})
    EXPECT_NE(set_option(options, "verify.sample", wrong), "") << wrong;
}

TEST(OptionTable, FillsTheFieldsThatCodeReads) {
  Options options;
  for (const Change& change : changes())
    set_option(options, change.name, change.value);

  EXPECT_EQ(options.source.uri.hosts.at(0).host, "a");
  EXPECT_EQ(options.source.connect_timeout_ms, 1);
  EXPECT_EQ(options.source_psync_command, "SYNCHRONISE");
  EXPECT_EQ(options.source_mode, SourceMode::scan);
  EXPECT_EQ(options.source_scan_count, 77);
  EXPECT_EQ(options.source_scan_probe, ScanProbe::never);
  EXPECT_EQ(options.source_scan_lag_zero, ScanLagZero::quiet);
  EXPECT_EQ(options.target.topology, Topology::cluster);
  EXPECT_EQ(options.target.reconnect_max_s, 6);
  EXPECT_EQ(options.target_lanes_per_node, 64);
  EXPECT_EQ(options.target_before, TargetBefore::must_be_empty);
  EXPECT_EQ(options.stream_ack, AckPolicy::zero);
  EXPECT_EQ(options.errors_policy, ErrorPolicy::skip);
  EXPECT_EQ(options.limits_memory_max_bytes, 16 * 1024 * 1024);
  EXPECT_FALSE(options.spool_enabled);
  EXPECT_EQ(options.http_listen, "");
  EXPECT_EQ(options.stop_when, StopWhen::lag_zero);
  EXPECT_EQ(options.stop_then, StopThen::idle);
  EXPECT_EQ(options.stop_lag_bytes, 9);
}

struct BadValue {
  const char* name;
  const char* value;
  const char* message;
};

TEST(OptionTable, RefusesBadValuesWithUnitOrChoices) {
  const std::vector<BadValue> table = {
      {"target.lanes_per_node", "0", "0 is out of range (connections, 1 to 64)"},
      {"target.lanes_per_node", "65", "65 is out of range (connections, 1 to 64)"},
      {"target.lanes_per_node", "four", "'four' is not a whole number (connections, 1 to 64)"},
      {"stop.stable_for_ms", "", "'' is not a whole number (milliseconds, 0 to 86400000)"},
      {"limits.memory_max_bytes", "1KiB",
       "'1KiB' is out of range (bytes, KiB, MiB, GiB, KB, MB or GB; 4MiB to 1024GiB)"},
      {"spool.max_bytes", "lots",
       "'lots' is not a size (bytes, KiB, MiB, GiB, KB, MB or GB; 1MiB to 65536GiB)"},
      {"spool.enabled", "yes", "'yes' is none of true|false"},
      {"log.level", "loud", "'loud' is none of debug|info|warn|error"},
      {"log.level", "redis://:x@h", "the value is none of debug|info|warn|error"},
      {"stop.when", "lag", "'lag' is none of never|snapshot|lag-zero"},
      {"errors.dead_letter_file", "", "must not be empty"},
      {"source.psync_command", "PSYNC\r\nFLUSHALL", "holds a control character"},
      {"http.listen", "localhost", "the port is missing (write HOST:PORT)"},
      {"delivery.mode", "twice", "'twice' is none of exactly_once|at_least_once"},
      {"source.uri", "redis://h/3",
       "choosing a database is not available yet: all databases are moved"},
  };
  for (const BadValue& bad : table) {
    Options options;
    EXPECT_EQ(set_option(options, bad.name, bad.value), bad.message) << bad.name;
  }
}

TEST(OptionTable, TakesDashesAndUnderscoresAlike) {
  Options options;

  EXPECT_EQ(set_option(options, "stop.when", "lag_zero"), "");
  EXPECT_EQ(set_option(options, "target.before", "must-be-empty"), "");
  EXPECT_EQ(options.stop_when, StopWhen::lag_zero);
}

}  // namespace
}  // namespace keyferry
