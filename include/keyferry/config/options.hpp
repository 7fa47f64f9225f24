// Every option as a value with its default (config/keyferry.yaml is the commented table; a test
// compares them). YAML name = field name = environment KEYFERRY_A_B = --set a.b=v. Passed by
// const&; nothing changes after load.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "keyferry/base/error.hpp"
#include "keyferry/config/rules.hpp"
#include "keyferry/config/uri.hpp"

namespace keyferry {

enum class StopWhen { never, snapshot, lag_zero };
enum class StopThen { exit, idle };
enum class SourceMode { automatic, psync, scan };
enum class ScanProbe { automatic, always, never };
enum class ScanLagZero { automatic, probe, quiet };
enum class ErrorPolicy { stop, skip };
enum class Topology { automatic, standalone, cluster };
enum class TargetBefore { keep, flush, must_be_empty };
enum class ExistingKey { replace, skip, fail };
enum class LossPolicy { stop, warn };
enum class ModulePolicy { stop, skip };
enum class AckPolicy { applied, zero };
enum class Delivery { exactly_once, at_least_once };
enum class LostHistory { full_resync, fail };
enum class TlsVerify { full, ca, none };
enum class OnTruncated { stop, keep };
enum class VerifyLevel { exists, ttl, digest, full };
enum class StopVerify { none, sample, digest };

// Only looked at when the address asks for TLS. Files are read at each connect, so renewed
// certificates are taken up by themselves.
struct TlsOptions {
  TlsVerify verify = TlsVerify::full;  // chain and name, chain only, nothing
  std::string ca_file;                 // "" = the system's
  std::string cert_file;               // client certificate
  std::string key_file;
  std::string key_password_file;
  std::string server_name;  // "" = the host of the address; for SNI and the name check
};

struct EndOptions {
  Uri uri;
  std::string password_file;
  TlsOptions tls;
  std::string sentinel_user;
  std::string sentinel_password_file;
  std::string sentinel_password;  // what the file holds; never printed
  Topology topology = Topology::automatic;
  // Address that the servers name, as "host:port": where it is reached.
  std::map<std::string, std::string> address_map;
  std::int64_t connect_timeout_ms = 5000;  // connect, authenticate and greet
  std::int64_t reply_timeout_ms =
      30000;  // no byte for this long while one is due: the connection is given up
  std::int64_t reconnect_max_s = 3600;  // without a working link for this long: exit 3
  // Not an option: how our connections are called there ("keyferry", or with link and instance).
  std::string client_name = "keyferry";
};

struct Options {
  EndOptions source;
  // `sources`: each as the options of a link of its own; then `source` only holds what all have.
  std::vector<Options> sources;
  std::string source_name;  // of one of several
  std::string source_psync_command = "PSYNC";
  OnTruncated source_aof_on_truncated = OnTruncated::stop;
  std::string source_aof_until;  // parse_time() reads it; "" = to the end
  SourceMode source_mode = SourceMode::automatic;
  bool source_prefer_replica = false;
  std::int64_t source_max_parallel_snapshots = 0;  // 0: no limit
  std::int64_t source_scan_count = 1000;
  bool source_scan_enable_notifications = false;
  ScanProbe source_scan_probe = ScanProbe::automatic;
  ScanLagZero source_scan_lag_zero = ScanLagZero::automatic;
  std::int64_t source_scan_check_ms = 1000;
  std::int64_t source_scan_reconcile_s = 0;  // 0: never
  EndOptions target;
  std::int64_t target_lanes_per_node = 4;  // 1..64
  std::int64_t target_topology_refresh_s = 30;
  TargetBefore target_before = TargetBefore::keep;
  std::string target_file_release;  // parse_release() reads it; "" = as the source
  std::int64_t target_file_rotate_bytes = 0;
  std::int64_t target_file_fsync_interval_ms = 1000;
  bool snapshot_enabled = true;
  ExistingKey snapshot_on_existing_key = ExistingKey::replace;
  bool snapshot_mirror = false;
  std::int64_t snapshot_restore_max_bytes = std::int64_t{4} * 1024 * 1024;
  LossPolicy snapshot_on_lossy = LossPolicy::stop;
  ModulePolicy snapshot_on_unknown_module = ModulePolicy::stop;
  bool stream_enabled = true;
  AckPolicy stream_ack = AckPolicy::applied;
  Delivery delivery_mode = Delivery::exactly_once;
  std::string delivery_link;  // name of the link in the target's records; "" = from source.uri
  std::int64_t delivery_checkpoint_interval_ms = 1000;
  std::int64_t delivery_transaction_max_ms = 50;
  std::int64_t delivery_lease_s = 10;
  std::int64_t delivery_migrating_max_s = 60;
  std::int64_t delivery_retain_bytes = std::int64_t{64} * 1024 * 1024;
  LostHistory delivery_on_lost_history = LostHistory::full_resync;
  std::int64_t delivery_full_resyncs_per_hour = 1;
  ErrorPolicy errors_policy = ErrorPolicy::stop;
  std::string errors_dead_letter_file = "keyferry-dead-letters.resp";
  FilterOptions filter;
  TransformOptions transform;  // groups databases and transform
  std::int64_t limits_memory_max_bytes = std::int64_t{256} * 1024 * 1024;
  std::int64_t limits_target_ops_per_s = 0;  // 0 = unlimited, like below
  std::int64_t limits_target_bytes_per_s = 0;
  std::int64_t limits_source_bytes_per_s = 0;
  bool spool_enabled = true;
  std::string spool_dir;  // "": the default, where nothing outlives the process
  std::string spool_folder() const { return spool_dir.empty() ? "keyferry-spool" : spool_dir; }
  std::int64_t spool_max_bytes = std::int64_t{8} * 1024 * 1024 * 1024;
  std::string http_listen = "127.0.0.1:8484";  // "" = off
  std::string http_token_file;
  std::string http_token;  // what the file holds; never printed
  std::int64_t http_ready_lag_bytes = std::int64_t{1024} * 1024;
  std::string admin_resp_listen = "127.0.0.1:8485";  // "" = off, nothing is announced
  std::string log_level = "info";
  std::string log_format = "text";
  std::string log_file;
  std::int64_t cutover_pause_timeout_ms = 10000;
  std::int64_t cutover_max_lag_bytes = std::int64_t{1024} * 1024;
  std::int64_t cutover_wait_s = 300;
  std::string cutover_on_switch;
  std::string cutover_on_pause;
  std::string cutover_on_unpause;
  std::int64_t cutover_sample_keys = 100;
  VerifyLevel verify_level = VerifyLevel::digest;
  std::string verify_sample = "100%";  // parse_percent() reads it
  std::int64_t verify_seed = 1;
  std::int64_t verify_ttl_tolerance_ms = 1000;
  std::int64_t verify_recheck_wait_ms = 500;
  std::int64_t verify_rechecks = 3;
  std::int64_t verify_keys_per_s = 0;  // 0 = no limit
  bool verify_repair = false;
  bool verify_repair_extra = false;
  std::string verify_report_file;  // "" = none
  StopWhen stop_when = StopWhen::never;
  StopThen stop_then = StopThen::exit;
  std::int64_t stop_stable_for_ms = 1000;
  StopVerify stop_verify = StopVerify::none;
  std::int64_t stop_lag_bytes = -1;  // -1: zero, i.e. "synced"
  std::int64_t stop_shutdown_grace_s = 30;
  std::string instance;  // token of this process in the target's lease and fence; not an option
  bool standby = false;  // --standby: wait for the lease as long as another instance holds it
  bool restart = false;  // --restart: do not go on from the target's record
};

// What the command line gave; empty strings were not given.
struct CommandLine {
  std::string config_file;
  std::string source;
  std::string target;
  std::string http;
  std::string stop_when;
  std::string log_format;
  std::vector<std::string> set;  // "a.b=value"
  bool standby = false;
  bool restart = false;
  bool target_only = false;  // the command has nothing to do with a source
  bool source_only = false;  // nor this one with a target
};

// Defaults < YAML file < environment < flags. Every problem is found before returning: the error's
// text has one line per problem, with file and line where there is one; unknown keys come with the
// nearest known name. Errc::usage. `environment` is passed in so that tests need not change the
// process' own.
Result<Options> load_options(const CommandLine& command_line,
                             const std::map<std::string, std::string>& environment);

// What each option is set to and where that came from: "default", a file with its line, a variable,
// a flag. Secrets are masked. For `keyferry config show`, which also wants them when something is
// wrong (see load_options).
struct ExplainedOption {
  std::string name;
  std::string value;
  std::string origin;
};
struct Explanation {
  std::vector<ExplainedOption> options;
  std::string problems;  // one line each
};
Explanation explain_options(const CommandLine& command_line,
                            const std::map<std::string, std::string>& environment);

// One row per option: its dotted name, default as text, unit or choices, and one sentence. For
// --help, the sample file and its test.
struct OptionRow {
  std::string name;
  std::string default_text;
  std::string what;
};
std::vector<OptionRow> option_rows();

}  // namespace keyferry
