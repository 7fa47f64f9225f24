#include "support/compare.hpp"

#include <functional>

#include <gtest/gtest.h>

#include "support/live_writer.hpp"

namespace keyferry::test {
namespace {

struct Change {
  const char* name;
  std::vector<Args> commands;  // done at the target only
  std::string expected;        // start of the one line that describes it

  friend std::ostream& operator<<(std::ostream& out, const Change& change) {
    return out << change.name;
  }
};

class OneDifference : public testing::TestWithParam<Change> {
 protected:
  static void fill_both(const RedisServer& source, const RedisServer& target) {
    for (const RedisServer* server : {&source, &target}) {
      RespClient client = server->client();
      client.must({"SET", "str", "value"});
      client.must({"SET", "ttl", "value", "PXAT", "33333333333333"});
      client.must({"RPUSH", "list", "a", "b"});
      client.must({"SADD", "set", "a", "b"});
      client.must({"HSET", "hash", "f", "v", "g", "w"});
      client.must({"ZADD", "zset", "1.1", "a", "inf", "b"});
      client.must({"XADD", "stream", "1-1", "f", "v"});
      client.must({"XADD", "stream", "1-2", "f", "v"});
      client.must({"XGROUP", "CREATE", "stream", "g", "0"});
      client.must({"XREADGROUP", "GROUP", "g", "ann", "COUNT", "1", "STREAMS", "stream", ">"});
      client.must({"FUNCTION", "LOAD",
                   "#!lua name=a\nredis.register_function('a', function() return 1 end)"});
      client.must({"SELECT", "5"});
      client.must({"SET", "elsewhere", "value"});
    }
  }
};

TEST_P(OneDifference, IsFound) {
  RedisServer source;
  RedisServer target;
  fill_both(source, target);
  ASSERT_EQ(describe(compare(source, target)), "");

  RespClient client = target.client();
  for (const Args& args : GetParam().commands)
    client.must(args);

  const std::vector<Difference> differences = compare(source, target);
  ASSERT_EQ(differences.size(), 1U) << describe(differences);
  EXPECT_EQ(describe(differences).rfind(GetParam().expected, 0), 0U) << describe(differences);
}

INSTANTIATE_TEST_SUITE_P(
    Compare, OneDifference,
    testing::Values(
        Change{"Missing", {{"DEL", "str"}}, "missing db0 str: string"},
        Change{"Extra", {{"SET", "more", "v"}}, "extra db0 more: string"},
        Change{"MissingInAnotherDatabase",
               {{"SELECT", "5"}, {"DEL", "elsewhere"}},
               "missing db5 elsewhere"},
        Change{"ExtraInAnotherDatabase", {{"SELECT", "6"}, {"SET", "k", "v"}}, "extra db6 k"},
        Change{"Type", {{"DEL", "str"}, {"RPUSH", "str", "value"}}, "type db0 str: string / list"},
        Change{"String", {{"SETRANGE", "str", "4", "E"}}, "value db0 str"},
        Change{
            "ExpiryByOneMillisecond", {{"PEXPIREAT", "ttl", "33333333333334"}}, "expiry db0 ttl"},
        Change{"ExpiryGone", {{"PERSIST", "ttl"}}, "expiry db0 ttl"},
        Change{"ListOrder", {{"LMOVE", "list", "list", "LEFT", "RIGHT"}}, "value db0 list"},
        Change{"SetMember", {{"SADD", "set", ""}}, "value db0 set"},
        Change{"HashField", {{"HSET", "hash", "g", "v"}}, "value db0 hash"},
        Change{"Score", {{"ZADD", "zset", "1.1000000000000003", "a"}}, "value db0 zset"},
        Change{"StreamEntry", {{"XADD", "stream", "1-3", "f", "v"}}, "value db0 stream"},
        Change{"StreamLastId", {{"XSETID", "stream", "1-9"}}, "value db0 stream"},
        Change{"StreamGroup", {{"XGROUP", "CREATE", "stream", "h", "0"}}, "value db0 stream"},
        Change{"StreamConsumer",
               {{"XGROUP", "CREATECONSUMER", "stream", "g", "bob"}},
               "value db0 stream"},
        Change{"PendingEntry", {{"XACK", "stream", "g", "1-1"}}, "value db0 stream"},
        Change{"PendingOwner",
               {{"XCLAIM", "stream", "g", "bob", "0", "1-1", "RETRYCOUNT", "1"}},
               "value db0 stream"},
        Change{"DeliveryCount",
               {{"XCLAIM", "stream", "g", "ann", "0", "1-1", "RETRYCOUNT", "7"}},
               "value db0 stream"},
        Change{"Function", {{"FUNCTION", "DELETE", "a"}}, "functions db0 "}),
    [](const auto& test) { return test.param.name; });

TEST(Compare, IgnoresOurOwnRecordsOnTheTargetOnly) {
  RedisServer source;
  RedisServer target;

  target.command({"SET", "keyferry:checkpoint", "1"});
  EXPECT_EQ(describe(compare(source, target)), "");

  source.command({"SET", "keyferry:users-own", "1"});
  EXPECT_EQ(describe(compare(source, target)), "missing db0 keyferry:users-own: string\n");
}

TEST(Compare, SeesStandaloneAndClusterAsTheSame) {
  RedisServer source;
  RedisCluster target;
  DatasetOptions options;
  options.cluster_safe = true;
  options.expiries = false;  // these are relative to the time of filling

  fill(source, options);
  fill(target, options);

  EXPECT_EQ(describe(compare(source, target)), "");
  EXPECT_EQ(key_count(source), key_count(target));
}

// The best check of generators, writer and comparison: the server's own replica must agree with it.
class OwnReplica : public testing::TestWithParam<std::string> {};

TEST_P(OwnReplica, AgreesAfterTheLiveWriter) {
  ServerOptions options;
  if (GetParam() != "installed") options.release = release(GetParam());
  if (!options.release.unreachable.empty())
    GTEST_SKIP() << GetParam() << " " << options.release.unreachable;
  RedisServer master(options);
  RedisServer replica(options);
  LiveOptions live;
  live.dataset.field_ttls = true;
  live.commands_per_s = 0;
  fill(master, live.dataset);
  replica.command({"REPLICAOF", "127.0.0.1", std::to_string(master.port())});

  LiveWriter writer(master, live);
  ASSERT_TRUE(wait_for(Millis{20000}, [&] { return replica.info("master_link_status") == "up"; }));
  ASSERT_TRUE(wait_for(Millis{20000}, [&] { return writer.commands() > 50000; }));
  writer.stop();
  EXPECT_EQ(testing::PrintToString(writer.errors()), "{}");
  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return replica.info("slave_repl_offset") == master.info("master_repl_offset");
  }));

  // Redis 6 tells replicas relative expiries, so theirs are late by the lag of that moment.
  CompareOptions late;
  late.expiry_tolerance_ms = 10000;
  EXPECT_EQ(describe(compare(master, replica, late)), "");
}

INSTANTIATE_TEST_SUITE_P(Compare, OwnReplica,
                         testing::Values("installed", "redis-6.0", "redis-8.0", "valkey-9.1"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

TEST(LiveWriter, WritesToAClusterWithoutErrors) {
  RedisCluster cluster;
  LiveOptions live;
  live.dataset.cluster_safe = true;
  live.commands_per_s = 0;
  fill(cluster, live.dataset);

  LiveWriter writer(cluster, live);
  EXPECT_TRUE(wait_for(Millis{20000}, [&] { return writer.commands() > 20000; }));
  writer.stop();

  EXPECT_EQ(testing::PrintToString(writer.errors()), "{}");
}

TEST(LiveWriter, KeepsItsRate) {
  RedisServer server;
  LiveOptions live;
  live.dataset.keys = 200;
  live.commands_per_s = 1000;
  fill(server, live.dataset);

  LiveWriter writer(server, live);
  std::this_thread::sleep_for(Millis{1000});
  writer.stop();

  EXPECT_GT(writer.commands(), 500U);
  EXPECT_LT(writer.commands(), 1500U);
}

}  // namespace
}  // namespace keyferry::test
