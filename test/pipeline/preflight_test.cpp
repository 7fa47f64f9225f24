// The judging rules one by one: healthy facts give no finding but ok, each change gives exactly the
// findings named beside it.
#include "keyferry/pipeline/preflight.hpp"

#include <functional>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

ServerFacts server(const std::string& name, const std::string& more_info) {
  ServerFacts out;
  out.address = name + ":1";
  out.user = "ferry";
  out.info = "run_id:" + name + "\r\nmaster_replid:" + name +
             "\r\nrole:master\r\nredis_version:7.0.15\r\nconnected_slaves:0\r\n" + more_info;
  out.identity = read_identity(out.info);
  out.config = {{"repl-backlog-size", "104857600"},
                {"client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60"},
                {"repl-diskless-sync", "yes"},
                {"repl-timeout", "60"},
                {"min-replicas-to-write", "0"},
                {"shutdown-timeout", "10"},
                {"databases", "16"},
                {"proto-max-bulk-len", "536870912"}};
  out.modules.emplace();
  out.denied.emplace();
  out.rtt_ms = 0.2;
  return out;
}

PreflightFacts healthy() {
  PreflightFacts facts;
  facts.source = server("a", "used_memory:1000000\r\ndb0:keys=3,expires=0,avg_ttl=0\r\n");
  facts.targets = {server("b", "maxmemory:100000000\r\nmaxmemory_policy:noeviction\r\n")};
  facts.spool.free_bytes = std::uint64_t{1} << 40;
  return facts;
}

// "warn target.empty" for each finding that is not ok.
std::vector<std::string> troubles(const PreflightFacts& facts, const Options& options = {}) {
  std::vector<std::string> out;
  for (const Finding& one : judge_preflight(facts, options)) {
    EXPECT_EQ(one.verdict == Grade::ok, one.advice.empty()) << one.name;
    EXPECT_FALSE(one.text.empty()) << one.name;
    if (one.verdict != Grade::ok)
      out.push_back(std::string(to_string(one.verdict)) + " " + one.name);
  }
  return out;
}

TEST(Preflight, FindsNothingWhereNothingIs) {
  EXPECT_EQ(troubles(healthy()), std::vector<std::string>());
  EXPECT_GT(judge_preflight(healthy(), Options()).size(), 15U);
}

struct Case {
  const char* what;
  std::function<void(PreflightFacts&, Options&)> change;
  std::vector<std::string> troubles;
};

void add_info(ServerFacts& to, const std::string& lines) {
  to.info = lines + to.info;  // the first one counts
  to.identity = read_identity(to.info);
}

std::vector<Case> source_cases() {
  return {
      {"unreachable",
       [](auto& f, auto&) { f.source.problem = "connect: refused"; },
       {"fail source.reach"}},
      {"far", [](auto& f, auto&) { f.source.rtt_ms = 80; }, {"warn source.reach"}},
      {"loading",
       [](auto& f, auto&) { add_info(f.source, "loading:1\r\n"); },
       {"warn source.loading"}},
      {"no right to pause",
       [](auto& f, auto&) { (*f.source.denied)["CLIENT PAUSE"] = "no"; },
       {"warn source.cutover"}},
      {"no right to pause, and none is wanted",
       [](auto& f, auto& o) {
         (*f.source.denied)["CLIENT PAUSE"] = "no";
         o.source_mode = SourceMode::scan;
         f.source.config["notify-keyspace-events"] = "AE";
       },
       {}},
      {"a fence that would not hold",
       [](auto& f, auto&) { f.source.config["min-replicas-max-lag"] = "0"; },
       {"warn source.cutover"}},
      {"replica",
       [](auto& f, auto&) { add_info(f.source, "role:slave\r\nmaster_link_status:up\r\n"); },
       {"warn source.role"}},
      {"cut-off replica",
       [](auto& f, auto&) { add_info(f.source, "role:slave\r\nmaster_link_status:down\r\n"); },
       {"fail source.role"}},
      {"node of a cluster",
       [](auto& f, auto&) { add_info(f.source, "redis_mode:cluster\r\n"); },
       {}},
      {"one node of a cluster alone",
       [](auto& f, auto& o) {
         add_info(f.source, "redis_mode:cluster\r\n");
         o.source.topology = Topology::standalone;
       },
       {"warn source.role"}},
      {"PSYNC denied",
       [](auto& f, auto& o) {
         (*f.source.denied)["PSYNC"] = "no";
         o.source_mode = SourceMode::psync;
       },
       {"fail source.rights"}},
      {"PSYNC denied, events off",
       [](auto& f, auto&) {
         (*f.source.denied)["PSYNC"] = "no";
         f.source.config["notify-keyspace-events"] = "";
       },
       {"warn source.mode", "fail source.notifications"}},
      {"PSYNC denied, events may be set",
       [](auto& f, auto& o) {
         (*f.source.denied)["PSYNC"] = "no";
         f.source.config["notify-keyspace-events"] = "K";
         o.source_scan_enable_notifications = true;
       },
       {"warn source.mode"}},
      {"scan, an event class missing",
       [](auto& f, auto& o) {
         o.source_mode = SourceMode::scan;
         f.source.config["notify-keyspace-events"] = "Eg$lshzt";
       },
       {"fail source.notifications"}},
      {"scan without events",
       [](auto& f, auto& o) {
         o.source_mode = SourceMode::scan;
         o.stream_enabled = false;
         f.source.config["notify-keyspace-events"] = "";
       },
       {}},
      {"scan, nobody tells the flags",
       [](auto& f, auto& o) {
         o.source_mode = SourceMode::scan;
         f.source.config.clear();
         f.source.config["databases"] = "16";
       },
       {"warn source.notifications", "warn source.subscriber_buffer"}},
      {"scan, a small buffer for subscribers",
       [](auto& f, auto& o) {
         o.source_mode = SourceMode::scan;
         f.source.config["notify-keyspace-events"] = "AE";
         f.source.config["client-output-buffer-limit"] = "slave 0 0 0 pubsub 1048576 524288 60";
       },
       {"warn source.subscriber_buffer"}},
      {"SCAN denied",
       [](auto& f, auto& o) {
         o.source_mode = SourceMode::scan;
         f.source.config["notify-keyspace-events"] = "AE";
         (*f.source.denied)["SCAN"] = "no";
       },
       {"fail source.rights"}},
      {"CONFIG denied",
       [](auto& f, auto&) { (*f.source.denied)["CONFIG GET"] = "no"; },
       {"warn source.rights"}},
      {"DRYRUN denied", [](auto& f, auto&) { f.source.denied.reset(); }, {"warn source.rights"}},
      {"short backlog",
       [](auto& f, auto&) {
         f.source.config["repl-backlog-size"] = "1048576";
         f.source.write_bytes_per_s = 75'000;
       },
       {"warn source.backlog"}},
      {"tight output buffer",
       [](auto& f, auto&) {
         f.source.config["client-output-buffer-limit"] = "slave 1048576 524288 10";
       },
       {"warn source.output_buffer"}},
      {"no CONFIG",
       [](auto& f, auto&) { f.source.config.clear(); },
       {"warn source.backlog", "warn source.output_buffer"}},
      {"disk snapshot",
       [](auto& f, auto&) { f.source.config["repl-diskless-sync"] = "no"; },
       {"warn source.diskless"}},
      {"short timeout",
       [](auto& f, auto&) { f.source.config["repl-timeout"] = "5"; },
       {"warn source.repl_timeout"}},
      {"replicas wanted",
       [](auto& f, auto&) { f.source.config["min-replicas-to-write"] = "1"; },
       {"warn source.min_replicas"}},
      {"WAIT in use",
       [](auto& f, auto&) { add_info(f.source, "cmdstat_wait:calls=3,usec=1\r\n"); },
       {"warn source.wait"}},
      {"slow shutdown",
       [](auto& f, auto&) { f.source.config["shutdown-timeout"] = "600"; },
       {"warn source.shutdown_timeout"}},
      {"clock", [](auto& f, auto&) { f.source.clock_ms = -700; }, {"warn source.clock"}},
  };
}

std::vector<Case> target_cases() {
  return {
      {"unreachable",
       [](auto& f, auto&) { f.targets[0].problem = "timed out"; },
       {"fail target.reach"}},
      {"replica",
       [](auto& f, auto&) { add_info(f.targets[0], "role:slave\r\n"); },
       {"fail target.role"}},
      {"holes in the cluster",
       [](auto& f, auto&) {
         f.target_is_cluster = true;
         f.covered_slots = 16383;
       },
       {"fail target.cluster"}},
      {"no cluster",
       [](auto&, auto& o) { o.target.topology = Topology::cluster; },
       {"fail target.cluster"}},
      {"RESTORE denied",
       [](auto& f, auto&) { (*f.targets[0].denied)["RESTORE"] = "no"; },
       {"fail target.rights"}},
      {"WATCH denied, at least once",
       [](auto& f, auto& o) {
         o.delivery_mode = Delivery::at_least_once;
         (*f.targets[0].denied)["WATCH"] = "no";
       },
       {"warn target.rights"}},
      {"keyferry:* denied, exactly once",
       [](auto& f, auto& o) {
         o.delivery_mode = Delivery::exactly_once;
         (*f.targets[0].denied)["keyferry:*"] = "no";
       },
       {"fail target.rights"}},
      {"CLIENT KILL denied, exactly once",
       [](auto& f, auto& o) {
         o.delivery_mode = Delivery::exactly_once;
         (*f.targets[0].denied)["CLIENT KILL"] = "no";
       },
       {"fail target.rights"}},
      {"same server",
       [](auto& f, auto&) { add_info(f.targets[0], "run_id:a\r\n"); },
       {"fail target.other_server"}},
      {"same history",
       [](auto& f, auto&) { add_info(f.targets[0], "master_replid:a\r\n"); },
       {"fail target.other_server"}},
      {"not empty, kept",
       [](auto& f, auto&) { add_info(f.targets[0], "db3:keys=9,x\r\n"); },
       {"warn target.empty"}},
      {"not empty, flushed",
       [](auto& f, auto& o) {
         o.target_before = TargetBefore::flush;
         add_info(f.targets[0], "db3:keys=9,x\r\n");
       },
       {"warn target.empty"}},
      {"not empty, must be",
       [](auto& f, auto& o) {
         o.target_before = TargetBefore::must_be_empty;
         add_info(f.targets[0], "db3:keys=9,x\r\n");
       },
       {"fail target.empty"}},
      {"too small",
       [](auto& f, auto&) { add_info(f.targets[0], "maxmemory:999999\r\n"); },
       {"fail target.memory"}},
      {"tight",
       [](auto& f, auto&) { add_info(f.targets[0], "maxmemory:1199999\r\n"); },
       {"warn target.memory"}},
      {"small machine",
       [](auto& f, auto&) {
         add_info(f.targets[0], "maxmemory:0\r\ntotal_system_memory:900000\r\n");
       },
       {"warn target.memory"}},
      {"eviction, at least once",
       [](auto& f, auto& o) {
         o.delivery_mode = Delivery::at_least_once;
         add_info(f.targets[0], "maxmemory_policy:allkeys-lru\r\n");
       },
       {"warn target.eviction"}},
      {"eviction, exactly once",
       [](auto& f, auto& o) {
         o.delivery_mode = Delivery::exactly_once;
         add_info(f.targets[0], "maxmemory_policy:allkeys-lru\r\n");
       },
       {"fail target.eviction"}},
      {"replicas missing",
       [](auto& f, auto&) { f.targets[0].config["min-replicas-to-write"] = "1"; },
       {"fail target.min_replicas"}},
      {"database 3 into a cluster",
       [](auto& f, auto&) {
         f.target_is_cluster = true;
         f.covered_slots = 16384;
         add_info(f.source, "db3:keys=1,x\r\n");
       },
       {"fail target.databases"}},
      {"database 3 into a cluster with three",
       [](auto& f, auto&) {
         f.target_is_cluster = true;
         f.covered_slots = 16384;
         f.targets[0].config["cluster-databases"] = "3";
         add_info(f.source, "db3:keys=1,x\r\n");
       },
       {"fail target.databases"}},
      {"database 3 into a cluster with four",
       [](auto& f, auto&) {
         f.target_is_cluster = true;
         f.covered_slots = 16384;
         f.targets[0].config["cluster-databases"] = "4";
         add_info(f.source, "db3:keys=1,x\r\n");
       },
       {}},
      {"database 17",
       [](auto& f, auto&) { add_info(f.source, "db17:keys=1,x\r\n"); },
       {"fail target.databases"}},
      {"older target",
       [](auto& f, auto&) { add_info(f.targets[0], "redis_version:6.2.1\r\n"); },
       {"warn target.types"}},
      {"field TTLs",
       [](auto& f, auto&) { add_info(f.source, "redis_version:8.0.0\r\n"); },
       {"warn target.types"}},
      {"module missing",
       [](auto& f, auto&) { f.source.modules->push_back("bf"); },
       {"fail target.modules"}},
      {"clock", [](auto& f, auto&) { f.targets[0].clock_ms = 501; }, {"warn target.clock"}},
      {"spool off",
       [](auto&, auto& o) {
         o.spool_enabled = false;
         o.limits_memory_max_bytes = std::int64_t{2} << 30;
       },
       {"warn spool"}},
      {"spool off and little memory",
       [](auto&, auto& o) { o.spool_enabled = false; },
       {"warn spool", "warn memory"}},
      {"spool tight", [](auto& f, auto&) { f.spool.free_bytes = 1 << 30; }, {"warn spool"}},
      {"spool full", [](auto& f, auto&) { f.spool.free_bytes = 1; }, {"fail spool"}},
      {"spool locked",
       [](auto& f, auto&) { f.spool.problem = "Permission denied"; },
       {"fail spool"}},
  };
}

void play(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    PreflightFacts facts = healthy();
    Options options;
    one.change(facts, options);
    EXPECT_EQ(troubles(facts, options), one.troubles);
  }
}

TEST(Preflight, FindsEachProblemOfTheSource) {
  play(source_cases());
}

TEST(Preflight, FindsEachProblemOfTheTargetAndOurselves) {
  play(target_cases());
}

TEST(Preflight, SaysHowLongTheBacklogLasts) {
  PreflightFacts facts = healthy();
  facts.source.config["repl-backlog-size"] = "1048576";
  facts.source.write_bytes_per_s = 74'898;
  for (const Finding& one : judge_preflight(facts, Options())) {
    if (one.name != "source.backlog") continue;
    EXPECT_EQ(one.text,
              "the backlog of 1.0 MiB lasts 14 s at 73.1 KiB/s; a longer break costs a full sync");
    EXPECT_EQ(one.advice, "CONFIG SET repl-backlog-size 9mb");
  }
}

TEST(Preflight, NamesTheRuleThatIsMissing) {
  PreflightFacts facts = healthy();
  (*facts.targets[0].denied)["CLIENT KILL"] = "no";
  (*facts.targets[0].denied)["keyferry:*"] = "no";
  Options options;
  options.delivery_mode = Delivery::at_least_once;
  for (const Finding& one : judge_preflight(facts, options)) {
    if (one.name == "target.rights") {
      EXPECT_EQ(one.advice, "ACL SETUSER ferry ~keyferry:* +client|kill");
    }
  }
}

TEST(Preflight, LooksAtEveryMasterOfTheSource) {
  PreflightFacts facts = healthy();
  for (const char* name : {"m1", "m2", "m3"})
    facts.source_masters.push_back(server(name, "used_memory:1000000\r\n"));
  EXPECT_EQ(troubles(facts), std::vector<std::string>());
  (*facts.source_masters[1].denied)["CONFIG SET"] = "no";
  facts.source_masters[1].config["repl-timeout"] = facts.source_masters[2].config["repl-timeout"] =
      "5";
  std::vector<std::string> texts;
  for (const Finding& one : judge_preflight(facts, Options())) {
    if (one.name == "source.cutover" || one.name == "source.repl_timeout" ||
        one.name == "source.diskless")
      texts.push_back(one.text);
  }
  const std::vector<std::string> expected = {
      "m1:1, m3:1: 'ferry' may do what a cutover takes",
      "m2:1: 'ferry' may not use CONFIG SET: the link works, keyferry cutover does not",
      "all 3 masters: the snapshot is sent without a file", "m1:1: a silent link is cut after 60 s",
      "m2:1, m3:1: a silent link is cut after 5 s"};
  EXPECT_EQ(texts, expected);
  facts.targets[0].info = "maxmemory:2500000\r\n" + facts.targets[0].info;
  EXPECT_EQ(troubles(facts), (std::vector<std::string>{"warn source.cutover", "fail target.memory",
                                                       "warn source.repl_timeout"}));
}

TEST(Preflight, OnlyMissingRightsAndReachAreFatal) {
  PreflightFacts facts = healthy();
  (*facts.source.denied)["REPLCONF"] = "no";
  facts.spool.problem = "no";
  Options options;
  options.source_mode = SourceMode::psync;
  for (const Finding& one : judge_preflight(facts, options)) {
    EXPECT_EQ(one.is_fatal, one.name == "source.rights") << one.name;
  }
}

}  // namespace
}  // namespace keyferry
