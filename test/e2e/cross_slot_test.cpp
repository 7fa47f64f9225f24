// Commands that a cluster cannot carry out, from a standalone source: nothing is refused, and the
// target ends equal, whatever breaks meanwhile.
#include "e2e/cross_slot.hpp"

#include "e2e/rules_link.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

std::uint64_t count_of(const Keyferry& link, const std::string& command) {
  const std::string body = link.http_get("/metrics").body;
  const std::string label = "command=\"" + command + "\"} ";
  const std::size_t at = body.find(label);
  return at == std::string::npos ? 0 : std::strtoull(body.c_str() + at + label.size(), nullptr, 10);
}

TEST(CrossSlot, FiftyThousandRandomCommandsEndEqual) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target;
  CrossSlotCommands commands(1);
  send(source, commands, 2000);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);

  send(source, commands, 50000);

  std::this_thread::sleep_for(Millis{1500});  // "synced" must be of a reading behind all of it
  ASSERT_TRUE(link.wait_synced(Millis{60000})) << link.output();
  for (const char* name :
       {"RENAME", "RENAMENX", "COPY", "LMOVE", "RPOPLPUSH", "SMOVE", "SINTERSTORE", "SUNIONSTORE",
        "SDIFFSTORE", "ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE", "ZRANGESTORE", "BITOP", "PFMERGE",
        "GEOSEARCHSTORE", "GEORADIUS", "SORT"})
    EXPECT_GT(count_of(link, name), 0u) << name;
  EXPECT_EQ(link.status("counters.skipped"), "0");
  EXPECT_EQ(link.status("counters.failed"), "0");
  expect_equal_after_drain(source, target, link);
}

TEST(CrossSlot, DatabasesPutIntoOneEndEqual) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisServer expected = source_server();
  RedisCluster target;
  CrossSlotCommands commands(7, 8, 3);
  send(source, commands, 1000);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target,
        with_settings({"databases.map={1: 0, 2: 0}", "databases.prefix={1: 'b:', 2: 'c:'}"}));
  send(source, commands, 20000);
  drain(link);

  const Rule rule = [](Place own, const std::string&) {
    const char* const prefixes[] = {"", "b:", "c:"};
    own.key = prefixes[own.db] + own.key;
    own.db = 0;
    return std::optional(own);
  };
  EXPECT_GT(project(source, expected, rule), 0u);
  EXPECT_EQ(describe(compare(expected, target)), "") << link.output();
}

// Payloads of Redis 8.0, whose small sets 7.0 does not restore: they come as commands.
TEST(CrossSlot, CopiesTakeAFormThatAnOlderTargetReads) {
  ServerOptions options;
  options.release = release("redis-8.0");
  if (!options.release.unreachable.empty()) GTEST_SKIP() << options.release.unreachable;
  RedisServer source(options);
  RedisCluster target;
  CrossSlotCommands commands(8);
  send(source, commands, 1000);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  RespClient client = source.client();
  // Many of a kind at once: copies of several commands each, in transactions of their slots.
  for (int i = 0; i < 200; ++i) {
    client.must({"SADD", "few:" + std::to_string(i), "a", "b", std::to_string(i)});
    client.must({"RENAME", "few:" + std::to_string(i), "renamed:" + std::to_string(i)});
    client.must({"SADD", "renamed:" + std::to_string(i), "later"});
  }
  send(source, commands, 10000);

  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

// Sources that replicate scripts as they were called.
TEST(CrossSlot, KeysOfScriptsAreHealed) {
  ServerOptions options;
  options.release = release("redis-6.0");
  options.args = {"--lua-replicate-commands", "no"};
  if (!options.release.unreachable.empty()) GTEST_SKIP() << options.release.unreachable;
  RedisServer source(options);
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  RespClient client = source.client();
  for (int i = 0; i < 100; ++i) {
    const std::string n = std::to_string(i);
    client.must({"EVAL", "redis.call('INCR', KEYS[1]) redis.call('RPUSH', KEYS[2], ARGV[1])", "2",
                 "counter:" + n, "log:" + n, n});
    client.must({"INCR", "counter:" + n});
  }

  EXPECT_TRUE(wait_for(Millis{10000}, [&] { return count_of(link, "EVAL") == 100; }));
  expect_equal_after_drain(source, target, link);
}

TEST(CrossSlot, KillNineInBetweenEndsEqual) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  CrossSlotWriter writer(source, 2, Millis{20});
  for (int i = 0; i < 6; ++i) {
    std::this_thread::sleep_for(Millis{300 + 170 * i});
    kill_and_start(link, source, target);
  }
  writer.stop();

  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST(CrossSlot, SlotsOnTheMoveEndEqual) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  CrossSlotWriter writer(source, 3, Millis{20});
  for (int i = 0; i < 8; ++i) {
    for (const char* kind : {"str:", "list:"}) {
      const int slot = key_slot(kind + std::to_string(i));
      target.move_slot(slot, (target.owner(slot) + 1) % 3);
    }
    if (i % 4 != 3) continue;
    kill_and_start(link, source, target);
  }
  writer.stop();

  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST(CrossSlot, BrokenConnectionsEndEqual) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target;
  FaultProxy proxy(source.host(), source.port());
  Keyferry link(KEYFERRY_BINARY);
  start(link, proxy, target);
  CrossSlotWriter writer(source, 4, Millis{20});
  for (int i = 0; i < 12; ++i) {
    std::this_thread::sleep_for(Millis{150});
    if (i % 3 == 0) {
      proxy.cut();
    } else {
      target.node(static_cast<std::size_t>(i) % 3).command({"CLIENT", "KILL", "TYPE", "normal"});
    }
  }
  writer.stop();

  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

// Some key is suspect at every moment; a start must not have to go back to the first of them.
TEST(CrossSlot, RecordsFollowAStreamThatNeverRests) {
  RedisServer source = source_server({"--repl-backlog-size", "16mb"});
  RedisCluster target;
  const std::vector<std::string> unkept = with({"--set", "spool.enabled=false"});
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, unkept);
  CrossSlotWriter writer(source, 5, Millis{2});
  RespClient client = source.client();
  const std::string value(10000, 'v');
  for (int i = 0; i < 4000; ++i) {
    client.must({"SET", "big" + std::to_string(i % 100), value});
    if (i % 10 == 0) std::this_thread::sleep_for(Millis{10});
  }
  kill_and_start(link, source, target, unkept);
  writer.stop();

  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST(CrossSlot, FiftyThousandRenamesInOneGoAreHealedInTime) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target;
  RespClient client = source.client();
  constexpr int count = 50000;
  for (int i = 0; i < count; ++i)
    client.append({"SET", "old:" + std::to_string(i), std::to_string(i)});
  client.flush();
  for (int i = 0; i < count; ++i)
    client.read();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  for (int i = 0; i < count; ++i)
    client.append({"RENAME", "old:" + std::to_string(i), "new:" + std::to_string(i)});
  client.flush();
  for (int i = 0; i < count; ++i)
    client.read();

  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return count_of(link, "RENAME") == count; }));
  ASSERT_TRUE(link.wait_status("counters.suspect_keys", "0", Millis{30000})) << link.output();
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(took, std::chrono::seconds(15));
  RecordProperty("healed_ms", std::to_string(took / std::chrono::milliseconds(1)));
  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST(CrossSlot, LargeValuesAreHealedAFewAtATime) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target;
  RespClient client = source.client();
  for (int i = 0; i < 20; ++i)
    client.must({"SET", "large:" + std::to_string(i), std::string(2'000'000, 'x')});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  for (int i = 0; i < 20; ++i)
    client.must({"RENAME", "large:" + std::to_string(i), "renamed:" + std::to_string(i)});
  for (int i = 0; i < 200; ++i)
    client.must(
        {"COPY", "renamed:" + std::to_string(i % 20), "copy:" + std::to_string(i % 3), "REPLACE"});

  expect_equal_after_drain(source, target, link);
}

TEST(CrossSlot, StoppedUnderWritesItEndsInTimeAndGoesOn) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  CrossSlotWriter writer(source, 6, Millis{5});
  std::this_thread::sleep_for(Millis{1000});
  link.process().send_signal(SIGTERM);

  EXPECT_EQ(link.wait_exit(Millis{8000}).value_or(-1), 0) << link.output();
  start(link, source, target);
  writer.stop();
  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

// What comes while a copy is made waits for it.
TEST(CrossSlot, StoppedWhileACopyIsMadeItAppliesWhatWasReceived) {
  RedisServer source = source_server({"--rdbcompression", "no"});
  RedisCluster target;
  FaultProxy proxy(source.host(), source.port());
  source.command({"SET", "large", std::string(8'000'000, 'x')});
  Keyferry link(KEYFERRY_BINARY);
  start(link, proxy, target);
  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();

  proxy.throttle(Direction::to_client, 1'500'000);
  source.command({"COPY", "large", "copy"});
  std::this_thread::sleep_for(Millis{1500});
  source.command({"SET", "last", "1"});
  std::this_thread::sleep_for(Millis{500});
  EXPECT_EQ(link.status("counters.suspect_keys"), "1");
  link.process().send_signal(SIGTERM);

  EXPECT_EQ(link.wait_exit(Millis{10000}), 0) << link.output();
  EXPECT_EQ(target.node(target.owner(key_slot("last"))).command({"EXISTS", "last"}).integer, 1)
      << link.output();
  proxy.throttle(Direction::to_client, 0);
  start(link, proxy, target);
  expect_equal_after_drain(source, target, link);
}

// No records: a start copies everything anew, so nothing has to be remembered.
TEST(CrossSlot, AreHealedAtLeastOnceAsWell) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target;
  CrossSlotCommands commands(9);
  send(source, commands, 2000);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, {"--set", "delivery.mode=at_least_once"});

  send(source, commands, 50000);

  std::this_thread::sleep_for(Millis{1500});  // "synced" must be of a reading behind all of it
  ASSERT_TRUE(link.wait_synced(Millis{60000})) << link.output();
  EXPECT_GT(count_of(link, "RENAME"), 0u);
  EXPECT_GT(count_of(link, "SMOVE"), 0u);
  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

// Copies that need several commands there, and slots that go elsewhere meanwhile.
TEST(CrossSlot, AreHealedAtLeastOnceWhileSlotsMove) {
  ServerOptions options;
  options.release = release("redis-8.0");
  if (!options.release.unreachable.empty()) GTEST_SKIP() << options.release.unreachable;
  RedisServer source(options);
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, {"--set", "delivery.mode=at_least_once"});
  CrossSlotWriter writer(source, 10, Millis{20});
  for (int i = 0; i < 8; ++i) {
    for (const char* kind : {"set:", "list:"}) {
      const int slot = key_slot(kind + std::to_string(i));
      target.move_slot(slot, (target.owner(slot) + 1) % 3);
    }
  }
  writer.stop();

  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

// In one slot, so the target carries it out; but on the former value, or on none.
TEST(CrossSlot, WhatReadsASuspectKeyIsHealedAtLeastOnceAsWell) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, {"--set", "delivery.mode=at_least_once"});
  RespClient client = source.client();
  for (int i = 0; i < 300; ++i) {
    const std::string n = std::to_string(i);
    client.must({"SET", "from:" + n, n});
    client.must({"RENAME", "from:" + n, "{t}suspect"});
    client.must({"COPY", "{t}suspect", "{t}copy:" + n});
    client.must({"MULTI"});
    client.must({"INCR", "{t}count"});
    client.must({"COPY", "{t}suspect", "{t}inside:" + n});
    client.must({"EXEC"});
    client.must({"RENAME", "{t}suspect", "{t}renamed:" + n});
  }

  ASSERT_TRUE(wait_for(Millis{20000}, [&] { return count_of(link, "RENAME") == 300; }));
  expect_equal_after_drain(source, target, link);
}

// A transaction is known by the target's names only.
TEST(CrossSlot, AtLeastOnceUnderOtherNamesItIsRefusedByName) {
  RedisServer source = source_server();
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  const std::string file = link.directory().file("dead.resp");
  start(link, source, target,
        with_settings({"delivery.mode=at_least_once", "errors.policy=skip",
                       "errors.dead_letter_file=" + file, "databases.map={1: 0}"}));
  RespClient client = source.client();
  client.must({"SET", "from", "1"});
  client.must({"RENAME", "from", "to"});
  client.must({"SET", "after", "1"});
  ASSERT_TRUE(link.wait_status("counters.skipped", "1", Millis{10000})) << link.output();

  EXPECT_EQ(count_of(link, "RENAME"), 1u);
  EXPECT_NE(link.output().find("RENAME \"from\""), std::string::npos) << link.output();
  EXPECT_NE(read_file(file).find("RENAME"), std::string::npos);
}

}  // namespace
}  // namespace keyferry::test
