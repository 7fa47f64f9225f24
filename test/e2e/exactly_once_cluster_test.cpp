// Exactly once on a cluster target: whatever breaks, the target ends equal to the source, with
// every relative command applied once. Each test provokes one failure of the house contract.
#include <csignal>

#include "e2e/start.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

RedisServer roomy_source() {
  return source_server({"--repl-backlog-size", "64mb"});
}

LiveOptions busy(std::uint64_t seed) {
  LiveOptions live;
  live.dataset.keys = 1500;
  live.dataset.seed = seed;
  live.dataset.cluster_safe = true;
  live.seed = seed + 1;
  live.commands_per_s = 3000;
  return live;
}

void increment(RedisServer& source, const std::string& key, int times) {
  RespClient client = source.client();
  for (int i = 0; i < times; ++i)
    client.append({"INCR", key});
  client.flush();
  for (int i = 0; i < times; ++i)
    client.read();
}

void increment_all(RedisServer& source, int keys, int times) {
  for (int i = 0; i < keys; ++i)
    increment(source, "n:" + std::to_string(i), times);
}

void wait_equal(RedisServer& source, RedisCluster& target) {
  EXPECT_TRUE(wait_for(Millis{15000}, [&] { return describe(compare(source, target)).empty(); }));
}

std::string value_at(RedisCluster& target, const std::string& key) {
  try {
    return Keyspace(target).command({"GET", key}).text;
  } catch (const std::exception& failure) {
    return failure.what();
  }
}

// Every node behind a proxy of its own, which is the address the cluster names.
struct ProxiedCluster {
  RedisCluster cluster;
  std::vector<std::unique_ptr<FaultProxy>> proxies;

  ProxiedCluster() {
    for (std::size_t i = 0; i < cluster.size(); ++i) {
      RedisServer& node = cluster.node(i);
      proxies.push_back(std::make_unique<FaultProxy>(node.host(), node.port()));
      node.command(
          {"CONFIG", "SET", "cluster-announce-port", std::to_string(proxies.back()->port())});
    }
    EXPECT_TRUE(everyone_names([this](std::size_t i) { return proxies[i]->port(); }));
  }
  std::string uri() const { return proxies.front()->uri(); }
  // From here on the cluster names the nodes themselves: the proxies are not on the way any more.
  void go_around() {
    for (std::size_t i = 0; i < cluster.size(); ++i)
      cluster.node(i).command({"CONFIG", "SET", "cluster-announce-port", "0"});
    EXPECT_TRUE(everyone_names([this](std::size_t i) { return cluster.node(i).port(); }));
  }

 private:
  template <class PortOf>
  bool everyone_names(PortOf port_of) {
    return wait_for(Millis{10000}, [&] {
      for (std::size_t i = 0; i < cluster.size(); ++i) {
        const std::string nodes = cluster.node(i).command({"CLUSTER", "NODES"}).text;
        for (std::size_t other = 0; other < cluster.size(); ++other) {
          if (nodes.find(":" + std::to_string(port_of(other)) + "@") == std::string::npos)
            return false;
        }
      }
      return true;
    });
  }
};

ClusterOptions with_replicas() {
  ClusterOptions options;
  options.replicas = 3;
  options.server.args = {"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay",
                         "0"};
  return options;
}

// INCRs over `keys` keys until stopped: every one that is repeated or lost shows.
class IncrWriter {
 public:
  IncrWriter(const RedisServer& source, int keys, const std::string& tag = "") {
    thread_ = std::thread([this, client = source.client(), keys, tag]() mutable {
      for (int i = 0; !stopping_; i += 50) {
        for (int k = 0; k < 50; ++k)
          client.append({"INCR", tag + "n:" + std::to_string((i * 7 + k * 31) % keys)});
        client.flush();
        for (int k = 0; k < 50; ++k)
          client.read();
        std::this_thread::sleep_for(Millis{3});
      }
    });
  }
  ~IncrWriter() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

TEST(ExactlyOnceCluster, KillNineLosesAndRepeatsNothing) {
  RedisServer source = roomy_source();
  RedisCluster target;
  const LiveOptions live = busy(61);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  LiveWriter writer(source, live);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(Millis{300 + 230 * i});
    kill_and_start(link, source, target);
  }
  writer.stop();

  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << "it went on where it was";
}

TEST(ExactlyOnceCluster, BrokenTargetConnectionsRepeatNothing) {
  RedisServer source = roomy_source();
  RedisCluster target;
  const LiveOptions live = busy(62);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  LiveWriter writer(source, live);
  IncrWriter incr(source, 500);
  for (int i = 0; i < 12; ++i) {
    std::this_thread::sleep_for(Millis{150});
    target.node(static_cast<std::size_t>(i) % 3).command({"CLIENT", "KILL", "TYPE", "normal"});
  }
  incr.stop();
  writer.stop();

  EXPECT_NE(link.status("counters.reconnects"), "0");
  expect_equal_after_drain(source, target, link);
}

TEST(ExactlyOnceCluster, SlotsMovedUnderIncrementsRepeatNothing) {
  RedisServer source = roomy_source();
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  IncrWriter writer(source, 300);
  std::this_thread::sleep_for(Millis{200});
  for (int key = 0; key < 18; ++key) {
    const int slot = key_slot("n:" + std::to_string(key));
    target.move_slot(slot, (target.owner(slot) + 1) % 3);
    if (key % 9 != 8) continue;
    kill_and_start(link, source, target);
  }
  writer.stop();

  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST(ExactlyOnceCluster, ConnectionsCutAtAnyByteRepeatNothing) {
  RedisServer source = roomy_source();
  ProxiedCluster target;
  const LiveOptions live = busy(63);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  LiveWriter writer(source, live);
  IncrWriter incr(source, 500);
  std::uint64_t cuts = 0;
  for (int i = 0; i < 24; ++i) {
    std::this_thread::sleep_for(Millis{80});
    target.proxies[static_cast<std::size_t>(i) % 3]->cut_after(
        i % 2 == 0 ? Direction::to_server : Direction::to_client,
        static_cast<std::uint64_t>(1000 + 3331 * i));
  }
  std::this_thread::sleep_for(Millis{300});
  incr.stop();
  writer.stop();
  for (const auto& proxy : target.proxies) {
    cuts += proxy->cuts();
    for (const Direction direction : {Direction::to_server, Direction::to_client})
      proxy->cut_after(direction, std::uint64_t{1} << 40);
  }

  EXPECT_GT(cuts, 12u);
  expect_equal_after_drain(source, target.cluster, link);
}

// Replies are late, so that those of executed commands are lost with each connection.
TEST(ExactlyOnceCluster, LostRepliesRepeatNothing) {
  RedisServer source = roomy_source();
  ProxiedCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  IncrWriter incr(source, 500);
  for (const auto& proxy : target.proxies)
    proxy->delay(Direction::to_client, Millis{50});
  for (std::size_t i = 0; i < 9; ++i) {
    std::this_thread::sleep_for(Millis{400});
    target.proxies[i % 3]->cut();
  }
  for (const auto& proxy : target.proxies)
    proxy->delay(Direction::to_client, Millis{0});
  incr.stop();

  EXPECT_NE(link.status("counters.reconnects"), "0");
  expect_equal_after_drain(source, target.cluster, link);
}

TEST(ExactlyOnceCluster, FlushesKeepTheRecords) {
  RedisServer source = roomy_source();
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  for (const char* flush : {"FLUSHALL", "FLUSHDB", "FLUSHALL"}) {
    for (const char* key : {"a", "b", "c", "d"})
      increment(source, key, 50);
    source.command({flush});
    for (const char* key : {"a", "b", "c", "d"})
      increment(source, key, 30);
    ASSERT_TRUE(wait_for(Millis{10000}, [&] { return value_at(target, "d") == "30"; }))
        << flush << "\n"
        << link.output();
    link.process().kill9();
    for (const char* key : {"a", "b", "c", "d"})
      increment(source, key, 10);
    start(link, source, target);
  }

  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST(ExactlyOnceCluster, ASecondInstanceIsRefusedAndAStandbyTakesOver) {
  RedisServer source = roomy_source();
  RedisCluster target;
  Keyferry first(KEYFERRY_BINARY);
  Keyferry second(KEYFERRY_BINARY);
  start(first, source, target);
  second.run(source.uri(), target.uri(), quick_lease);
  ASSERT_EQ(second.wait_exit(Millis{10000}).value_or(-1), 2) << second.output();
  EXPECT_NE(second.output().find("another instance runs this link"), std::string::npos);

  second.run(source.uri(), target.uri(), with({"--standby"}));
  increment(source, "a", 100);
  first.process().kill9();
  increment(source, "a", 100);

  wait_streaming(second);
  expect_equal_after_drain(source, target, second);
}

// Stopped in mid-stream and woken up when another instance has the lease: it must not write any
// more.
TEST(ExactlyOnceCluster, AnInstanceThatSleptThroughATakeoverWritesNothing) {
  RedisServer source = roomy_source();
  RedisCluster target;
  Keyferry first(KEYFERRY_BINARY);
  Keyferry second(KEYFERRY_BINARY);
  start(first, source, target);
  IncrWriter writer(source, 200);
  std::this_thread::sleep_for(Millis{300});
  first.process().send_signal(SIGSTOP);
  second.run(source.uri(), target.uri(), quick_lease);
  wait_streaming(second, Millis{15000});
  std::this_thread::sleep_for(Millis{300});

  first.process().send_signal(SIGCONT);

  EXPECT_EQ(first.wait_exit(Millis{10000}).value_or(-1), 2) << first.output();
  writer.stop();
  expect_equal_after_drain(source, target, second);
}

// What a predecessor wrote into a hop that buffers must not arrive behind what its successor wrote.
TEST(ExactlyOnceCluster, BytesOfADeadInstanceThatArriveLateDoNothing) {
  RedisServer source = roomy_source();
  ProxiedCluster target;
  Keyferry first(KEYFERRY_BINARY);
  start(first, source, target);
  increment_all(source, 60, 2);
  wait_equal(source, target.cluster);
  for (const auto& proxy : target.proxies)
    proxy->stall();
  increment_all(source, 60, 50);
  std::this_thread::sleep_for(Millis{300});
  first.process().send_signal(SIGSTOP);
  target.go_around();
  Keyferry second(KEYFERRY_BINARY);
  second.run(source.uri(), target.cluster.uri(), quick_lease);
  wait_streaming(second, Millis{15000});
  increment_all(source, 60, 5);
  wait_equal(source, target.cluster);
  for (const auto& proxy : target.proxies)
    proxy->resume();
  first.process().send_signal(SIGCONT);

  EXPECT_EQ(first.wait_exit(Millis{10000}).value_or(-1), 2) << first.output();
  expect_equal_after_drain(source, target.cluster, second);
}

// A command for all nodes waits for the one that died, and the stream begins anew under it.
TEST(ExactlyOnceCluster, AFlushThatMeetsADeadMasterIsCarriedOutOnce) {
  RedisServer source = roomy_source();
  RedisCluster target(with_replicas());
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  increment_all(source, 60, 20);
  wait_equal(source, target);
  // A new replica lags for a second.
  EXPECT_TRUE(wait_for(Millis{10000}, [&] { return target.node(4).command({"DBSIZE"}).integer; }));
  target.node(1).kill9();
  RespClient client = source.client();
  client.append({"FLUSHDB"});
  for (int i = 0; i < 200; ++i)
    client.append({"INCR", "n:" + std::to_string(i % 50)});
  client.flush();
  for (int i = 0; i < 201; ++i)
    client.read();

  target.wait_ok();
  expect_equal_after_drain(source, target, link);
  EXPECT_NE(link.output().find("a replica was promoted"), std::string::npos) << link.output();
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

// A master is back with an older state while a flush waits for another one: the stream begins anew,
// and the flush comes again behind what is before it.
TEST(ExactlyOnceCluster, AFlushThatWaitsWhenTheStreamBeginsAnewComesInItsTurn) {
  RedisServer source = roomy_source();
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), quick_lease);
  wait_streaming(link);
  const std::vector<std::string> keys = {"b", "c", "a"};  // of the first, second and third master
  for (const std::string& key : keys)
    increment(source, key, 5);
  wait_equal(source, target);
  target.node(0).command({"SAVE"});
  target.node(1).sigstop();
  for (const std::string& key : keys)
    increment(source, key, 5);
  source.command({"FLUSHDB"});
  increment(source, "a", 3);
  ASSERT_TRUE(wait_for(Millis{5000}, [&] {
    return target.node(0).command({"GET", "b"}).text == "10";
  }));

  target.node(0).kill9();
  target.node(0).restart();
  const auto begins_anew = [&] {
    return link.output().find("is not what it was") != std::string::npos;
  };
  ASSERT_TRUE(wait_for(Millis{15000}, begins_anew)) << link.output();
  std::this_thread::sleep_for(Millis{500});
  const std::string done = target.node(2).command({"INFO", "commandstats"}).text;
  target.node(1).sigcont();

  EXPECT_EQ(done.find("cmdstat_flushdb"), std::string::npos) << done;
  expect_equal_after_drain(source, target, link);
}

// The replica that is promoted has not seen what its master acknowledged last.
TEST(ExactlyOnceCluster, APromotedReplicaThatLacksWritesIsBroughtUp) {
  RedisServer source = roomy_source();
  RedisCluster target(with_replicas());
  const LiveOptions live = busy(64);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  LiveWriter writer(source, live);
  IncrWriter incr(source, 500);
  std::this_thread::sleep_for(Millis{1500});
  target.node(4).sigstop();
  std::this_thread::sleep_for(Millis{1200});
  target.node(1).kill9();
  target.node(4).sigcont();

  target.wait_ok();
  std::this_thread::sleep_for(Millis{1000});
  incr.stop();
  writer.stop();

  expect_equal_after_drain(source, target, link);
  EXPECT_NE(link.output().find("a replica was promoted"), std::string::npos) << link.output();
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST(ExactlyOnceCluster, AMasterLostInsideTheSnapshotIsCopiedAgain) {
  RedisServer source = roomy_source();
  RedisCluster target(with_replicas());
  LiveOptions large = busy(65);
  large.dataset.keys = 20000;
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
  target.node(4).sigstop();
  std::this_thread::sleep_for(Millis{300});
  target.node(1).kill9();
  target.node(4).sigcont();
  std::this_thread::sleep_for(Millis{1000});
  proxy.throttle(Direction::to_client, 0);

  target.wait_ok();
  wait_streaming(link, Millis{60000});
  expect_equal_after_drain(source, target, link);
}

TEST(ExactlyOnceCluster, MemoryThatComesAndGoesRepeatsNothing) {
  RedisServer source = roomy_source();
  RedisCluster target;
  const LiveOptions live = busy(66);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  LiveWriter writer(source, live);
  for (int i = 0; i < 4; ++i) {
    RedisServer& node = target.node(static_cast<std::size_t>(i) % 3);
    node.command({"CONFIG", "SET", "maxmemory", "1"});
    std::this_thread::sleep_for(Millis{400});
    node.command({"CONFIG", "SET", "maxmemory", "0"});
    std::this_thread::sleep_for(Millis{200});
  }
  writer.stop();

  EXPECT_NE(link.status("counters.retried"), "0");
  expect_equal_after_drain(source, target, link);
}

TEST(ExactlyOnceCluster, OnlyAHalfMigratedSlotWaits) {
  RedisServer source = roomy_source();
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  IncrWriter writer(source, 100, "{tag}");
  IncrWriter elsewhere(source, 100);
  std::this_thread::sleep_for(Millis{300});
  const int slot = key_slot("{tag}");
  const std::size_t to = (target.owner(slot) + 1) % 3;

  target.begin_move(slot, to);
  target.migrate_keys(slot, to, 90);  // the slot's record is likely among them
  std::this_thread::sleep_for(Millis{700});
  kill_and_start(link, source, target);
  elsewhere.stop();
  const std::string there = source.command({"GET", "n:7"}).text;
  EXPECT_TRUE(wait_for(Millis{5000}, [&] { return value_at(target, "n:7") == there; }))
      << link.output();
  while (target.migrate_keys(slot, to, 20) > 0)
    std::this_thread::sleep_for(Millis{5});
  target.finish_move(slot, to);
  writer.stop();

  expect_equal_after_drain(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST(ExactlyOnceCluster, KeysRenewedDuringAnOutageAreHealed) {
  RedisServer source = roomy_source();
  RedisCluster target;
  FaultProxy proxy(source.host(), source.port());
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
  link.run(proxy.uri(), target.uri(), quick_lease);
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  proxy.stall();
  for (int round = 0; round < 4; ++round) {
    std::this_thread::sleep_for(Millis{1000});
    for (int i = 0; i < 50; ++i)
      renew(i, round < 3 ? "3000" : "100000");
  }
  proxy.resume();

  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  EXPECT_NE(link.status("counters.healed_keys"), "0");
  expect_equal_after_drain(source, target, link);
}

TEST(ExactlyOnceCluster, ASourceThatForkedBelowWhatIsHereIsCopiedAgain) {
  RedisServer source = roomy_source();
  RedisServer replica =
      source_server({"--replicaof", source.host() + " " + std::to_string(source.port())});
  RedisCluster target;
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return replica.info("master_link_status") == "up"; }));
  Keyferry link(KEYFERRY_BINARY);
  const auto more =
      with({"--set", "delivery.link=moving", "--set", "delivery.checkpoint_interval_ms=60000"});
  start(link, source, target, more);
  increment(source, "a", 100);
  ASSERT_TRUE(wait_for(Millis{5000}, [&] { return replica.command({"GET", "a"}).text == "100"; }));
  replica.sigstop();
  increment(source, "a", 50);
  ASSERT_TRUE(wait_for(Millis{5000}, [&] { return value_at(target, "a") == "150"; }));
  link.process().kill9();
  source.kill9();
  replica.sigcont();
  replica.command({"REPLICAOF", "NO", "ONE"});
  increment(replica, "a", 11);
  increment(replica, "b", 100);

  start(link, replica, target, more);

  drain(link);
  EXPECT_EQ(describe(compare(replica, target)), "") << link.output();
}

}  // namespace
}  // namespace keyferry::test
