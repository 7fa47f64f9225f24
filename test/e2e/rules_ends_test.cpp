// Filter, mapping, script and limits with other ends than rules_test.cpp: a source that is scanned,
// a cluster as the target, both.
#include <fstream>

#include "e2e/rules_cases.hpp"

namespace keyferry::test {
namespace {

RedisServer events_source() {
  return source_server({"--notify-keyspace-events", "AE"});
}

std::vector<std::string> scanning(std::vector<std::string> settings) {
  settings.push_back("source.mode=scan");
  return settings;
}

std::string at_case(const testing::TestParamInfo<std::size_t>& at) {
  return cases()[at.param].name;
}

// Keys that live for up to 3 s: they must go at the source while the link still runs.
void wait_for_expiries(const Case& one) {
  if (one.settings[0].starts_with("transform.ttl")) std::this_thread::sleep_for(Millis{3500});
}

class ScannedRules : public testing::TestWithParam<std::size_t> {};

TEST_P(ScannedRules, HoldInTheFirstPassAndBehindIt) {
  const Case& one = cases()[GetParam()];
  RedisServer source = events_source();
  RedisServer target = source_server();
  RedisServer expected = source_server();
  const LiveOptions live = live_options(120 + GetParam());
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), with_settings(scanning(one.settings)));
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{500});
  writer.stop();
  ASSERT_GT(writer.commands(), 500u);
  wait_for_expiries(one);
  drain(link);

  EXPECT_GT(project(source, expected, one.rule), 0u);
  EXPECT_EQ(describe(compare(expected, target)), "") << link.output();
}

INSTANTIATE_TEST_SUITE_P(Each, ScannedRules, testing::Range(std::size_t{0}, cases().size()),
                         at_case);

// A cluster has one database: rules about others are tested below.
std::vector<std::size_t> cases_of_one_database() {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < cases().size(); ++i) {
    if (!cases()[i].takes_databases) out.push_back(i);
  }
  return out;
}

class RulesIntoACluster : public testing::TestWithParam<std::size_t> {
 protected:
  // One cluster for all of them.
  static void SetUpTestSuite() { target_ = std::make_unique<RedisCluster>(); }
  static void TearDownTestSuite() { target_.reset(); }
  static std::unique_ptr<RedisCluster> target_;
};
std::unique_ptr<RedisCluster> RulesIntoACluster::target_;

TEST_P(RulesIntoACluster, HoldInSnapshotAndStream) {
  const Case& one = cases()[GetParam()];
  RedisServer source = source_server();
  RedisServer expected = source_server();
  LiveOptions live = live_options(150 + GetParam());
  live.dataset.cluster_safe = true;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target_->uri(),
           with_settings(one.settings, {"--restart", "--set", "target.before=flush"}));
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{500});
  writer.stop();
  ASSERT_GT(writer.commands(), 500u);
  wait_for_expiries(one);
  drain(link);

  EXPECT_GT(project(source, expected, one.rule), 0u);
  EXPECT_EQ(describe(compare(expected, *target_)), "") << link.output();
}

INSTANTIATE_TEST_SUITE_P(Each, RulesIntoACluster, testing::ValuesIn(cases_of_one_database()),
                         at_case);

std::size_t keys_in(RedisCluster& cluster) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    for (const Reply& key : cluster.node(i).command({"KEYS", "*"}).items)
      count += key.text.starts_with("keyferry:") ? 0 : 1;
  }
  return count;
}

TEST(RulesEnds, OneDatabaseOfManyGoesIntoACluster) {
  for (const bool is_scanned : {false, true}) {
    RedisServer source = events_source();
    RedisCluster target;
    RespClient client = source.client();
    const auto write = [&client](const std::string& n) {
      for (int db = 0; db < 3; ++db) {
        client.must({"SELECT", std::to_string(db)});
        client.must({"SET", "s" + n, std::to_string(db)});
        client.must({"RPUSH", "l" + n, std::to_string(db)});
      }
    };
    write("1");
    Keyferry link(KEYFERRY_BINARY);
    std::vector<std::string> settings = {"filter.allow.databases=[1]", "databases.map={1: 0}",
                                         "databases.prefix={1: 'one:'}"};
    link.run(source.uri(), target.uri(), with_settings(is_scanned ? scanning(settings) : settings));
    wait_streaming(link);
    write("2");
    drain(link);

    EXPECT_EQ(keys_in(target), 4u) << link.output();
    for (const char* key : {"one:s1", "one:s2"}) {
      RespClient owner = target.node(target.owner(key_slot(key))).client();
      EXPECT_EQ(owner.must({"GET", key}).text, "1");
    }
  }
}

// What the rules say about commands, groups, sizes and expiries, for a source whose commands nobody
// sees.
TEST(RulesEnds, GroupsSizesAndExpiriesOfAScannedSource) {
  RedisServer source = events_source();
  RedisServer target = source_server();
  RespClient client = source.client();
  const std::string large(5000, 'x');
  client.must({"MSET", "small", "1", "grows", "1", "large", large, "shrinks", large});
  client.must({"SET", "soon", "1", "EX", "30"});
  client.must({"SET", "later", "1", "EX", "3000"});
  client.must({"RPUSH", "list", "a"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           with_settings(scanning({"filter.block.groups=[list]", "filter.block.commands=[APPEND]",
                                   "filter.max_bytes=1000", "filter.min_ttl_s=60"})));
  wait_streaming(link);
  EXPECT_EQ(target.command({"EXISTS", "grows", "later", "small"}).integer, 3);
  client.must({"RPUSH", "list2", "a"});
  client.must({"APPEND", "small", "2"});
  client.must({"SET", "grows", large});
  client.must({"SET", "shrinks", "1"});
  client.must({"EXPIRE", "later", "20"});
  client.must({"SADD", "set", "a"});
  drain(link);

  EXPECT_EQ(target.command({"GET", "small"}).text, "12") << "the key is copied, not the command";
  EXPECT_NE(link.output().find("filter.*.commands hold for function libraries only"),
            std::string::npos);
  for (const char* key : {"large", "grows", "soon", "later", "list", "list2"})
    EXPECT_EQ(target.command({"EXISTS", key}).integer, 0) << key;
  for (const char* key : {"shrinks", "set"})
    EXPECT_EQ(target.command({"EXISTS", key}).integer, 1) << key;
}

// Keys that begin with "drop:" stay behind, every other one gets a prefix; large strings a mark.
constexpr const char* script = R"(
function transform(db, argv, keys)
  if #keys == 0 then return argv end
  if argv[keys[1]]:sub(1, 5) == 'drop:' then return nil end
  for _, at in ipairs(keys) do argv[at] = 'x:' .. argv[at] end
  return argv
end
)";

class ScannedScript : public testing::TestWithParam<const char*> {};

TEST_P(ScannedScript, ChangesWhatIsCopiedAndWhatGoes) {
  RedisServer source = events_source();
  RedisServer target = source_server();
  RedisServer expected = source_server();
  RespClient client = source.client();
  const auto write = [&](const std::string& n) {
    client.must({"SET", "drop:" + n, "1"});
    client.must({"SET", "s:" + n, "1", "PX", "3600000"});
    client.must({"RPUSH", "l:" + n, "a", "b"});
    client.must({"HSET", "h:" + n, "f", "v"});
    client.must({"ZADD", "z:" + n, "1", "m"});
    client.must({"XADD", "st:" + n, "5-1", "f", "v"});
    client.must({"SADD", "set:" + n, "a"});
  };
  for (int i = 0; i < 50; ++i)
    write("a" + std::to_string(i));
  Keyferry link(KEYFERRY_BINARY);
  const std::string file = link.directory().file("t.lua");
  std::ofstream(file) << script;
  link.run(source.uri(), target.uri(),
           with_settings(scanning(
               {"transform.script_file=" + file, std::string("transform.decode=") + GetParam()})));
  wait_streaming(link);
  for (int i = 0; i < 50; ++i)
    write("b" + std::to_string(i));
  for (int i = 0; i < 20; ++i)
    client.must({"DEL", "s:a" + std::to_string(i), "h:b" + std::to_string(i), "drop:a1"});
  client.must({"APPEND", "s:a40", "more"});
  drain(link);

  project(source, expected, [](Place own, const std::string&) {
    if (own.key.starts_with("drop:")) return std::optional<Place>();
    own.key = "x:" + own.key;
    return std::optional(own);
  });
  EXPECT_EQ(describe(compare(expected, target)), "") << link.output();
}

INSTANTIATE_TEST_SUITE_P(Decode, ScannedScript, testing::Values("false", "true"),
                         [](const testing::TestParamInfo<const char*>& at) {
                           return std::string(at.param);
                         });

TEST(ScannedLimits, HoldBackTheTargetUntilTheyAreLifted) {
  RedisServer source = events_source();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), with_settings(scanning({"limits.target_ops_per_s=300"})));
  wait_streaming(link);
  fill_strings(source, 6000, 8);
  std::this_thread::sleep_for(Millis{2000});
  const std::size_t after_2_s = key_count(target);
  EXPECT_GT(after_2_s, 300u);
  EXPECT_LT(after_2_s, 1500u);

  EXPECT_EQ(link.http_post("/limits?target_ops_per_s=0").status, 202);
  drain(link, Millis{10000});

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(ScannedLimits, HoldForBytesAtBothEnds) {
  for (const char* limit : {"limits.target_bytes_per_s=1MB", "limits.source_bytes_per_s=1MB"}) {
    RedisServer source = events_source();
    RedisServer target = source_server();
    fill_strings(source, 3000, 1000);
    Keyferry link(KEYFERRY_BINARY);
    const auto begin = std::chrono::steady_clock::now();
    link.run(source.uri(), target.uri(),
             with_settings(scanning({limit}), {"--stop-when", "snapshot"}));
    ASSERT_EQ(link.wait_exit(Millis{30000}).value_or(99), 0) << link.output();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;

    EXPECT_GT(taken.count(), 2.0) << limit;
    EXPECT_LT(taken.count(), 20.0) << limit;
    EXPECT_EQ(describe(compare(source, target)), "") << limit;
  }
}

}  // namespace
}  // namespace keyferry::test
