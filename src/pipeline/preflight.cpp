#include "keyferry/pipeline/preflight.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "keyferry/base/number.hpp"
#include "keyferry/base/present.hpp"
#include "keyferry/pipeline/preflight_judge.hpp"
#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {

std::int64_t info_int(const ServerFacts& server, std::string_view name) {
  return leading_number(info_field(server.info, name));
}

std::optional<std::string> setting(const ServerFacts& server, const char* name,
                                   const char* old_name) {
  for (const char* one : {name, old_name}) {
    const auto found = server.config.find(one);
    if (found != server.config.end()) return found->second;
  }
  return std::nullopt;
}

std::string size_text(std::int64_t bytes) {
  return shown_bytes(static_cast<std::uint64_t>(std::max<std::int64_t>(0, bytes)));
}

// "db0:keys=3,expires=0,avg_ttl=0": database -> keys.
std::map<int, std::int64_t> keys_by_db(const ServerFacts& server) {
  std::map<int, std::int64_t> out;
  for (int db = 0; db < 16384; ++db) {
    const ByteView text = info_field(server.info, fmt::format("db{}", db));
    constexpr ByteView keys = "keys=";
    if (text.starts_with(keys)) out[db] = leading_number(text.substr(keys.size()));
    // Databases are listed in order, but there may be gaps; few go beyond the default 16.
    if (db >= 1024 && text.empty()) break;
  }
  return out;
}

bool is_exactly_once(const Options& options) {
  return options.delivery_mode == Delivery::exactly_once;
}

// A file has no role, no rights and no clock.
void PreflightJudge::source_file() {
  if (source().problem.empty()) return ok("source.file", source().address + ": " + source().info);
  fail("source.file", source().problem, "check source.uri and the files");
  findings_.back().is_fatal = true;
}

void PreflightJudge::target_file() {
  if (facts_.target_file_problem.empty())
    return ok("target.file", redacted(options_.target.uri) + " can be written");
  fail("target.file", facts_.target_file_problem, "choose another target.uri");
}

std::vector<Finding> PreflightJudge::run() {
  const bool from_file = options_.source.uri.kind == Uri::Kind::file;
  if (from_file) {
    source_file();
  } else {
    for (const ServerFacts& one : sources())
      reach(one, "source");
  }
  for (const ServerFacts& target : facts_.targets)
    reach(target, "target");
  const bool has_source = source().problem.empty() && !from_file;
  const bool has_targets =
      !facts_.targets.empty() && std::all_of(facts_.targets.begin(), facts_.targets.end(),
                                             [](const auto& one) { return one.problem.empty(); });
  if (options_.target.uri.kind == Uri::Kind::file) target_file();
  if (has_source) {
    source_role();
    source_mode();
    each_source(&PreflightJudge::source_rights);
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
  if (has_source) each_source(&PreflightJudge::source_settings);
  for (const ServerFacts& target : facts_.targets) {
    if (target.problem.empty()) clock(target, "target");
  }
  spool();
  budget();
  return std::move(findings_);
}

// --- either end

void PreflightJudge::reach(const ServerFacts& server, const std::string& end) {
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

void PreflightJudge::rights(const ServerFacts& server, const std::string& end,
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

void PreflightJudge::clock(const ServerFacts& server, const std::string& end) {
  constexpr std::int64_t tolerated_ms = 500;
  const std::string text =
      fmt::format("{}: its clock is {} ms {} ours", server.address, std::abs(server.clock_ms),
                  server.clock_ms < 0 ? "behind" : "ahead of");
  if (std::abs(server.clock_ms) <= tolerated_ms) return ok(end + ".clock", text);
  warn(end + ".clock", text, "keys expire too early or too late; synchronise the clocks (NTP)");
}

// --- ourselves

void PreflightJudge::spool() {
  if (!options_.spool_enabled) {
    return warn("spool", "the spool is off: while the target is slow or paused the source waits",
                "spool.enabled: true");
  }
  if (!facts_.spool.problem.empty()) {
    return fail("spool", fmt::format("{}: {}", options_.spool_folder(), facts_.spool.problem),
                "set spool.dir to a folder that we may write");
  }
  const auto wanted = static_cast<std::uint64_t>(options_.spool_max_bytes);
  const std::string text =
      fmt::format("{}: {} free, spool.max_bytes is {}", options_.spool_folder(),
                  shown_bytes(facts_.spool.free_bytes), shown_bytes(wanted));
  if (facts_.spool.free_bytes >= wanted) return ok("spool", text);
  if (facts_.spool.free_bytes < static_cast<std::uint64_t>(64 * mebibyte)) {
    return fail("spool", text, "set spool.dir to a disk with room");
  }
  warn("spool", text, "choose another disk, or a smaller spool.max_bytes");
}

// A value is held whole once; without the spool there is no other place for it.
void PreflightJudge::budget() {
  const auto largest = setting(source(), "proto-max-bulk-len");
  if (options_.spool_enabled || !largest) return;
  if (options_.limits_memory_max_bytes >= 2 * leading_number(*largest)) return;
  warn(
      "memory",
      fmt::format("limits.memory_max_bytes is {}, one value may have {} (proto-max-bulk-len)",
                  size_text(options_.limits_memory_max_bytes), size_text(leading_number(*largest))),
      "turn the spool on, or allow twice the largest value");
}

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

std::vector<NeededCommand> commands_needed_at_source(const Options& options, bool scans) {
  const std::string key = "keyferry-check";
  if (scans) {
    return {{"PING", {"PING"}},
            {"INFO", {"INFO"}},
            {"SCAN", {"SCAN", "0"}},
            {"TYPE", {"TYPE", key}},
            {"DUMP", {"DUMP", key}},
            {"PTTL", {"PTTL", key}},
            {"PSUBSCRIBE", {"PSUBSCRIBE", "__keyevent@*__:*"}, options.stream_enabled},
            {"PEXPIRETIME", {"PEXPIRETIME", key}, false},
            {"MEMORY USAGE", {"MEMORY", "USAGE", key}, false},
            {"CONFIG GET", {"CONFIG", "GET", "notify-keyspace-events"}, false},
            {"CLIENT SETNAME", {"CLIENT", "SETNAME", key}, false}};
  }
  return {{"PING", {"PING"}},
          {"INFO", {"INFO"}},
          {"REPLCONF", {"REPLCONF", "capa", "eof"}},
          {"PSYNC", {options.source_psync_command, "?", "-1"}},
          {"CONFIG GET", {"CONFIG", "GET", "client-output-buffer-limit"}, false},
          {"CLIENT SETNAME", {"CLIENT", "SETNAME", "keyferry-check"}, false}};
}

std::vector<NeededCommand> commands_needed_for_cutover() {
  return {{"CLIENT PAUSE", {"CLIENT", "PAUSE", "1", "WRITE"}, false},
          {"CLIENT UNPAUSE", {"CLIENT", "UNPAUSE"}, false},
          {"CLIENT KILL", {"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}, false},
          {"CONFIG SET", {"CONFIG", "SET", "min-replicas-to-write", "0"}, false}};
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
  return PreflightJudge(facts, options).run();
}

}  // namespace keyferry
