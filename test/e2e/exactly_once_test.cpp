// Exactly once on a standalone target: whatever breaks, the target ends equal to the source, with
// every relative command applied once. Each test provokes one failure of the house contract.
#include <csignal>

#include "e2e/start.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

LiveOptions busy(std::uint64_t seed) {
  LiveOptions live;
  live.dataset.keys = 1500;
  live.dataset.seed = seed;
  live.seed = seed + 1;
  live.commands_per_s = 3000;
  return live;
}

void increment(RedisServer& source, const std::string& key, int times) {
  RespClient client = source.client();
  for (int i = 0; i < times; ++i)
    client.must({"INCR", key});
}

TEST(ExactlyOnce, KillNineLosesAndRepeatsNothing) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  const LiveOptions live = busy(41);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  LiveWriter writer(source, live);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(Millis{300 + 130 * i});
    kill_and_start(link, source, target);
  }
  writer.stop();

  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << "it went on where it was";
}

TEST(ExactlyOnce, AfterALongAbsenceItGoesOnAndTellsHowLongItTook) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisServer target = source_server();
  LiveOptions live = busy(40);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  increment_counters(source, 500);
  ASSERT_TRUE(link.wait_synced(Millis{10000})) << link.output();
  const std::string caught_up = "caught up with the source: ms_since_start=";
  EXPECT_EQ(count_of(link.output(), caught_up), 1u) << link.output();

  link.process().kill9();
  LiveWriter writer(source, live);
  std::this_thread::sleep_for(Millis{6000});
  writer.stop();
  EXPECT_GT(writer.commands(), 10000u);
  increment_counters(source, 5000);
  const auto begin = std::chrono::steady_clock::now();
  start(link, source, target);
  ASSERT_TRUE(link.wait_status("phase", "steady", Millis{20000})) << link.output();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;

  const std::string output = link.output();
  ASSERT_EQ(count_of(output, caught_up), 2u) << output;
  const double told = std::stod(output.substr(output.rfind(caught_up) + caught_up.size()));
  EXPECT_GT(told, 0);
  EXPECT_LE(told, took.count());
  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST(ExactlyOnce, ABrokenTargetConnectionRepeatsNothing) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  FaultProxy proxy(target.host(), target.port());
  const LiveOptions live = busy(42);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, proxy);
  LiveWriter writer(source, live);
  for (int i = 0; i < 36; ++i) {
    std::this_thread::sleep_for(Millis{70});
    proxy.cut_after(i % 3 == 0 ? Direction::to_server : Direction::to_client,
                    static_cast<std::uint64_t>(1000 + 997 * i));
  }
  std::this_thread::sleep_for(Millis{300});
  writer.stop();

  expect_equal_after_drain(source, target, link);
  EXPECT_GT(proxy.cuts(), 9u);
}

// Replies are late, so that those of executed transactions are lost with each connection.
TEST(ExactlyOnce, LostRepliesRepeatNothing) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  FaultProxy proxy(target.host(), target.port());
  const LiveOptions live = busy(43);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), proxy.uri(), quick_lease);
  wait_streaming(link);
  LiveWriter writer(source, live);
  proxy.delay(Direction::to_client, Millis{50});
  for (int i = 0; i < 6; ++i) {
    std::this_thread::sleep_for(Millis{400});
    proxy.cut();
  }
  proxy.delay(Direction::to_client, Millis{0});
  writer.stop();

  expect_equal_after_drain(source, target, link);
}

TEST(ExactlyOnce, FlushesAndSwapsKeepTheRecord) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  RespClient client = source.client();
  for (const Args& flush : {Args{"FLUSHALL"}, Args{"FLUSHDB"}, Args{"SWAPDB", "0", "5"}}) {
    increment(source, "a", 50);
    client.must(flush);
    increment(source, "a", 30);
    const std::string a = client.must({"GET", "a"}).text;
    ASSERT_TRUE(wait_for(Millis{10000},
                         [&] {
                           return target.command({"GET", "a"}).text == a;
                         }))
        << flush[0] << "\n"
        << link.output();
    link.process().kill9();
    increment(source, "a", 10);
    start(link, source, target);
  }

  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST(ExactlyOnce, MemoryThatComesAndGoesRepeatsNothing) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  const LiveOptions live = busy(43);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  LiveWriter writer(source, live);
  for (int i = 0; i < 4; ++i) {
    target.command({"CONFIG", "SET", "maxmemory", "1"});
    std::this_thread::sleep_for(Millis{400});
    target.command({"CONFIG", "SET", "maxmemory", "0"});
    std::this_thread::sleep_for(Millis{300});
  }
  writer.stop();

  EXPECT_NE(link.status("counters.retried"), "0");
  expect_equal_after_drain(source, target, link);
}

// Full transactions, many of them under way, when memory is gone for the time of one command.
TEST(ExactlyOnce, MemoryThatFlickersInACatchUpRepeatsNothing) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  link.process().send_signal(SIGSTOP);
  std::vector<Args> commands;
  for (int i = 0; i < 500000; ++i)
    commands.push_back({"INCR", "n" + std::to_string(i % 100)});
  source.client().pipeline(commands);
  link.process().send_signal(SIGCONT);
  RespClient client = target.client();
  for (int i = 0; i < 60; ++i) {
    client.pipeline({{"CONFIG", "SET", "maxmemory", "1"}, {"PING"}});
    client.pipeline({{"CONFIG", "SET", "maxmemory", "0"}, {"PING"}});
    std::this_thread::sleep_for(Millis{3});
  }

  EXPECT_NE(link.status("counters.retried"), "0");
  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  EXPECT_EQ(link.status("counters.full_resyncs"), "0");
  expect_equal_after_drain(source, target, link);
}

// At the target the keys expire by its own clock while the link is stalled; at the source they were
// renewed in time.
enum class Outage { at_source, at_target };

void renew_during(Outage outage) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  FaultProxy to_source(source.host(), source.port());
  FaultProxy to_target(target.host(), target.port());
  RespClient client = source.client();
  const auto renew = [&](int i, const std::string& ttl_ms) {
    const std::string n = std::to_string(i);
    client.must({"PEXPIRE", "plain" + n, ttl_ms});
    client.must({"HINCRBY", "session" + n, "hits", "1"});
    client.must({"PEXPIRE", "session" + n, ttl_ms});
  };
  for (int i = 0; i < 50; ++i) {
    client.must({"SET", "plain" + std::to_string(i), "v"});
    client.must({"HSET", "session" + std::to_string(i), "user", "u", "hits", "0"});
    renew(i, "3000");
  }
  Keyferry link(KEYFERRY_BINARY);
  link.run(to_source.uri(), to_target.uri(), quick_lease);
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  FaultProxy& proxy = outage == Outage::at_source ? to_source : to_target;
  proxy.stall();
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(Millis{1000});
    for (int i = 0; i < 50; ++i)
      renew(i, round < 4 ? "3000" : "100000");
  }
  proxy.resume();

  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  EXPECT_NE(link.status("counters.healed_keys"), "0");
  expect_equal_after_drain(source, target, link);
}

TEST(ExactlyOnce, KeysRenewedDuringAnOutageAreHealed) {
  renew_during(Outage::at_source);
}

TEST(ExactlyOnce, KeysRenewedWhileTheTargetWasAwayAreHealed) {
  renew_during(Outage::at_target);
}

// A way of 300 ms is enough when the key had only 200 ms left.
TEST(ExactlyOnce, KeysRenewedAtTheLastMomentAreHealed) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  FaultProxy to_target(target.host(), target.port());
  RespClient client = source.client();
  const auto renew = [&client](const std::string& ttl_ms) {
    client.must({"HINCRBY", "session", "hits", "1"});
    client.must({"PEXPIRE", "session", ttl_ms});
  };
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, to_target);
  renew("2000");
  std::this_thread::sleep_for(Millis{1500});
  to_target.delay(Direction::to_server, Millis{300});
  std::this_thread::sleep_for(Millis{300});
  renew("2000");
  std::this_thread::sleep_for(Millis{400});
  client.must({"PEXPIRE", "session", "100000"});
  std::this_thread::sleep_for(Millis{1000});
  to_target.delay(Direction::to_server, Millis{0});

  expect_equal_after_drain(source, target, link);
}

TEST(ExactlyOnce, ATargetThatLostAcknowledgedWritesIsBroughtUpAgain) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  increment(source, "a", 100);
  ASSERT_TRUE(link.wait_synced(Millis{10000}));
  ASSERT_TRUE(wait_for(Millis{5000}, [&] { return target.command({"GET", "a"}).text == "100"; }));
  target.command({"SAVE"});
  increment(source, "a", 100);
  ASSERT_TRUE(wait_for(Millis{5000}, [&] { return target.command({"GET", "a"}).text == "200"; }));

  target.kill9();
  increment(source, "a", 100);
  target.restart();

  EXPECT_TRUE(wait_for(Millis{20000}, [&] {
    return target.command({"GET", "a"}).text == "300";
  })) << link.output();
  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST(ExactlyOnce, ATargetThatComesBackEmptyIsCopiedAgain) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  const LiveOptions live = busy(44);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  increment(source, "a", 100);
  ASSERT_TRUE(link.wait_synced(Millis{10000}));

  target.kill9();
  target.restart();

  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return target.command({"GET", "a"}).text == "100";
  })) << link.output();
  wait_streaming(link);
  expect_equal_after_drain(source, target, link);
}

TEST(ExactlyOnce, ASecondInstanceIsRefusedAndAStandbyTakesOver) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry first(KEYFERRY_BINARY);
  Keyferry second(KEYFERRY_BINARY);
  const std::chrono::seconds lease(2);
  const std::vector<std::string> two_seconds = {"--set", "delivery.lease_s=2"};
  start(first, source, target, two_seconds);
  second.run(source.uri(), target.uri(), two_seconds);
  ASSERT_EQ(second.wait_exit(Millis{10000}).value_or(-1), 2) << second.output();
  EXPECT_NE(second.output().find("another instance runs this link"), std::string::npos);

  second.run(source.uri(), target.uri(), {"--set", "delivery.lease_s=2", "--standby"});
  increment(source, "a", 100);
  first.process().kill9();
  const auto died = std::chrono::steady_clock::now();
  increment(source, "a", 100);

  wait_streaming(second);
  const auto took = std::chrono::steady_clock::now() - died;
  EXPECT_LE(took, 2 * lease) << second.output();
  expect_equal_after_drain(source, target, second);
}

// What a predecessor wrote into a hop that buffers must not arrive behind what its successor wrote.
TEST(ExactlyOnce, BytesOfADeadInstanceThatArriveLateDoNothing) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  FaultProxy proxy(target.host(), target.port());
  Keyferry first(KEYFERRY_BINARY);
  start(first, source, proxy);
  increment(source, "a", 10);
  ASSERT_TRUE(first.wait_synced(Millis{10000}));

  proxy.stall();
  increment(source, "a", 500);
  std::this_thread::sleep_for(Millis{300});
  first.process().send_signal(SIGSTOP);
  Keyferry second(KEYFERRY_BINARY);
  second.run(source.uri(), target.uri(), quick_lease);
  wait_streaming(second, Millis{15000});
  increment(source, "a", 5);
  ASSERT_TRUE(second.wait_synced(Millis{10000}));
  proxy.resume();
  first.process().send_signal(SIGCONT);

  EXPECT_EQ(first.wait_exit(Millis{10000}).value_or(-1), 2) << first.output();
  EXPECT_EQ(target.command({"GET", "a"}).text, "515");
  expect_equal_after_drain(source, target, second);
}

TEST(ExactlyOnce, AKillInsideTheSnapshotStartsItAgain) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  const LiveOptions live = busy(45);
  LiveOptions large = live;
  large.dataset.keys = 30000;
  fill(source, large.dataset);
  FaultProxy proxy(source.host(), source.port());
  proxy.throttle(Direction::to_client, 1024 * 1024);
  Keyferry link(KEYFERRY_BINARY);
  link.run(proxy.uri(), target.uri(), quick_lease);
  ASSERT_TRUE(link.wait_until(
      [](const std::string& json) {
        return std::atoi(json_field(json, "snapshot.keys_done").c_str()) > 1000;
      },
      Millis{20000}))
      << link.output();
  link.process().kill9();
  source.command({"FLUSHALL"});
  increment(source, "a", 10);
  proxy.throttle(Direction::to_client, 0);

  start(link, proxy, target);

  expect_equal_after_drain(source, target, link);
}

TEST(ExactlyOnce, ASourceThatFailedOverGoesOnFromItsReplica) {
  RedisServer source = source_server();
  RedisServer replica =
      source_server({"--replicaof", source.host() + " " + std::to_string(source.port())});
  RedisServer target = source_server();
  FaultProxy proxy(source.host(), source.port());
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return replica.info("master_link_status") == "up"; }));
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, with({"--set", "delivery.link=moving"}));
  increment(source, "a", 100);
  ASSERT_TRUE(link.wait_synced(Millis{10000}));
  ASSERT_TRUE(wait_for(Millis{5000}, [&] { return replica.command({"GET", "a"}).text == "100"; }));
  link.process().kill9();
  replica.command({"REPLICAOF", "NO", "ONE"});
  increment(replica, "a", 11);

  start(link, replica, target, with({"--set", "delivery.link=moving"}));

  drain(link);
  EXPECT_EQ(describe(compare(replica, target)), "") << link.output();
  EXPECT_EQ(replica.info("sync_full"), "0");
}

}  // namespace
}  // namespace keyferry::test
