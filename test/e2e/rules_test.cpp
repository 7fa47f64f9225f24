// Filter and mapping between real servers: every kind of rule, in snapshot and stream, under a
// writer of all core types. (Other ends: rules_ends_test.cpp.)
#include "e2e/rules_cases.hpp"

namespace keyferry::test {
namespace {

class Rules : public testing::TestWithParam<std::size_t> {};

TEST_P(Rules, HoldInSnapshotAndStream) {
  const Case& one = cases()[GetParam()];
  RedisServer source = source_server();
  RedisServer target = source_server();
  RedisServer expected = source_server();
  const LiveOptions live = live_options(60 + GetParam());
  const std::size_t keys = fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), with_settings(one.settings));
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{700});
  writer.stop();
  ASSERT_GT(writer.commands(), 500u);
  // Keys that live for up to 3 s: the source's DEL must come while the link still runs.
  if (one.settings[0].starts_with("transform.ttl")) std::this_thread::sleep_for(Millis{3500});
  drain(link);

  const std::size_t wanted = project(source, expected, one.rule);
  EXPECT_GT(wanted, 0u);
  EXPECT_LE(wanted, 2 * keys) << "of the fill";
  EXPECT_EQ(describe(compare(expected, target)), "") << link.output();
}

INSTANTIATE_TEST_SUITE_P(Each, Rules, testing::Range(std::size_t{0}, cases().size()),
                         [](const testing::TestParamInfo<std::size_t>& at) {
                           return std::string(cases()[at.param].name);
                         });

TEST(RulesLink, KillNineUnderFilterAndMappingLosesAndRepeatsNothing) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  RedisServer expected = source_server();
  const LiveOptions live = live_options(90);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  const std::vector<std::string> more =
      with_settings({"filter.block.suffixes=[':1']", "databases.map={1: 4}",
                     "transform.key_prefix.add=n:", "delivery.lease_s=1"});
  link.run(source.uri(), target.uri(), more);
  wait_streaming(link);
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(Millis{300});
    link.process().kill9();
    link.run(source.uri(), target.uri(), more);
    wait_streaming(link);
  }
  writer.stop();
  drain(link);

  project(source, expected, [](Place own, const std::string&) {
    if (own.key.ends_with(":1")) return std::optional<Place>();
    own.key = "n:" + own.key;
    own.db = own.db == 1 ? 4 : own.db;
    return std::optional(own);
  });
  EXPECT_EQ(describe(compare(expected, target)), "") << link.output();
}

TEST(RulesLink, OtherRulesThanBeforeAreRefused) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "a", "1"});
  Keyferry link(KEYFERRY_BINARY);
  const std::vector<std::string> to_zero = {"--stop-when", "lag-zero"};
  link.run(source.uri(), target.uri(), to_zero);
  ASSERT_EQ(link.wait_exit(Millis{20000}).value_or(99), 0) << link.output();
  const std::vector<std::string> other = with_settings({"transform.key_prefix.add=p:"}, to_zero);

  link.run(source.uri(), target.uri(), other);
  EXPECT_EQ(link.wait_exit(Millis{20000}).value_or(99), 2) << link.output();
  EXPECT_NE(link.output().find("under other rules"), std::string::npos) << link.output();
  std::vector<std::string> restart = other;
  restart.push_back("--restart");
  link.run(source.uri(), target.uri(), restart);
  EXPECT_EQ(link.wait_exit(Millis{20000}).value_or(99), 0) << link.output();
  EXPECT_EQ(target.command({"GET", "p:a"}).text, "1");
  EXPECT_TRUE(target.command({"GET", "a"}).is_nil());
}

TEST(RulesLink, WrongRulesAreRefusedBeforeAnythingIsDone) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), with_settings({"filter.block.regexes=['(']"}));

  EXPECT_EQ(link.wait_exit(Millis{20000}).value_or(99), 2) << link.output();
  EXPECT_NE(link.output().find("filter.block.regexes: '('"), std::string::npos) << link.output();
  EXPECT_EQ(key_count(target), 0u);
}

TEST(RulesLink, GroupsCommandsSizesAndExpiriesAreJudgedWhereTheyAreKnown) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  RespClient client = source.client();
  client.must({"SET", "small", "1"});
  client.must({"SET", "large", std::string(5000, 'x')});
  client.must({"SET", "soon", "1", "EX", "30"});
  client.must({"SET", "later", "1", "EX", "3000"});
  client.must({"RPUSH", "list", "a"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           with_settings({"filter.block.groups=[list]",
                          "filter.block.commands=[APPEND, 'xgroup|create']",
                          "filter.max_bytes=1000", "filter.min_ttl_s=60"}));
  wait_streaming(link);
  client.must({"RPUSH", "list2", "a"});
  client.must({"APPEND", "small", "2"});
  client.must({"XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"});
  client.must({"SADD", "set", "a"});
  client.must({"XADD", "s", "1-1", "f", "v"});
  drain(link);

  EXPECT_EQ(target.command({"GET", "small"}).text, "1");
  for (const char* key : {"large", "soon", "list", "list2"})
    EXPECT_EQ(target.command({"EXISTS", key}).integer, 0) << key;
  for (const char* key : {"later", "set", "s"})
    EXPECT_EQ(target.command({"EXISTS", key}).integer, 1) << key;
  EXPECT_TRUE(target.command({"XINFO", "GROUPS", "s"}).items.empty());
}

TEST(RulesLink, DatabasesOfOneSourceMeetInACluster) {
  RedisServer source = source_server();
  RedisCluster target;
  RedisServer expected = source_server();
  RespClient client = source.client();
  const auto write = [&](int from, int to) {
    for (int i = from; i < to; ++i) {
      client.must({"SELECT", std::to_string(i % 4)});
      const std::string n = std::to_string(i);
      client.must({"SET", "k:" + n, n});
      client.must({"HINCRBY", "h:" + std::to_string(i % 40), "f", "1"});
      client.must({"RPUSH", "l:" + std::to_string(i % 40), n});
      client.must({"DEL", "k:" + std::to_string(i - 7), "k:" + std::to_string(i - 11)});
    }
  };
  write(0, 400);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           with_settings({"databases.map={1: 0, 2: 0, 3: 0}",
                          "databases.prefix={1: 'db1:', 2: 'db2:', 3: 'db3:'}"}));
  wait_streaming(link);
  write(400, 800);
  drain(link);

  project(source, expected, [](Place own, const std::string&) {
    if (own.db > 0) own.key = "db" + std::to_string(own.db) + ":" + own.key;
    own.db = 0;
    return std::optional(own);
  });
  EXPECT_EQ(describe(compare(expected, target)), "") << link.output();
}

TEST(RulesLink, CollidingNamesEndTheLinkOrAreLeftOut) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "a", "0"});
  RespClient client = source.client();
  client.must({"SELECT", "1"});
  client.must({"SET", "a", "1"});
  const std::vector<std::string> settings = {"databases.map={1: 0}"};
  Keyferry stopping(KEYFERRY_BINARY);
  stopping.run(source.uri(), target.uri(), with_settings(settings));
  EXPECT_EQ(stopping.wait_exit(Millis{20000}).value_or(99), 1) << stopping.output();
  EXPECT_NE(stopping.output().find("which another key has become"), std::string::npos);

  Keyferry skipping(KEYFERRY_BINARY);
  skipping.run(source.uri(), target.uri(),
               with_settings(settings, {"--set", "errors.policy=skip", "--stop-when", "lag-zero",
                                        "--restart"}));
  EXPECT_EQ(skipping.wait_exit(Millis{20000}).value_or(99), 0) << skipping.output();
  EXPECT_EQ(target.command({"GET", "a"}).text, "0");
}

TEST(RulesLink, AFlushIsOnlyDoneWhereAllOfItIsOurs) {
  for (const bool owns : {true, false}) {
    RedisServer source = source_server();
    RedisServer target = source_server();
    if (!owns) target.command({"SET", "foreign", "1"});
    source.command({"SET", "a:1", "1"});
    source.command({"SET", "b:1", "1"});
    Keyferry link(KEYFERRY_BINARY);
    link.run(source.uri(), target.uri(), with_settings({"filter.allow.prefixes=['a:']"}));
    wait_streaming(link);
    source.command({"FLUSHALL"});
    source.command({"SET", "a:2", "2"});
    if (owns) {
      drain(link);
      EXPECT_EQ(target.command({"EXISTS", "a:1"}).integer, 0);
      EXPECT_EQ(target.command({"GET", "a:2"}).text, "2");
    } else {
      EXPECT_EQ(link.wait_exit(Millis{20000}).value_or(99), 1) << link.output();
      EXPECT_NE(
          link.output().find("FLUSHALL cannot be carried out on this target: flush_of_a_part"),
          std::string::npos)
          << link.output();
      EXPECT_EQ(target.command({"GET", "foreign"}).text, "1");
    }
  }
}

TEST(RulesLink, AHugeValueThatStaysBehindIsNotHeld) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "huge:string", std::string(100 * 1024 * 1024, 'x')});
  source.command(
      {"EVAL",
       "for i = 1, 400000 do redis.call('RPUSH', 'huge:list', i .. string.rep('y', 200)) end",
       "0"});
  source.command({"SET", "small", "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           with_settings({"filter.block.prefixes=['huge:']", "limits.memory_max_bytes=16MiB",
                          "spool.enabled=false"}));
  wait_streaming(link);

  EXPECT_LT(link.usage().peak_rss_kib, 80 * 1024);
  drain(link);
  EXPECT_EQ(target.command({"GET", "small"}).text, "1");
  EXPECT_EQ(link.output().find("error"), std::string::npos) << link.output();
  EXPECT_EQ(target.command({"EXISTS", "huge:string", "huge:list"}).integer, 0);
}

// What does not travel is told by reason; /status and metrics agree.
TEST(RulesLink, CountsWhatStaysBehindByReason) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "no:1", "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           with_settings({"filter.block.prefixes=['no:']", "filter.block.types=[list]"}));
  wait_streaming(link);
  source.command({"MSET", "no:2", "1", "yes", "1"});
  source.command({"SET", "no:3", "1"});
  source.command({"RPUSH", "l", "1"});
  ASSERT_TRUE(link.wait_status("counters.filtered", "3", Millis{5000})) << link.status("counters");

  const std::string metrics = link.http_get("/metrics").body;
  for (const char* sample : {"reason=\"key\"} 2\n", "reason=\"type\"} 1\n", "reason=\"part\"} 1\n"})
    EXPECT_NE(metrics.find(sample), std::string::npos) << metrics;
  drain(link);
}

}  // namespace
}  // namespace keyferry::test
