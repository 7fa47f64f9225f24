// The rules about the target: whether it takes writes, has room, and knows what the source has.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "keyferry/pipeline/preflight_judge.hpp"
#include "keyferry/resp/reply_parser.hpp"
#include "keyferry/transform/transform.hpp"

namespace keyferry {
namespace {

// Versions as one number of features: Redis 7.4 and Valkey 9.0 brought hash field TTLs.
bool has_field_ttls(const ServerIdentity& identity) {
  if (identity.traits.family == rdb::Family::valkey) return identity.traits.major >= 9;
  return identity.traits.major > 7 || (identity.traits.major == 7 && identity.traits.minor >= 4);
}

}  // namespace

void PreflightJudge::same_server() {
  for (const ServerFacts& target : facts_.targets) {
    for (const ServerFacts& from : sources()) {
      const ServerIdentity& a = from.identity;
      const ServerIdentity& b = target.identity;
      const bool same = !a.run_id.empty() && a.run_id == b.run_id;
      const bool same_history = !a.replid.empty() && a.replid == b.replid;
      if (!same && !same_history) continue;
      const char* const what = same ? " is the source itself" : " shares the source's history";
      return fail("target.other_server", target.address + what, "give another target");
    }
  }
  ok("target.other_server", "source and target are different servers");
}

void PreflightJudge::target_role() {
  for (const ServerFacts& target : facts_.targets) {
    if (target.identity.role == "master") continue;
    return fail("target.role", target.address + " is a replica: it refuses writes",
                "give its master, or REPLICAOF NO ONE");
  }
  ok("target.role",
     fmt::format("{} master{}", facts_.targets.size(), facts_.targets.size() == 1 ? "" : "s"));
}

void PreflightJudge::coverage() {
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

void PreflightJudge::emptiness() {
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

void PreflightJudge::memory() {
  std::int64_t needed = 0;
  for (const ServerFacts& from : sources())
    needed += info_int(from, "used_memory");
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
        size_text(needed), size_text(machine));
    if (machine == 0 || machine > needed) return ok("target.memory", text);
    return warn("target.memory", text, "choose a larger machine, or set maxmemory");
  }
  const std::string text =
      fmt::format("maxmemory is {}, the source uses {}", size_text(room), size_text(needed));
  const std::string advice = "raise maxmemory at the target";
  if (room < needed) return fail("target.memory", text, advice);
  // A fifth more for fragmentation, buffers and what is written meanwhile.
  if (room < needed + needed / 5) return warn("target.memory", text, advice);
  ok("target.memory", text);
}

void PreflightJudge::eviction() {
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

void PreflightJudge::enough_replicas() {
  for (const ServerFacts& target : facts_.targets) {
    const auto minimum = setting(target, "min-replicas-to-write", "min-slaves-to-write");
    if (!minimum || leading_number(*minimum) <= info_int(target, "connected_slaves")) continue;
    return fail("target.min_replicas",
                fmt::format("{}: min-replicas-to-write is {}, it has {}: writes are refused",
                            target.address, *minimum, info_int(target, "connected_slaves")),
                "CONFIG SET min-replicas-to-write 0, or start its replicas");
  }
}

void PreflightJudge::databases() {
  const Result<Transform> rules = Transform::compile(options_);
  if (!rules) return fail("rules", rules.error().what, "correct filter, databases or transform");
  std::set<int> used;
  for (const ServerFacts& from : sources()) {
    for (const auto& [db, keys] : keys_by_db(from)) {
      if (rules->filter().on_database(db).keeps()) used.insert(rules->remap().db(db));
    }
  }
  const int highest = used.empty() ? 0 : *used.rbegin();
  if (facts_.target_is_cluster) return databases_of_cluster(used.size(), highest);
  const auto count = setting(facts_.targets.front(), "databases");
  if (count && leading_number(*count) <= highest) {
    return fail("target.databases",
                fmt::format("the source uses database {}, the target has {}", highest, *count),
                fmt::format("start the target with databases {}", highest + 1));
  }
  ok("target.databases", fmt::format("databases in use: {}", used.size()));
}

// Valkey 9 may have several (cluster-databases); everywhere else there is one.
void PreflightJudge::databases_of_cluster(std::size_t used, int highest) {
  for (const ServerFacts& target : facts_.targets) {
    const std::int64_t count = leading_number(setting(target, "cluster-databases").value_or("1"));
    if (highest < count) continue;
    return fail("target.databases",
                count > 1
                    ? fmt::format("the source uses database {}, {} has cluster-databases {}",
                                  highest, target.address, count)
                    : fmt::format("the source uses database {}, a cluster has only 0", highest),
                "choose a standalone target, databases.map and databases.prefix, or Valkey 9 with "
                "enough cluster-databases");
  }
  ok("target.databases", fmt::format("databases in use: {}", used));
}

void PreflightJudge::lossy_types() {
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

void PreflightJudge::modules() {
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

}  // namespace keyferry
