#include "keyferry/pipeline/preflight.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "keyferry/base/present.hpp"
#include "keyferry/pipeline/observer.hpp"
#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {
namespace {

constexpr std::int64_t mebibyte = std::int64_t{1024} * 1024;

std::int64_t to_int(ByteView text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::int64_t info_int(const ServerFacts& server, std::string_view name) {
  return to_int(info_field(server.info, name));
}

// A CONFIG parameter under its new or its old name (before Redis 5.0); nullopt where CONFIG is not
// allowed or the server does not know it.
std::optional<std::string> setting(const ServerFacts& server, const char* name,
                                   const char* old_name = "") {
  for (const char* one : {name, old_name}) {
    const auto found = server.config.find(one);
    if (found != server.config.end()) return found->second;
  }
  return std::nullopt;
}

std::string shown(std::int64_t bytes) {
  return shown_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(0, bytes)));
}

// "db0:keys=3,expires=0,avg_ttl=0": database -> keys.
std::map<int, std::int64_t> keys_by_db(const ServerFacts& server) {
  std::map<int, std::int64_t> out;
  for (int db = 0; db < 16384; ++db) {
    const ByteView text = info_field(server.info, fmt::format("db{}", db));
    constexpr ByteView keys = "keys=";
    if (text.starts_with(keys)) out[db] = to_int(text.substr(keys.size()));
    // Databases are listed in order, but there may be gaps; few go beyond the default 16.
    if (db >= 1024 && text.empty()) break;
  }
  return out;
}

bool is_exactly_once(const Options& options) {
  return options.delivery_mode == "exactly_once";
}

// The findings so far, and the facts that every rule looks at.
class Judge {
 public:
  Judge(const PreflightFacts& facts, const Options& options) : facts_(facts), options_(options) {}

  std::vector<Finding> run();

 private:
  void add(Grade verdict, std::string name, std::string text, std::string advice = "") {
    findings_.push_back({verdict, std::move(name), std::move(text), std::move(advice)});
  }
  void ok(std::string name, std::string text) { add(Grade::ok, std::move(name), std::move(text)); }
  void warn(std::string name, std::string text, std::string advice) {
    add(Grade::warn, std::move(name), std::move(text), std::move(advice));
  }
  void fail(std::string name, std::string text, std::string advice) {
    add(Grade::fail, std::move(name), std::move(text), std::move(advice));
  }

  // either end
  void reach(const ServerFacts& server, const std::string& end);
  void rights(const ServerFacts& server, const std::string& end,
              const std::vector<NeededCommand>& needed);
  void clock(const ServerFacts& server, const std::string& end);

  // the source
  void source_role();
  void output_buffer();
  void backlog();
  void diskless();
  void repl_timeout();
  void replicas_counted();
  void databases();
  void lossy_types();
  void modules();

  // the target
  void same_server();
  void target_role();
  void coverage();
  void emptiness();
  void memory();
  void eviction();
  void enough_replicas();

  // ourselves
  void spool();
  void budget();

  const ServerFacts& source() const { return facts_.source; }

  const PreflightFacts& facts_;
  const Options& options_;
  std::vector<Finding> findings_;
};

std::vector<Finding> Judge::run() {
  reach(source(), "source");
  for (const ServerFacts& target : facts_.targets)
    reach(target, "target");
  const bool has_source = source().problem.empty();
  const bool has_targets =
      !facts_.targets.empty() && std::all_of(facts_.targets.begin(), facts_.targets.end(),
                                             [](const auto& one) { return one.problem.empty(); });
  if (has_source) {
    source_role();
    rights(source(), "source", commands_needed_at_source(options_));
  }
  if (has_targets) {
    target_role();
    coverage();
    for (const ServerFacts& target : facts_.targets) {
      rights(target, "target", commands_needed_at_target(options_, facts_.target_is_cluster));
    }
    emptiness();
    eviction();
    enough_replicas();
  }
  if (has_source && has_targets) {
    same_server();
    memory();
    databases();
    lossy_types();
    modules();
  }
  if (has_source) {
    backlog();
    output_buffer();
    diskless();
    repl_timeout();
    replicas_counted();
    clock(source(), "source");
  }
  for (const ServerFacts& target : facts_.targets) {
    if (target.problem.empty()) clock(target, "target");
  }
  spool();
  budget();
  return std::move(findings_);
}

// --- either end

void Judge::reach(const ServerFacts& server, const std::string& end) {
  constexpr double far_ms = 50;
  if (!server.problem.empty()) {
    fail(end + ".reach", fmt::format("{}: {}", server.address, server.problem),
         fmt::format("check {0}.uri, the password, {0}.tls.* and what is between", end));
    findings_.back().is_unreachable = findings_.back().is_fatal = true;
    return;
  }
  const bool is_valkey = server.identity.traits.family == rdb::Family::valkey;
  const std::string text = fmt::format(
      "{}: {} {}{}, {:.1f} ms away", server.address, is_valkey ? "valkey" : "redis",
      server.identity.version, server.identity.is_cluster ? ", cluster" : "", server.rtt_ms);
  if (server.rtt_ms > far_ms) {
    warn(end + ".reach", text, "far away: catching up takes longer; run closer to the target");
  } else {
    ok(end + ".reach", text);
  }
  if (info_int(server, "loading") == 1) {
    warn(end + ".loading", server.address + " is still loading its data", "wait until it has");
  }
}

void Judge::rights(const ServerFacts& server, const std::string& end,
                   const std::vector<NeededCommand>& needed) {
  const std::string name = end + ".rights";
  if (!server.denied) {
    // Before 6.0 there are no users, before 7.0 no ACL DRYRUN.
    const bool has_users =
        server.identity.traits.family == rdb::Family::valkey || server.identity.traits.major >= 7;
    if (!has_users) return ok(name, server.address + ": this version cannot tell; not checked");
    return warn(name, fmt::format("{}: '{}' may not ask ACL DRYRUN", server.address, server.user),
                fmt::format("ACL SETUSER {} +acl|dryrun +acl|whoami, or check its rights by hand",
                            server.user));
  }
  std::vector<std::string> required;
  std::vector<std::string> wanted;
  std::string grant;
  std::string words;
  for (const NeededCommand& one : needed) {
    const auto denied = server.denied->find(one.name);
    if (denied == server.denied->end()) continue;
    (one.is_required ? required : wanted).push_back(one.name);
    words = denied->second;
    std::string rule = one.name;
    std::replace(rule.begin(), rule.end(), ' ', '|');
    std::transform(rule.begin(), rule.end(), rule.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    grant += rule.find(':') == std::string::npos ? " +" + rule : " ~keyferry:*";
  }
  const std::string advice = fmt::format("ACL SETUSER {}{}", server.user, grant);
  if (!required.empty()) {
    fail(name,
         fmt::format("{}: '{}' may not use {} ({})", server.address, server.user,
                     fmt::join(required, ", "), words),
         advice);
    findings_.back().is_fatal = true;
  } else if (!wanted.empty()) {
    warn(name,
         fmt::format("{}: '{}' may not use {} ({})", server.address, server.user,
                     fmt::join(wanted, ", "), words),
         advice);
  } else {
    ok(name, fmt::format("{}: '{}' may use all {} commands needed", server.address, server.user,
                         needed.size()));
  }
}

void Judge::clock(const ServerFacts& server, const std::string& end) {
  constexpr std::int64_t tolerated_ms = 500;
  const std::string text =
      fmt::format("{}: its clock is {} ms {} ours", server.address, std::abs(server.clock_ms),
                  server.clock_ms < 0 ? "behind" : "ahead of");
  if (std::abs(server.clock_ms) <= tolerated_ms) return ok(end + ".clock", text);
  warn(end + ".clock", text, "keys expire too early or too late; synchronise the clocks (NTP)");
}

// --- the source

void Judge::source_role() {
  if (source().identity.is_cluster) {
    warn("source.role", source().address + " is one node of a cluster: only its slots are copied",
         "run one link per master of the source");
  } else if (source().identity.role == "master") {
    ok("source.role", source().address + " is a master");
  } else if (info_field(source().info, "master_link_status") != "up") {
    fail("source.role", source().address + " is a replica without a link to its master",
         "give the master, or mend the replica's link");
  } else {
    warn("source.role", source().address + " is a replica: its own lag comes on top of ours",
         "give the master for the smallest lag");
  }
}

void Judge::backlog() {
  constexpr std::int64_t comfortable_s = 60;
  const auto size = setting(source(), "repl-backlog-size");
  if (!size) {
    return warn("source.backlog", "repl-backlog-size cannot be read (CONFIG is not allowed)",
                "make sure that it holds a minute of writes");
  }
  const std::int64_t bytes = to_int(*size);
  const std::int64_t rate = source().write_bytes_per_s;
  if (rate <= 0) return ok("source.backlog", shown(bytes) + "; nothing is being written");
  const std::int64_t lasts_s = bytes / rate;
  const std::string text =
      fmt::format("the backlog of {} lasts {} at {}{}/s", shown(bytes),
                  shown_duration(static_cast<double>(lasts_s)),
                  source().is_write_rate_upper_bound ? "up to " : "", shown(rate));
  if (lasts_s >= comfortable_s) return ok("source.backlog", text);
  warn("source.backlog", text + "; a longer break costs a full sync",
       fmt::format("CONFIG SET repl-backlog-size {}mb", 2 * comfortable_s * rate / mebibyte + 1));
}

void Judge::output_buffer() {
  const auto value = setting(source(), "client-output-buffer-limit");
  if (!value) {
    return warn("source.output_buffer",
                "client-output-buffer-limit cannot be read (CONFIG is not allowed)",
                "make sure that it allows replicas 256mb");
  }
  constexpr std::int64_t comfortable_bytes = 32 * mebibyte;
  const std::int64_t limit = replica_output_limit(*value);
  if (limit == 0) return ok("source.output_buffer", "no limit for replicas");
  std::string text = "replicas may be behind by " + shown(limit);
  if (source().write_bytes_per_s > 0) {
    const double lasts_s =
        static_cast<double>(limit) / static_cast<double>(source().write_bytes_per_s);
    text += fmt::format(", {} at {}/s", shown_duration(lasts_s), shown(source().write_bytes_per_s));
  }
  if (limit >= comfortable_bytes) return ok("source.output_buffer", text);
  warn("source.output_buffer", text + "; beyond that it cuts the link",
       "CONFIG SET client-output-buffer-limit \"replica 256mb 64mb 60\"");
}

void Judge::diskless() {
  const auto value = setting(source(), "repl-diskless-sync");
  if (!value) return;
  if (*value == "yes") return ok("source.diskless", "the snapshot is sent without a file");
  warn("source.diskless", "the source writes the snapshot to its disk before it sends it",
       "CONFIG SET repl-diskless-sync yes");
}

void Judge::repl_timeout() {
  constexpr std::int64_t comfortable_s = 10;
  const auto value = setting(source(), "repl-timeout");
  if (!value) return;
  const std::int64_t seconds = to_int(*value);
  const std::string text = fmt::format("a silent link is cut after {} s", seconds);
  if (seconds >= comfortable_s) return ok("source.repl_timeout", text);
  warn("source.repl_timeout", text, "CONFIG SET repl-timeout 60");
}

// Our acknowledgements are those of a replica: who counts replicas counts us.
void Judge::replicas_counted() {
  const std::string advice = "stream.ack: zero keeps us out of the count";
  const auto minimum = setting(source(), "min-replicas-to-write", "min-slaves-to-write");
  if (minimum && to_int(*minimum) > 0) {
    warn("source.min_replicas",
         fmt::format("min-replicas-to-write is {} with {} replicas: we would count as one, and "
                     "writes may stop when the link ends",
                     *minimum, info_int(source(), "connected_slaves")),
         advice);
  } else if (minimum) {
    ok("source.min_replicas", "min-replicas-to-write is off");
  }
  const ByteView waits = info_field(source().info, "cmdstat_wait");
  if (waits.empty()) {
    ok("source.wait", "nobody has used WAIT");
  } else {
    constexpr ByteView calls = "calls=";
    const std::int64_t count = waits.starts_with(calls) ? to_int(waits.substr(calls.size())) : 0;
    warn("source.wait",
         fmt::format("WAIT was used {} times: our acknowledgements would satisfy it", count),
         advice);
  }
  constexpr std::int64_t default_shutdown_s = 10;  // Redis 7.0 redis.conf, shutdown-timeout
  const auto shutdown = setting(source(), "shutdown-timeout");
  if (!shutdown) return;
  const std::string text =
      fmt::format("a shutdown of the source waits up to {} s for our acknowledgement", *shutdown);
  if (to_int(*shutdown) <= default_shutdown_s) return ok("source.shutdown_timeout", text);
  warn("source.shutdown_timeout", text, "CONFIG SET shutdown-timeout 10, or stop us first");
}

void Judge::databases() {
  std::vector<int> used;
  for (const auto& [db, keys] : keys_by_db(source()))
    used.push_back(db);
  const int highest = used.empty() ? 0 : used.back();
  if (facts_.target_is_cluster && highest > 0) {
    return fail("target.databases",
                fmt::format("the source uses database {}, a cluster has only 0", highest),
                "choose a standalone target");
  }
  const auto count = setting(facts_.targets.front(), "databases");
  if (count && to_int(*count) <= highest) {
    return fail("target.databases",
                fmt::format("the source uses database {}, the target has {}", highest, *count),
                fmt::format("start the target with databases {}", highest + 1));
  }
  ok("target.databases", fmt::format("databases in use: {}", used.size()));
}

// Versions as one number of features: Redis 7.4 and Valkey 9.0 brought hash field TTLs.
bool has_field_ttls(const ServerIdentity& identity) {
  if (identity.traits.family == rdb::Family::valkey) return identity.traits.major >= 9;
  return identity.traits.major > 7 || (identity.traits.major == 7 && identity.traits.minor >= 4);
}

void Judge::lossy_types() {
  for (const ServerFacts& target : facts_.targets) {
    const ServerIdentity& to = target.identity;
    const ServerIdentity& from = source().identity;
    if (has_field_ttls(from) && !has_field_ttls(to)) {
      return warn("target.types",
                  fmt::format("expiries of hash fields (source {}) are unknown to the target ({})",
                              from.version, to.version),
                  "choose Redis 7.4, Valkey 9.0 or newer, or make sure that none are used");
    }
    const bool is_older = to.traits.family == from.traits.family &&
                          std::pair(to.traits.major, to.traits.minor) <
                              std::pair(from.traits.major, from.traits.minor);
    const bool is_other_family = to.traits.family != from.traits.family &&
                                 !(from.traits.family == rdb::Family::redis &&
                                   from.traits.major <= 7 && from.traits.minor <= 2);
    if (is_older || is_other_family) {
      return warn("target.types",
                  fmt::format("the target ({}) may not read all encodings of the source ({})",
                              to.version, from.version),
                  "types that it lacks are named during the snapshot");
    }
  }
  ok("target.types", "the target knows every type of the source's version");
}

void Judge::modules() {
  if (!source().modules || source().modules->empty()) return;
  for (const ServerFacts& target : facts_.targets) {
    if (!target.modules) {
      warn("target.modules", target.address + ": MODULE LIST is not allowed",
           "compare the modules of both ends by hand");
      continue;
    }
    std::vector<std::string> missing;
    for (const std::string& module : *source().modules) {
      const auto& has = *target.modules;
      if (std::find(has.begin(), has.end(), module) == has.end()) missing.push_back(module);
    }
    if (missing.empty()) {
      ok("target.modules", target.address + " has every module of the source");
    } else {
      fail("target.modules",
           fmt::format("{} lacks the module {} of the source", target.address,
                       fmt::join(missing, ", ")),
           "load it there, or make sure that no key uses it");
    }
  }
}

// --- the target

void Judge::same_server() {
  for (const ServerFacts& target : facts_.targets) {
    const ServerIdentity& a = source().identity;
    const ServerIdentity& b = target.identity;
    const bool same = !a.run_id.empty() && a.run_id == b.run_id;
    const bool same_history = !a.replid.empty() && a.replid == b.replid;
    if (!same && !same_history) continue;
    return fail("target.other_server",
                target.address + (same ? " is the source itself" : " shares the source's history"),
                "give another target");
  }
  ok("target.other_server", "source and target are different servers");
}

void Judge::target_role() {
  for (const ServerFacts& target : facts_.targets) {
    if (target.identity.role == "master") continue;
    return fail("target.role", target.address + " is a replica: it refuses writes",
                "give its master, or REPLICAOF NO ONE");
  }
  ok("target.role",
     fmt::format("{} master{}", facts_.targets.size(), facts_.targets.size() == 1 ? "" : "s"));
}

void Judge::coverage() {
  if (!facts_.target_is_cluster) {
    if (options_.target.topology == Topology::cluster) {
      fail("target.cluster", "the target is no cluster, but target.topology says so",
           "set target.topology: auto");
    }
    return;
  }
  const std::string text =
      fmt::format("the cluster covers {} of {} slots", facts_.covered_slots, slot_count);
  if (facts_.covered_slots == slot_count) return ok("target.cluster", text);
  fail("target.cluster", text, "redis-cli --cluster fix, or start the missing masters");
}

void Judge::emptiness() {
  std::int64_t keys = 0;
  for (const ServerFacts& target : facts_.targets) {
    for (const auto& [db, count] : keys_by_db(target))
      keys += count;
  }
  if (keys == 0) return ok("target.empty", "the target is empty");
  const std::string text = fmt::format("the target holds {} keys", keys);
  switch (options_.target_before) {
    case TargetBefore::must_be_empty:
      return fail("target.empty", text + ", and target.before is must_be_empty",
                  "empty it, or set target.before: flush or keep");
    case TargetBefore::flush:
      return warn("target.empty", text + ", which target.before: flush will remove",
                  "make sure that nobody needs them");
    case TargetBefore::keep:
      return warn("target.empty", text + "; those that the source does not have will stay",
                  "target.before: flush removes them, must_be_empty refuses");
  }
}

void Judge::memory() {
  const std::int64_t needed = info_int(source(), "used_memory");
  std::int64_t room = 0;
  bool has_limit = true;
  std::int64_t machine = 0;
  for (const ServerFacts& target : facts_.targets) {
    const std::int64_t limit = info_int(target, "maxmemory");
    has_limit = has_limit && limit > 0;
    room += limit;
    machine = std::max(machine, info_int(target, "total_system_memory"));
  }
  if (!has_limit) {
    const std::string text = fmt::format(
        "no maxmemory; the source uses {}, the target's machine "
        "has {}",
        shown(needed), shown(machine));
    if (machine == 0 || machine > needed) return ok("target.memory", text);
    return warn("target.memory", text, "choose a larger machine, or set maxmemory");
  }
  const std::string text =
      fmt::format("maxmemory is {}, the source uses {}", shown(room), shown(needed));
  const std::string advice = "raise maxmemory at the target";
  if (room < needed) return fail("target.memory", text, advice);
  // A fifth more for fragmentation, buffers and what is written meanwhile.
  if (room < needed + needed / 5) return warn("target.memory", text, advice);
  ok("target.memory", text);
}

void Judge::eviction() {
  for (const ServerFacts& target : facts_.targets) {
    const ByteView policy = info_field(target.info, "maxmemory_policy");
    if (!policy.starts_with("allkeys-") || info_int(target, "maxmemory") == 0) continue;
    const std::string text =
        fmt::format("{}: maxmemory-policy {} removes keys, our records among them", target.address,
                    std::string(policy));
    const std::string advice = "CONFIG SET maxmemory-policy noeviction, or volatile-lru";
    return is_exactly_once(options_) ? fail("target.eviction", text, advice)
                                     : warn("target.eviction", text, advice);
  }
  ok("target.eviction", "no key is removed to make room");
}

void Judge::enough_replicas() {
  for (const ServerFacts& target : facts_.targets) {
    const auto minimum = setting(target, "min-replicas-to-write", "min-slaves-to-write");
    if (!minimum || to_int(*minimum) <= info_int(target, "connected_slaves")) continue;
    return fail("target.min_replicas",
                fmt::format("{}: min-replicas-to-write is {}, it has {}: writes are refused",
                            target.address, *minimum, info_int(target, "connected_slaves")),
                "CONFIG SET min-replicas-to-write 0, or start its replicas");
  }
}

// --- ourselves

void Judge::spool() {
  if (!options_.spool_enabled) {
    return warn("spool", "the spool is off: while the target is slow or paused the source waits",
                "spool.enabled: true");
  }
  if (!facts_.spool.problem.empty()) {
    return fail("spool", fmt::format("{}: {}", options_.spool_dir, facts_.spool.problem),
                "set spool.dir to a folder that we may write");
  }
  const auto wanted = static_cast<std::uint64_t>(options_.spool_max_bytes);
  const std::string text = fmt::format("{}: {} free, spool.max_bytes is {}", options_.spool_dir,
                                       shown_bytes(facts_.spool.free_bytes), shown_bytes(wanted));
  if (facts_.spool.free_bytes >= wanted) return ok("spool", text);
  if (facts_.spool.free_bytes < static_cast<std::uint64_t>(64 * mebibyte)) {
    return fail("spool", text, "set spool.dir to a disk with room");
  }
  warn("spool", text, "choose another disk, or a smaller spool.max_bytes");
}

// A value is held whole once; without the spool there is no other place for it.
void Judge::budget() {
  const auto largest = setting(source(), "proto-max-bulk-len");
  if (options_.spool_enabled || !largest) return;
  if (options_.limits_memory_max_bytes >= 2 * to_int(*largest)) return;
  warn("memory",
       fmt::format("limits.memory_max_bytes is {}, one value may have {} (proto-max-bulk-len)",
                   shown(options_.limits_memory_max_bytes), shown(to_int(*largest))),
       "turn the spool on, or allow twice the largest value");
}

}  // namespace

const char* to_string(Grade verdict) {
  switch (verdict) {
    case Grade::ok:
      return "ok";
    case Grade::warn:
      return "warn";
    case Grade::fail:
      return "fail";
  }
  return "fail";
}

std::vector<NeededCommand> commands_needed_at_source(const Options& options) {
  return {{"PING", {"PING"}},
          {"INFO", {"INFO"}},
          {"REPLCONF", {"REPLCONF", "capa", "eof"}},
          {"PSYNC", {options.source_psync_command, "?", "-1"}},
          {"CONFIG GET", {"CONFIG", "GET", "client-output-buffer-limit"}, false},
          {"CLIENT SETNAME", {"CLIENT", "SETNAME", "keyferry-check"}, false}};
}

std::vector<NeededCommand> commands_needed_at_target(const Options& options, bool is_cluster) {
  const bool exact = is_exactly_once(options);
  const std::string key = "keyferry-check";
  std::vector<NeededCommand> out = {
      {"PING", {"PING"}},
      {"INFO", {"INFO"}},
      {"SET", {"SET", key, "v"}},
      {"DEL", {"DEL", key}},
      {"RESTORE", {"RESTORE", key, "0", "v", "REPLACE"}},
      {"PEXPIREAT", {"PEXPIREAT", key, "1"}},
      {"MULTI", {"MULTI"}},
      {"EXEC", {"EXEC"}},
      {"PUBLISH", {"PUBLISH", key, "v"}, false},
      {"COMMAND", {"COMMAND"}, false},
      {"FUNCTION LOAD", {"FUNCTION", "LOAD", "REPLACE", "v"}, false},
      // What exactly-once delivery needs: records, fences, and to end its predecessors.
      {"keyferry:*", {"SET", "keyferry:{check}", "v"}, exact},
      {"WATCH", {"WATCH", "keyferry:{check}"}, exact},
      {"CLIENT LIST", {"CLIENT", "LIST"}, exact},
      {"CLIENT KILL", {"CLIENT", "KILL", "ID", "0"}, exact}};
  if (is_cluster) {
    out.push_back({"CLUSTER SLOTS", {"CLUSTER", "SLOTS"}});
    out.push_back({"ASKING", {"ASKING"}});
  } else {
    out.push_back({"SELECT", {"SELECT", "0"}});
  }
  if (options.target_before == TargetBefore::flush) out.push_back({"FLUSHALL", {"FLUSHALL"}});
  return out;
}

std::vector<Finding> judge_preflight(const PreflightFacts& facts, const Options& options) {
  return Judge(facts, options).run();
}

}  // namespace keyferry
