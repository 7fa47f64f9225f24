// A Sentinel that watches the source must never list, convert or promote anything of ours.
#include "e2e/start.hpp"

namespace keyferry::test {
namespace {

TEST(Sentinel, NeverConvertsAnythingOnOurAccount) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  RedisServer bystander = source_server();
  bystander.command({"SET", "precious", "data"});
  target.command({"SET", "unrelated", "1"});
  Sentinel sentinel(source, "m");
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);

  // Sentinel reads INFO of a master every 10 s and greets what it finds there.
  std::this_thread::sleep_for(Millis{12000});
  source.kill9();
  std::this_thread::sleep_for(Millis{6000});

  const Reply master = sentinel.client().command({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m"});
  ASSERT_EQ(master.items.size(), 2u) << master.printable();
  EXPECT_EQ(master.items[1].text, std::to_string(source.port())) << sentinel.log();
  EXPECT_EQ(target.info("role"), "master");
  EXPECT_EQ(bystander.info("role"), "master");
  EXPECT_EQ(target.command({"GET", "unrelated"}).text, "1");
  // Sentinels talk through PUBLISH __sentinel__:hello on the servers they watch: not on the
  // target's.
  EXPECT_EQ(sentinel.log().find("convert"), std::string::npos) << sentinel.log();
}

// A master with a replica, and a Sentinel that watches both.
struct Group {
  std::vector<RedisServer> servers;
  std::unique_ptr<Sentinel> sentinel;

  Group() {
    for (int i = 0; i < 2; ++i) {
      servers.push_back(
          source_server({"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}));
    }
    servers[1].command({"REPLICAOF", servers[0].host(), std::to_string(servers[0].port())});
    EXPECT_TRUE(wait_for(Millis{20000}, [this] {
      return servers[0].info("slave0").find("state=online") != std::string::npos;
    }));
    sentinel = std::make_unique<Sentinel>(servers[0], "m");
    EXPECT_TRUE(wait_for(Millis{20000}, [this] {
      return sentinel->client().command({"SENTINEL", "REPLICAS", "m"}).items.size() == 1;
    }));
  }
  std::string uri() const {
    return "redis-sentinel://127.0.0.1:" + std::to_string(sentinel->port()) + "/m";
  }
  void wait_switch() {
    EXPECT_TRUE(wait_for(Millis{20000}, [this] {
      const Reply at = sentinel->client().command({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m"});
      return at.items.size() == 2 && at.items[1].text == std::to_string(servers[1].port());
    })) << sentinel->log();
    EXPECT_TRUE(wait_for(Millis{20000}, [this] { return servers[1].info("role") == "master"; }));
  }
};

enum class End { is_planned, hangs, dies };

void switch_source(End end) {
  Group source;
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  increment_counters(source.servers[0], 500);
  ASSERT_TRUE(wait_for(Millis{10000}, [&] {
    return describe(compare(source.servers[1], target)).empty();
  })) << link.output();

  // The old master still sends us pings, and greetings of the Sentinel's, behind the switch.
  if (end == End::is_planned) source.sentinel->client().must({"SENTINEL", "FAILOVER", "m"});
  if (end == End::hangs) source.servers[0].sigstop();
  if (end == End::dies) source.servers[0].kill9();
  source.wait_switch();
  increment_counters(source.servers[1], 500);

  EXPECT_TRUE(wait_for(Millis{20000}, [&] {
    return describe(compare(source.servers[1], target)).empty();
  })) << link.output();
  drain(link);
  EXPECT_EQ(describe(compare(source.servers[1], target)), "") << link.output();
  const std::string output = link.output();
  const std::size_t first = output.find("full sync begins");
  EXPECT_EQ(output.find("full sync begins", first + 1), std::string::npos) << output;
  if (end == End::hangs) source.servers[0].sigcont();
}

TEST(Sentinel, APlannedFailoverOfTheSourceIsFollowed) {
  switch_source(End::is_planned);
}

TEST(Sentinel, ASourceThatHangsIsLeftForItsReplica) {
  switch_source(End::hangs);
}

TEST(Sentinel, ASourceThatDiesIsLeftForItsReplica) {
  switch_source(End::dies);
}

TEST(Sentinel, ATargetThatDiesIsLeftForItsReplica) {
  RedisServer source = source_server({"--repl-backlog-size", "16mb"});
  Group target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  increment_counters(source, 500);
  target.servers[0].kill9();
  increment_counters(source, 500);
  target.wait_switch();
  increment_counters(source, 500);

  drain(link);
  EXPECT_EQ(describe(compare(source, target.servers[1])), "") << link.output();
}

}  // namespace
}  // namespace keyferry::test
