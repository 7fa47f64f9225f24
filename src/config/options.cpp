#include "keyferry/config/options.hpp"

#include <utility>

#include <fmt/format.h>

#include "keyferry/config/option_kinds.hpp"
#include "rule_options.hpp"

namespace keyferry {
namespace {

OptionDef boolean(std::string name, Access<bool> access, std::string what) {
  return choice_option<bool>(std::move(name), std::move(access), {{"true", true}, {"false", false}},
                             std::move(what));
}

using Table = std::vector<OptionDef>;
constexpr std::int64_t mebibyte = std::int64_t{1024} * 1024;
constexpr std::int64_t tebibyte = mebibyte * mebibyte;
constexpr std::int64_t day_ms = std::int64_t{24} * 3600 * 1000;
constexpr std::int64_t year_s = std::int64_t{366} * 24 * 3600;

void add_text(Table& table, std::string name, Access<std::string> access, std::string range,
              std::string what) {
  table.push_back(text_option(std::move(name), std::move(access), Empty::allowed, std::move(range),
                              std::move(what)));
}

// How an end is reached when its address says rediss:// or *-sentinel://.
void add_security(Table& table, const std::string& group, EndOptions Options::*end) {
  const std::string who = "the " + group;
  const auto tls = [end](std::string TlsOptions::*field) {
    return [end, field](Options& o) -> std::string& { return (o.*end).tls.*field; };
  };
  table.push_back(choice_option<TlsVerify>(
      group + ".tls.verify", [end](Options& o) -> TlsVerify& { return (o.*end).tls.verify; },
      {{"full", TlsVerify::full}, {"ca", TlsVerify::ca}, {"none", TlsVerify::none}},
      "What is checked of the certificate of " + who +
          " (rediss://): authority and name, authority only, nothing."));
  add_text(table, group + ".tls.ca_file", tls(&TlsOptions::ca_file), "path, \"\" = the system's",
           "Authorities, as PEM, that may have signed the certificate of " + who + ".");
  add_text(table, group + ".tls.cert_file", tls(&TlsOptions::cert_file), "path",
           "Our own certificate, as PEM, where " + who + " asks clients for one.");
  add_text(table, group + ".tls.key_file", tls(&TlsOptions::key_file), "path",
           "The private key of our certificate, as PEM.");
  add_text(table, group + ".tls.key_password_file", tls(&TlsOptions::key_password_file), "path",
           "File that holds the password of the private key.");
  add_text(table, group + ".tls.server_name", tls(&TlsOptions::server_name),
           "name, \"\" = the host of the address",
           "Name that the certificate of " + who + " is for; also sent to it (SNI).");
  add_text(
      table, group + ".sentinel.user",
      [end](Options& o) -> std::string& { return (o.*end).sentinel_user; }, "name",
      "User at the Sentinels of a *-sentinel:// address.");
  add_text(
      table, group + ".sentinel.password_file",
      [end](Options& o) -> std::string& { return (o.*end).sentinel_password_file; }, "path",
      "File that holds the password of the Sentinels; the address holds that of the servers.");
}

// The options both ends have; `group` is "source" or "target".
void add_end(Table& table, const std::string& group, EndOptions Options::*end) {
  const std::string who = "the " + group;
  table.push_back(address_option(group + ".uri", end, "Address of " + who + "."));
  table.push_back(choice_option<Topology>(
      group + ".topology", [end](Options& o) -> Topology& { return (o.*end).topology; },
      {{"auto", Topology::automatic},
       {"standalone", Topology::standalone},
       {"cluster", Topology::cluster}},
      "What " + who + " is; auto asks the server."));
  table.push_back(text_option(
      group + ".password_file",
      [end](Options& o) -> std::string& { return (o.*end).password_file; }, Empty::allowed, "path",
      "File that holds the password of " + who + " instead of the address."));
  const auto check_address = [](const std::string& text) -> std::string {
    return parse_listen(text) ? "" : "addresses are like 10.0.0.1:6379 or [::1]:6379";
  };
  table.push_back(map_option(
      group + ".address_map", [end](Options & o) -> auto& { return (o.*end).address_map; },
      check_address, check_address, "map, like {\"10.0.0.1:6379\": \"localhost:7001\"}",
      "Address that a server or Sentinel of " + who +
          " names: where it is reached from here (NAT, containers)."));
  add_security(table, group, end);
  table.push_back(integer_option(
      group + ".connect_timeout_ms",
      [end](Options& o) -> std::int64_t& { return (o.*end).connect_timeout_ms; }, {1, day_ms},
      "milliseconds", "Time limit to connect, authenticate and greet."));
  table.push_back(integer_option(
      group + ".reply_timeout_ms",
      [end](Options& o) -> std::int64_t& { return (o.*end).reply_timeout_ms; }, {1, day_ms},
      "milliseconds", "Silence while an answer is due after which a connection is given up."));
  table.push_back(integer_option(
      group + ".reconnect_max_s",
      [end](Options& o) -> std::int64_t& { return (o.*end).reconnect_max_s; }, {0, year_s},
      "seconds", "Time without a working connection after which the run ends with exit code 3."));
}

void add_source(Table& table) {
  add_end(table, "source", &Options::source);
  table.push_back(text_option(
      "source.psync_command", [](Options& o) -> std::string& { return o.source_psync_command; },
      Empty::refused, "command", "How PSYNC is called on the source, should it be renamed there."));
  table.push_back(choice_option<SourceMode>(
      "source.mode", [](Options& o) -> SourceMode& { return o.source_mode; },
      {{"auto", SourceMode::automatic}, {"psync", SourceMode::psync}, {"scan", SourceMode::scan}},
      "How the source is read: as a replica, by SCAN and keyspace notifications, or as a replica "
      "where it allows that."));
  table.push_back(boolean(
      "source.prefer_replica", [](Options& o) -> bool& { return o.source_prefer_replica; },
      "Read a cluster from a replica of each master, where there is one."));
  table.push_back(integer_option(
      "source.max_parallel_snapshots",
      [](Options& o) -> std::int64_t& { return o.source_max_parallel_snapshots; }, {0, 1000},
      "full syncs, 0 = no limit",
      "Of a cluster: how many nodes of one host make a snapshot for us at the same time."));
  const auto check_shard = [](const std::string& text) -> std::string {
    return text.empty() || parse_shard(text) ? ""
                                             : "is not like 0/3: our number, from 0, and how many";
  };
  table.push_back(checked_option(
      "source.shards", [](Options& o) -> std::string& { return o.filter.shard; }, check_shard,
      "i/n, \"\" = all",
      "Which part of a cluster's slots is ours where n instances share it; 0/n is the first."));
}

void add_scan(Table& table) {
  table.push_back(integer_option(
      "source.scan.count", [](Options& o) -> std::int64_t& { return o.source_scan_count; },
      {1, 100000}, "keys", "Scan mode: how many keys one round trip asks for."));
  table.push_back(boolean(
      "source.scan.enable_notifications",
      [](Options& o) -> bool& { return o.source_scan_enable_notifications; },
      "Scan mode: set notify-keyspace-events at the source where it lacks something, and put it "
      "back at the end; false ends the run instead."));
  table.push_back(choice_option<ScanProbe>(
      "source.scan.probe", [](Options& o) -> ScanProbe& { return o.source_scan_probe; },
      {{"auto", ScanProbe::automatic}, {"always", ScanProbe::always}, {"never", ScanProbe::never}},
      "Scan mode: write a key of ours to the source to see that its events arrive; auto where "
      "CONFIG GET is not allowed."));
  table.push_back(choice_option<ScanLagZero>(
      "source.scan.lag_zero", [](Options& o) -> ScanLagZero& { return o.source_scan_lag_zero; },
      {{"auto", ScanLagZero::automatic},
       {"probe", ScanLagZero::probe},
       {"quiet", ScanLagZero::quiet}},
      "Scan mode: what proves that lag is zero: the event of a key of ours, written to the source "
      "at the end, or no event at all for stop.stable_for_ms; auto writes the key where CONFIG GET "
      "is not allowed, and is content with a ping behind the events elsewhere."));
  table.push_back(integer_option(
      "source.scan.check_ms", [](Options& o) -> std::int64_t& { return o.source_scan_check_ms; },
      {10, 2000}, "milliseconds",
      "Scan mode: how often to look for what no event tells, such as FLUSHALL."));
  table.push_back(integer_option(
      "source.scan.reconcile_s",
      [](Options& o) -> std::int64_t& { return o.source_scan_reconcile_s; }, {0, year_s},
      "seconds, 0 = never",
      "Scan mode: how often to remove keys of the target that the source does not have."));
}

void add_target(Table& table) {
  add_end(table, "target", &Options::target);
  table.push_back(integer_option(
      "target.lanes_per_node", [](Options& o) -> std::int64_t& { return o.target_lanes_per_node; },
      {1, 64}, "connections", "Connections to each target node that apply commands side by side."));
  table.push_back(integer_option(
      "target.topology_refresh_s",
      [](Options& o) -> std::int64_t& { return o.target_topology_refresh_s; }, {1, year_s},
      "seconds", "How often the slot map of a target cluster is read again."));
  table.push_back(choice_option<TargetBefore>(
      "target.before", [](Options& o) -> TargetBefore& { return o.target_before; },
      {{"keep", TargetBefore::keep},
       {"flush", TargetBefore::flush},
       {"must_be_empty", TargetBefore::must_be_empty}},
      "What to do with data that is in the target before the snapshot."));
}

void add_delivery(Table& table) {
  table.push_back(choice_option<Delivery>(
      "delivery.mode", [](Options& o) -> Delivery& { return o.delivery_mode; },
      {{"exactly_once", Delivery::exactly_once}, {"at_least_once", Delivery::at_least_once}},
      "What a crash may do: exactly_once loses and repeats nothing and goes on where it was; "
      "at_least_once can apply the newest commands again and starts over."));
  table.push_back(text_option(
      "delivery.link", [](Options& o) -> std::string& { return o.delivery_link; }, Empty::allowed,
      "name, \"\" = from source.uri",
      "Name of this link in the record that it keeps in the target; give one if source.uri may "
      "change."));
  table.push_back(integer_option(
      "delivery.checkpoint_interval_ms",
      [](Options& o) -> std::int64_t& { return o.delivery_checkpoint_interval_ms; }, {10, day_ms},
      "milliseconds", "How often the record follows a stream that brings nothing for the target."));
  table.push_back(integer_option(
      "delivery.transaction_max_ms",
      [](Options& o) -> std::int64_t& { return o.delivery_transaction_max_ms; }, {1, day_ms},
      "milliseconds",
      "How long one transaction may keep the target busy; longer ones get smaller."));
  table.push_back(integer_option(
      "delivery.lease_s", [](Options& o) -> std::int64_t& { return o.delivery_lease_s; }, {1, 3600},
      "seconds",
      "How long a silent instance keeps its right to write; then another one may take over."));
  table.push_back(integer_option(
      "delivery.migrating_max_s",
      [](Options& o) -> std::int64_t& { return o.delivery_migrating_max_s; }, {0, 86400}, "seconds",
      "How long a slot of the target may stay half moved; then its commands go one by one."));
  table.push_back(size_option(
      "delivery.retain_bytes", [](Options& o) -> std::int64_t& { return o.delivery_retain_bytes; },
      {0, 64 * tebibyte},
      "How much of the stream is kept (spool.dir) after it was applied, for a target that loses "
      "what it had acknowledged."));
  table.push_back(choice_option<LostHistory>(
      "delivery.on_lost_history",
      [](Options& o) -> LostHistory& { return o.delivery_on_lost_history; },
      {{"full_resync", LostHistory::full_resync}, {"fail", LostHistory::fail}},
      "When the stream cannot go on where the target is: copy everything again, or end."));
  table.push_back(integer_option(
      "delivery.full_resyncs_per_hour",
      [](Options& o) -> std::int64_t& { return o.delivery_full_resyncs_per_hour; }, {0, 3600},
      "count", "More full syncs than this, after the first one, end the link with exit code 4."));
}

void add_snapshot(Table& table) {
  table.push_back(boolean(
      "snapshot.enabled", [](Options& o) -> bool& { return o.snapshot_enabled; },
      "Copy the data that is there; false takes only what is written from now on."));
  table.push_back(choice_option<ExistingKey>(
      "snapshot.on_existing_key",
      [](Options& o) -> ExistingKey& { return o.snapshot_on_existing_key; },
      {{"replace", ExistingKey::replace}, {"skip", ExistingKey::skip}, {"fail", ExistingKey::fail}},
      "What to do with a key of the snapshot that the target already has."));
  table.push_back(boolean(
      "snapshot.mirror", [](Options& o) -> bool& { return o.snapshot_mirror; },
      "Remove keys of the target that the source does not have, once the snapshot is applied."));
  table.push_back(size_option(
      "snapshot.restore_max_bytes",
      [](Options& o) -> std::int64_t& { return o.snapshot_restore_max_bytes; }, {0, 512 * mebibyte},
      "Values up to this size go as raw bytes where the target can read them; larger ones element "
      "by element."));
  table.push_back(choice_option<LossPolicy>(
      "snapshot.on_lossy", [](Options& o) -> LossPolicy& { return o.snapshot_on_lossy; },
      {{"stop", LossPolicy::stop}, {"warn", LossPolicy::warn}},
      "What to do when the target cannot hold all of a value, such as the expiry of hash fields."));
  table.push_back(choice_option<ModulePolicy>(
      "snapshot.on_unknown_module",
      [](Options& o) -> ModulePolicy& { return o.snapshot_on_unknown_module; },
      {{"stop", ModulePolicy::stop}, {"skip", ModulePolicy::skip}},
      "What to do with a value of a module that the target lacks."));
}

void add_transfer(Table& table) {
  table.push_back(boolean(
      "stream.enabled", [](Options& o) -> bool& { return o.stream_enabled; },
      "Follow the source behind the snapshot; false ends the run after the snapshot."));
  table.push_back(choice_option<AckPolicy>(
      "stream.ack", [](Options& o) -> AckPolicy& { return o.stream_ack; },
      {{"applied", AckPolicy::applied}, {"zero", AckPolicy::zero}},
      "Offset that the source is told: what the target has applied, or always zero."));
  add_delivery(table);
  table.push_back(choice_option<ErrorPolicy>(
      "errors.policy", [](Options& o) -> ErrorPolicy& { return o.errors_policy; },
      {{"stop", ErrorPolicy::stop}, {"skip", ErrorPolicy::skip}},
      "After the target refused a command for good: end, or write it to the dead-letter file and "
      "go on."));
  table.push_back(text_option(
      "errors.dead_letter_file",
      [](Options& o) -> std::string& { return o.errors_dead_letter_file; }, Empty::refused, "path",
      "Where refused commands are kept, as RESP that redis-cli --pipe can send again."));
}

void add_limits(Table& table) {
  table.push_back(size_option(
      "limits.memory_max_bytes",
      [](Options& o) -> std::int64_t& { return o.limits_memory_max_bytes; },
      {4 * mebibyte, tebibyte}, "Memory for queued and unanswered data."));
  table.push_back(integer_option(
      "limits.target_ops_per_s",
      [](Options& o) -> std::int64_t& { return o.limits_target_ops_per_s; }, {0, tebibyte},
      "per second, 0 = no limit",
      "Commands and snapshot keys for the target; POST /limits changes it while the link runs."));
  table.push_back(size_option(
      "limits.target_bytes_per_s",
      [](Options& o) -> std::int64_t& { return o.limits_target_bytes_per_s; }, {0, tebibyte},
      "Bytes per second to the target, 0 = no limit; POST /limits changes it while the link "
      "runs."));
  table.push_back(size_option(
      "limits.source_bytes_per_s",
      [](Options& o) -> std::int64_t& { return o.limits_source_bytes_per_s; }, {0, tebibyte},
      "Bytes per second from the source, 0 = no limit; POST /limits changes it while the link "
      "runs."));
  table.push_back(boolean(
      "spool.enabled", [](Options& o) -> bool& { return o.spool_enabled; },
      "Keep on disk what the target cannot take yet, so that the source never has to wait."));
  table.push_back(text_option(
      "spool.dir", [](Options& o) -> std::string& { return o.spool_dir; }, Empty::allowed,
      "path, \"\" = ./keyferry-spool",
      "Directory of the spool; created when needed. When it is given, the stream is kept there as "
      "it "
      "is received, so that a restart does not depend on the source's backlog."));
  table.push_back(size_option(
      "spool.max_bytes", [](Options& o) -> std::int64_t& { return o.spool_max_bytes; },
      {mebibyte, 64 * tebibyte}, "Disk space that the spool may use."));
}

void add_operation(Table& table) {
  table.push_back(listen_option(
      "http.listen", [](Options& o) -> std::string& { return o.http_listen; },
      "Where dashboard, status, metrics and control are served; beyond loopback only with a "
      "token."));
  add_text(
      table, "http.token_file", [](Options& o) -> std::string& { return o.http_token_file; },
      "path",
      "File that holds the token which POST (Authorization: Bearer) and SHUTDOWN must present.");
  table.push_back(size_option(
      "http.ready_lag_bytes", [](Options& o) -> std::int64_t& { return o.http_ready_lag_bytes; },
      {0, tebibyte}, "Lag up to which /readyz says ready."));
  table.push_back(listen_option(
      "admin.resp_listen", [](Options& o) -> std::string& { return o.admin_resp_listen; },
      "Where the replica that the source sees answers (redis-cli info); off announces nothing."));
  table.push_back(choice_option<std::string>(
      "log.level", [](Options& o) -> std::string& { return o.log_level; },
      {{"debug", "debug"}, {"info", "info"}, {"warn", "warn"}, {"error", "error"}},
      "The least severe log lines to write."));
  table.push_back(choice_option<std::string>(
      "log.format", [](Options& o) -> std::string& { return o.log_format; },
      {{"text", "text"}, {"json", "json"}}, "Form of the log lines."));
  table.push_back(text_option(
      "log.file", [](Options& o) -> std::string& { return o.log_file; }, Empty::allowed,
      "path, \"\" = stderr", "Where log lines go."));
}

void add_cutover(Table& table) {
  table.push_back(integer_option(
      "cutover.pause_timeout_ms",
      [](Options& o) -> std::int64_t& { return o.cutover_pause_timeout_ms; }, {1000, day_ms},
      "milliseconds", "How long a cutover may hold back writes at the source at most."));
  table.push_back(size_option(
      "cutover.max_lag_bytes", [](Options& o) -> std::int64_t& { return o.cutover_max_lag_bytes; },
      {0, tebibyte}, "Lag under which a cutover begins to hold back writes."));
  table.push_back(integer_option(
      "cutover.wait_s", [](Options& o) -> std::int64_t& { return o.cutover_wait_s; }, {0, year_s},
      "seconds", "How long a cutover waits for that lag."));
  add_text(
      table, "cutover.on_switch", [](Options& o) -> std::string& { return o.cutover_on_switch; },
      "shell command", "What to run once the source is fenced, to send clients to the target.");
  add_text(
      table, "cutover.on_pause", [](Options& o) -> std::string& { return o.cutover_on_pause; },
      "shell command",
      "What holds back writes at a source without CLIENT PAUSE WRITE (before Redis 6.2); it has "
      "cutover.pause_timeout_ms for that.");
  add_text(
      table, "cutover.on_unpause", [](Options& o) -> std::string& { return o.cutover_on_unpause; },
      "shell command",
      "What takes cutover.on_pause back; run when the cutover is given up, or when we are killed "
      "before the source is fenced.");
  table.push_back(integer_option(
      "cutover.sample_keys", [](Options& o) -> std::int64_t& { return o.cutover_sample_keys; },
      {1, 10000}, "keys",
      "How many keys a cutover with verify=sample compares, per source master."));
}

void add_stop(Table& table) {
  table.push_back(choice_option<StopWhen>(
      "stop.when", [](Options& o) -> StopWhen& { return o.stop_when; },
      {{"never", StopWhen::never},
       {"snapshot", StopWhen::snapshot},
       {"lag-zero", StopWhen::lag_zero}},
      "When the run is done: never, after the snapshot, or once the target has caught up."));
  table.push_back(choice_option<StopThen>(
      "stop.then", [](Options& o) -> StopThen& { return o.stop_then; },
      {{"exit", StopThen::exit}, {"idle", StopThen::idle}},
      "What to do when done: exit, or keep serving the status without a link."));
  table.push_back(integer_option(
      "stop.stable_for_ms", [](Options& o) -> std::int64_t& { return o.stop_stable_for_ms; },
      {0, day_ms}, "milliseconds",
      "How long the target must stay caught up before lag-zero counts."));
  table.push_back(choice_option<StopVerify>(
      "stop.verify", [](Options& o) -> StopVerify& { return o.stop_verify; },
      {{"none", StopVerify::none}, {"sample", StopVerify::sample}, {"digest", StopVerify::digest}},
      "Compare both ends before lag-zero counts as done: no, a hundredth of the keys, or all."));
  table.push_back(size_option(
      "stop.lag_bytes", [](Options& o) -> std::int64_t& { return o.stop_lag_bytes; },
      {-1, tebibyte}, "Lag that lag-zero accepts as caught up; -1 asks for everything."));
  table.push_back(integer_option(
      "stop.shutdown_grace_s", [](Options& o) -> std::int64_t& { return o.stop_shutdown_grace_s; },
      {0, year_s}, "seconds", "How long a SIGTERM waits for received data to reach the target."));
}

}  // namespace

const std::vector<OptionDef>& option_table() {
  static const Table table = [] {
    Table rows;
    add_source(rows);
    add_scan(rows);
    add_target(rows);
    add_file_options(rows);
    add_snapshot(rows);
    add_transfer(rows);
    add_rule_options(rows);
    add_limits(rows);
    add_operation(rows);
    add_cutover(rows);
    add_verify_options(rows);
    add_stop(rows);
    return rows;
  }();
  return table;
}

const OptionDef* find_option(const std::string& name) {
  for (const OptionDef& def : option_table()) {
    if (def.name == name) return &def;
  }
  return nullptr;
}

std::vector<std::string> option_names() {
  std::vector<std::string> names;
  for (const OptionDef& def : option_table())
    names.push_back(def.name);
  return names;
}

std::vector<OptionRow> option_rows() {
  const Options defaults;
  std::vector<OptionRow> rows;
  for (const OptionDef& def : option_table()) {
    rows.push_back({def.name, def.show(defaults), fmt::format("{} ({})", def.what, def.range)});
  }
  return rows;
}

}  // namespace keyferry
