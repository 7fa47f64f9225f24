// A Sentinel that watches one end must never list, convert or promote anything of ours, or of the
// other end.
#include <set>
#include <thread>

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

// How clients get in; "": as they are.
struct Passwords {
  std::string servers;
  std::string sentinel;
};

// A master with a replica, and a Sentinel that watches both.
struct Group {
  Passwords passwords;
  std::vector<RedisServer> servers;
  std::unique_ptr<Sentinel> sentinel;

  explicit Group(const Passwords& given = {}) : passwords(given) {
    ServerOptions options;
    options.args = {"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"};
    options.password = passwords.servers;
    SentinelOptions watching;
    watching.password = passwords.sentinel;
    if (!passwords.servers.empty()) {
      options.args.insert(options.args.end(),
                          {"--requirepass", passwords.servers, "--masterauth", passwords.servers});
      watching.config = {"sentinel auth-pass m " + passwords.servers};
    }
    for (int i = 0; i < 2; ++i)
      servers.emplace_back(options);
    servers[1].command({"REPLICAOF", servers[0].host(), std::to_string(servers[0].port())});
    EXPECT_TRUE(wait_for(Millis{20000}, [this] {
      return servers[0].info("slave0").find("state=online") != std::string::npos;
    }));
    sentinel = std::make_unique<Sentinel>(servers[0], "m", watching);
    EXPECT_TRUE(wait_for(Millis{20000}, [this] {
      return sentinel->client().command({"SENTINEL", "REPLICAS", "m"}).items.size() == 1;
    }));
  }
  std::string uri() const {
    const std::string access = passwords.servers.empty() ? "" : ":" + passwords.servers + "@";
    return "redis-sentinel://" + access + "127.0.0.1:" + std::to_string(sentinel->port()) + "/m";
  }
  Endpoint end(std::size_t index) const {
    Endpoint endpoint(servers.at(index));
    endpoint.password = passwords.servers;
    return endpoint;
  }
  std::set<std::string> ports() const {
    return {std::to_string(servers[0].port()), std::to_string(servers[1].port())};
  }
  // Of all that the Sentinel lists.
  std::set<std::string> listed_ports() const {
    RespClient client = sentinel->client();
    std::set<std::string> result;
    const std::vector<Args> lists = {
        {"SENTINEL", "MASTERS"}, {"SENTINEL", "REPLICAS", "m"}, {"SENTINEL", "SENTINELS", "m"}};
    for (const Args& list : lists) {
      for (const Reply& one : client.must(list).items)
        result.insert(one.field("port")->text);
    }
    return result;
  }
  void fail_over() {
    sentinel->client().must({"SENTINEL", "FAILOVER", "m"});
    wait_switch();
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
  for (const RedisServer* other : {&source.servers[1], &target}) {
    ASSERT_TRUE(wait_for(Millis{10000}, [&] {
      return describe(compare(source.servers[0], *other)).empty();
    })) << link.output();
  }

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

// Only its Sentinels say so: the connections stay as they are.
TEST(Sentinel, ATargetThatHangsIsLeftAtOnceForItsReplica) {
  RedisServer source = source_server({"--repl-backlog-size", "16mb"});
  Group target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, with({"--set", "target.reply_timeout_ms=60000"}));
  increment_counters(source, 500);
  EXPECT_TRUE(wait_for(Millis{10000}, [&] {
    return describe(compare(source, target.servers[1])).empty();
  })) << link.output();
  target.servers[0].sigstop();
  increment_counters(source, 500);
  target.wait_switch();
  increment_counters(source, 500);

  EXPECT_TRUE(wait_for(Millis{10000}, [&] {
    return describe(compare(source, target.servers[1])).empty();
  })) << link.output();
  target.servers[0].sigcont();
  drain(link);
  EXPECT_EQ(describe(compare(source, target.servers[1])), "") << link.output();
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

// Both masters are called alike, so each Sentinel would believe what the other's greetings say. And
// the source's waits for all replicas that it knows to follow the new master.
TEST(Sentinel, GroupsAtBothEndsNeverLearnOfEachOtherNorWaitForUs) {
  Group source({"s3cret-source", "s3cret-source-sentinel"});
  Group target({"s3cret-target", "s3cret-target-sentinel"});
  Keyferry link(KEYFERRY_BINARY);
  const std::string source_file = link.directory().file("source.password");
  const std::string target_file = link.directory().file("target.password");
  write_file(source_file, source.passwords.sentinel);
  write_file(target_file, target.passwords.sentinel);
  start(link, source, target,
        with({"--set", "source.sentinel.password_file=" + source_file, "--set",
              "target.sentinel.password_file=" + target_file}));
  const auto write_for = [&](Millis time, std::size_t master) {
    const auto end = std::chrono::steady_clock::now() + time;
    RespClient client = source.servers[master].client();
    for (int i = 0; std::chrono::steady_clock::now() < end; ++i) {
      client.must({"INCR", "n:" + std::to_string(i % 20)});
      std::this_thread::sleep_for(Millis{1});
    }
  };
  // It is listed from when the Sentinel sees it at the master until it has answered INFO.
  const auto expect_lists = [&] {
    EXPECT_TRUE(wait_for(Millis{5000}, [&] { return source.listed_ports() == source.ports(); }));
    EXPECT_EQ(target.listed_ports(), target.ports());
  };

  write_for(Millis{11000}, 0);  // a Sentinel reads INFO of a master every 10 s
  expect_lists();
  const std::string announced = "+slave slave 127.0.0.1:" + std::to_string(link.resp_port());
  EXPECT_NE(source.sentinel->log().find(announced), std::string::npos) << source.sentinel->log();
  source.fail_over();
  write_for(Millis{3000}, 1);
  expect_lists();
  target.fail_over();
  write_for(Millis{3000}, 1);
  expect_lists();

  drain(link);
  EXPECT_EQ(describe(compare(source.end(1), target.end(1))), "") << link.output();
  EXPECT_GT(key_count(source.end(1)), 0u);
  for (const Group* group : {&source, &target}) {
    const std::string log = group->sentinel->log();
    const Group& other = group == &source ? target : source;
    std::set<std::string> strangers = other.ports();
    strangers.insert({std::to_string(other.sentinel->port()), std::to_string(link.http_port())});
    for (const std::string& port : strangers)
      EXPECT_EQ(log.find("127.0.0.1 " + port), std::string::npos) << log;
    EXPECT_NE(log.find("+failover-end "), std::string::npos) << log;
    EXPECT_EQ(log.find("timeout"), std::string::npos) << log;
  }
  EXPECT_EQ(link.output().find("s3cret"), std::string::npos) << link.output();
}

}  // namespace
}  // namespace keyferry::test
