// `keyferry verify` as a process of its own, beside a link and without one.
#include "e2e/verify_seed.hpp"
#include "support/cluster.hpp"

namespace keyferry::test {
namespace {

// A source and a target that a link has made equal.
class VerifyTest : public testing::Test {
 protected:
  void copy(const std::string& target_uri, const std::vector<std::string>& more = {}) {
    Keyferry link(KEYFERRY_BINARY);
    std::vector<std::string> args = {"--stop-when", "lag-zero", "--set", "stop.stable_for_ms=100"};
    args.insert(args.end(), more.begin(), more.end());
    link.run(source_.uri(), target_uri, args);
    ASSERT_EQ(link.wait_exit(Millis{60000}).value_or(-1), 0) << link.output();
  }
  Verified verify_again(std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--json", "--set", "verify.recheck_wait_ms=50"});
    return verify(source_.uri(), target_.uri(), more);
  }

  RedisServer source_ = source_server();
  RedisServer target_ = source_server();
};

TEST_F(VerifyTest, EqualDataSetsOfEveryTypeAreEqual) {
  DatasetOptions data;
  data.keys = 4000;
  fill(source_, data);
  copy(target_.uri());

  const Verified run = verify_again();

  EXPECT_EQ(run.code, 0) << run.output;
  const std::string summary = read_verify(run.output).summary;
  EXPECT_EQ(json_field(summary, "equal"), "true") << run.output;
  EXPECT_EQ(json_field(summary, "keys"), std::to_string(key_count(source_)));
  EXPECT_EQ(json_field(summary, "target_keys"), json_field(summary, "keys"));
}

TEST_F(VerifyTest, FindsAndRepairsEveryKindOfDifference) {
  constexpr std::size_t fixed = 1200;
  fill_fixed(source_, fixed);
  copy(target_.uri());
  const Seeded seeded = seed_differences(target_, fixed, 200);

  const Verified found = verify_again();
  EXPECT_EQ(found.code, 1) << found.output;
  EXPECT_EQ(unlike(seeded, read_verify(found.output).found), "");
  EXPECT_FALSE(read_verify(found.output).told_twice);

  const Verified half = verify_again({"--repair"});
  EXPECT_EQ(half.code, 1) << "extra keys are left alone\n" << half.output;
  const Verified repaired = verify_again({"--repair-extra"});
  EXPECT_EQ(repaired.code, 0) << repaired.output;
  EXPECT_EQ(describe(compare(source_, target_)), "");
}

TEST_F(VerifyTest, NamesTheFirstElementAtLevelFull) {
  Sender(source_).send({"RPUSH", "list", "a", "b", "c"});
  copy(target_.uri());
  Sender(target_).send({"LSET", "list", "1", "x"});

  const Verified run = verify_again({"--level", "full"});

  EXPECT_EQ(run.code, 1);
  EXPECT_NE(run.output.find(R"("element":{"at":"item 1","source":"b","target":"x"}})"),
            std::string::npos)
      << run.output;
}

TEST_F(VerifyTest, LevelsSeeWhatTheySay) {
  {
    Sender to(source_);
    to.send({"SET", "value", "1"});
    to.send({"SET", "ttl", "1", "EX", "1000"});
    to.send({"SET", "missing", "1"});
  }
  copy(target_.uri());
  {
    Sender to(target_);
    to.send({"SET", "value", "2"});
    to.send({"PERSIST", "ttl"});
    to.send({"DEL", "missing"});
  }
  const Seeded all = {{"value", "value"}, {"ttl", "ttl"}, {"missing", "missing"}};

  EXPECT_EQ(unlike({{"missing", "missing"}},
                   read_verify(verify_again({"--level", "exists"}).output).found),
            "");
  EXPECT_EQ(unlike({{"missing", "missing"}, {"ttl", "ttl"}},
                   read_verify(verify_again({"--level", "ttl"}).output).found),
            "");
  EXPECT_EQ(unlike(all, read_verify(verify_again().output).found), "");
}

TEST_F(VerifyTest, LargeValuesAreComparedInPieces) {
  const auto fill_large = [](const RedisServer& server) {
    Sender to(server);
    for (const char* key : {"same", "other"}) {
      const std::string name = key;
      for (int i = 0; i < 20000; ++i) {
        const std::string number = std::to_string(i);
        to.send({"HSET", name + ":hash", "f" + number, "v" + number});
        to.send({"RPUSH", name + ":list", "item " + number});
        to.send({"ZADD", name + ":zset", number, "m" + number});
        to.send({"SADD", name + ":set", "m" + number});
      }
      to.send({"SET", name + ":string", std::string(2000000, 'x')});
    }
  };
  fill_large(source_);
  copy(target_.uri());
  {
    Sender to(target_);
    to.send({"HSET", "other:hash", "f19999", "x"});
    to.send({"LSET", "other:list", "10000", "x"});
    to.send({"ZADD", "other:zset", "0.5", "m0"});
    to.send({"SREM", "other:set", "m777"});
    to.send({"SETRANGE", "other:string", "1999999", "y"});
  }

  const Verified run = verify_again();

  EXPECT_EQ(unlike({{"other:hash", "value"},
                    {"other:list", "value"},
                    {"other:zset", "value"},
                    {"other:set", "value"},
                    {"other:string", "value"}},
                   read_verify(run.output).found),
            "");
  const Verified repaired = verify_again({"--repair"});
  EXPECT_EQ(repaired.code, 0) << repaired.output;
  EXPECT_EQ(describe(compare(source_, target_)), "");
}

TEST_F(VerifyTest, FollowsFilterAndMapping) {
  {
    Sender to(source_);
    for (int i = 0; i < 50; ++i) {
      to.send({"SET", "in:" + std::to_string(i), "v", "PX", "5000000"});
      to.send({"SET", "out:" + std::to_string(i), "v"});
      to.send({"RPUSH", "in:list:" + std::to_string(i), "v"});
    }
  }
  const std::vector<std::string> rules = {"--set", "filter.allow.prefixes=[\"in:\"]",
                                          "--set", "filter.block.types=[list]",
                                          "--set", "databases.map={0: 3}",
                                          "--set", "transform.key_prefix.add=new:",
                                          "--set", "transform.ttl=+10s"};
  copy(target_.uri(), rules);
  EXPECT_EQ(verify_again(rules).code, 0) << verify_again(rules).output;
  {
    Sender to(target_);
    to.send({"SET", "new:in:extra", "in database 0, where the link puts nothing"});
    to.send({"SELECT", "3"});
    to.send({"SET", "new:in:1", "x", "KEEPTTL"});
    to.send({"SET", "new:in:extra", "v"});
    to.send({"SET", "somebody's", "v"});
  }

  const Verified run = verify_again(rules);

  EXPECT_EQ(unlike({{"in:1", "value"}, {"in:extra", "extra"}}, read_verify(run.output).found), "")
      << run.output;
  EXPECT_NE(run.output.find(R"("target_db":3,"target_key":"new:in:1")"), std::string::npos);
  std::vector<std::string> repairing = rules;
  repairing.insert(repairing.end(), {"--repair", "--repair-extra"});
  EXPECT_EQ(verify_again(repairing).code, 0);
  EXPECT_EQ(verify_again(rules).code, 0);
}

TEST_F(VerifyTest, ASampleLooksAtAPart) {
  fill_strings(source_, 10000);

  const Verified run = verify_again({"--sample", "10%", "--set", "verify.seed=5"});

  const std::string keys = json_field(read_verify(run.output).summary, "keys");
  EXPECT_EQ(run.code, 1) << "the target is empty";
  EXPECT_GT(std::stoi("0" + keys), 850);
  EXPECT_LT(std::stoi("0" + keys), 1150);
}

TEST_F(VerifyTest, AnEndThatCannotBeReachedIsExitCodeThree) {
  target_.stop();

  EXPECT_EQ(verify_again({"--set", "target.connect_timeout_ms=500"}).code, 3);
}

TEST_F(VerifyTest, ClustersAreComparedNodeByNode) {
  RedisCluster cluster;
  DatasetOptions data;
  data.keys = 2000;
  data.cluster_safe = true;
  fill(source_, data);
  copy(cluster.uri());
  const std::vector<std::string> quick = {"--json", "--set", "verify.recheck_wait_ms=50"};
  const Verified before = verify(source_.uri(), cluster.uri(), quick);
  EXPECT_EQ(before.code, 0) << before.output;
  // Once more with itself, so that the source has several nodes as well.
  const Verified itself = verify(cluster.node(0).uri(), cluster.node(1).uri(), quick);
  EXPECT_EQ(itself.code, 0) << itself.output;
  EXPECT_EQ(json_field(read_verify(itself.output).summary, "keys"),
            std::to_string(key_count(source_)));
  // From each node a key that it serves.
  Seeded seeded;
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    RespClient client = cluster.node(i).client();
    std::string key;
    do {
      key = client.must({"RANDOMKEY"}).text;
    } while (key.rfind("keyferry:", 0) == 0);
    client.must({"DEL", key});
    seeded[key] = "missing";
  }

  const Verified run = verify(source_.uri(), cluster.uri(), quick);
  EXPECT_EQ(unlike(seeded, read_verify(run.output).found), "") << run.output;
  std::vector<std::string> repairing = quick;
  repairing.emplace_back("--repair");
  EXPECT_EQ(verify(source_.uri(), cluster.uri(), repairing).code, 0);
  EXPECT_EQ(describe(compare(source_, cluster)), "");
}

// Releases that hold the same values in other encodings.
class VerifyReleases : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(VerifyReleases, ValuesAreEqualInWhateverEncoding) {
  ServerOptions from;
  ServerOptions to;
  from.release = release(GetParam().first);
  to.release = release(GetParam().second);
  for (const ServerRelease& one : {from.release, to.release}) {
    if (!one.unreachable.empty()) GTEST_SKIP() << one.name << ": " << one.unreachable;
  }
  // The target keeps everything in other encodings than the source.
  to.args = {"--hash-max-listpack-entries", "2", "--set-max-listpack-entries", "2",
             "--zset-max-listpack-entries", "2", "--list-max-listpack-size",   "2",
             "--set-max-intset-entries",    "2", "--rdbcompression",           "no"};
  const RedisServer source(from);
  const RedisServer target(to);
  DatasetOptions data;
  data.keys = 2000;
  data.functions = false;
  fill(source, data);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           {"--stop-when", "lag-zero", "--set", "stop.stable_for_ms=100"});
  ASSERT_EQ(link.wait_exit(Millis{60000}).value_or(-1), 0) << link.output();

  const std::vector<std::string> quick = {"--json", "--set", "verify.recheck_wait_ms=50"};
  const Verified equal = verify(source.uri(), target.uri(), quick);
  EXPECT_EQ(equal.code, 0) << equal.output;

  Sender(target).send({"DEL", Dataset::name(4, "hash")});
  const Verified run = verify(source.uri(), target.uri(), quick);
  EXPECT_EQ(unlike({{Dataset::name(4, "hash"), "missing"}}, read_verify(run.output).found), "")
      << run.output;
}

TEST(VerifyFields, ExpiriesOfHashFieldsAreComparedAndRepaired) {
  ServerOptions from;
  ServerOptions to;
  from.release = release("redis-8.0");
  to.release = release("valkey-9.1");
  if (!from.release.unreachable.empty() || !to.release.unreachable.empty()) GTEST_SKIP();
  const RedisServer source(from);
  const RedisServer target(to);
  for (const RedisServer* server : {&source, &target}) {
    Sender into(*server);
    for (const char* key : {"same", "other"}) {
      into.send({"HSET", key, "f", "v", "g", "w"});
      into.send({"HPEXPIREAT", key, "4000000000000", "FIELDS", "1", "f"});
    }
  }
  const std::vector<std::string> quick = {"--json", "--set", "verify.recheck_wait_ms=50"};
  const Verified equal = verify(source.uri(), target.uri(), quick);
  EXPECT_EQ(equal.code, 0) << equal.output;
  Sender(target).send({"HPEXPIREAT", "other", "4000000001000", "FIELDS", "1", "f"});

  const Verified run = verify(source.uri(), target.uri(), quick);
  EXPECT_EQ(unlike({{"other", "value"}}, read_verify(run.output).found), "") << run.output;
  std::vector<std::string> repairing = quick;
  repairing.emplace_back("--repair");
  EXPECT_EQ(verify(source.uri(), target.uri(), repairing).code, 0);
}

INSTANTIATE_TEST_SUITE_P(AtHand, VerifyReleases,
                         testing::Values(std::pair("redis-6.0", "valkey-8.1"),
                                         std::pair("redis-8.0", "valkey-9.1"),
                                         std::pair("valkey-8.1", "redis-8.0")),
                         [](const auto& chosen) { return "Pair" + std::to_string(chosen.index); });

}  // namespace
}  // namespace keyferry::test
