// A cluster as the source of a replica link: every shard is followed, into a cluster of another
// size and into a standalone target; restarts, failovers and slots that move at the source repeat
// and lose nothing.
#include "cluster_source.hpp"

namespace keyferry::test {
namespace {

// A writer of all types through the snapshot and a second of the stream.
template <class Target>
void play(std::uint64_t seed, Target& target) {
  RedisCluster source(nodes(3));
  const LiveOptions live = busy(seed);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);

  start(link, source.node(1), target);
  std::this_thread::sleep_for(Millis{1000});
  writer.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();
  drain(link);

  EXPECT_EQ(count_of(link.output(), "full sync begins"), 3u);
  expect_equal(source, target, link);
}

TEST(ClusterSource, ArrivesInAClusterOfAnotherSize) {
  ClusterOptions size;
  size.masters = 2;
  RedisCluster target(size);
  play(301, target);
}

TEST(ClusterSource, ArrivesInAStandaloneTarget) {
  const RedisServer target = source_server();
  play(302, target);
}

TEST(ClusterSource, KillNineLosesAndRepeatsNothing) {
  RedisCluster source(nodes(3));
  RedisCluster target;
  const LiveOptions live = busy(303);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(Millis{700});
    kill_and_start(link, source, target);
  }
  std::this_thread::sleep_for(Millis{300});
  writer.stop();
  EXPECT_EQ(link.status("counters.full_resyncs"), "0");
  drain(link);

  EXPECT_EQ(count_of(link.output(), "full sync begins"), 3u) << "those of the first run";
  expect_equal(source, target, link);
}

template <class Target>
void play_flushes(const Target& target) {
  RedisCluster source(nodes(2));
  const LiveOptions live = busy(305);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  LiveWriter writer(source, live);
  std::this_thread::sleep_for(Millis{300});
  source.node(0).command({"FLUSHALL"});
  std::this_thread::sleep_for(Millis{300});
  source.node(1).command({"FLUSHDB", "ASYNC"});
  std::this_thread::sleep_for(Millis{300});
  kill_and_start(link, source, target);
  writer.stop();
  source.node(1).command({"FLUSHALL"});
  drain(link);

  EXPECT_EQ(source.node(1).command({"DBSIZE"}).integer, 0);
  EXPECT_GT(key_count(source), 0u);
  expect_equal(source, target, link);
}

TEST(ClusterSource, AFlushEmptiesOnlyItsOwnShard) {
  play_flushes(source_server());
  play_flushes(RedisCluster());
}

TEST(ClusterSource, ShowsEveryShardAndTheirSum) {
  RedisCluster source(nodes(3));
  const RedisServer target = source_server();
  const LiveOptions live = busy(306);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  ASSERT_TRUE(link.wait_synced(Millis{10000})) << link.output();
  const auto is_steady = [](const std::string& json) {
    return json_field(json, "shards.2.phase") == "steady";
  };
  EXPECT_TRUE(link.wait_until(is_steady, Millis{10000})) << link.output();

  std::set<std::string> masters;
  for (int i = 0; i < 3; ++i)
    masters.insert(link.status("shards." + std::to_string(i) + ".source"));
  EXPECT_EQ(masters.size(), 3u);
  EXPECT_EQ(link.status("snapshot.keys_done"), std::to_string(key_count(source)));
  EXPECT_EQ(link.status("lag.bytes"), "0");
  const std::string metrics = link.http_get("/metrics").body;
  EXPECT_EQ(count_of(metrics, "keyferry_lag_bytes{shard="), 3u) << metrics;
  EXPECT_EQ(count_of(metrics, "# TYPE keyferry_lag_bytes gauge"), 1u);
  drain(link);
}

TEST(ClusterSource, EndsWhenAllShardsAreEqual) {
  RedisCluster source(nodes(3));
  RedisCluster target;
  const LiveOptions live = busy(307);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), {"--stop-when", "lag-zero"});

  EXPECT_EQ(link.wait_exit(Millis{30000}), 0) << link.output();
  expect_equal(source, target, link);
}

TEST(ClusterSource, ASignalEndsEveryShard) {
  RedisCluster source(nodes(2));
  const RedisServer target = source_server();
  const LiveOptions live = busy(308);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  LiveWriter writer(source, live);
  std::this_thread::sleep_for(Millis{300});

  link.process().send_signal(SIGTERM);

  EXPECT_EQ(link.wait_exit(Millis{10000}), 0) << link.output();
  writer.stop();
  link.run(source.uri(), target.uri(), {"--stop-when", "lag-zero"});
  EXPECT_EQ(link.wait_exit(Millis{30000}), 0) << link.output();
  expect_equal(source, target, link);
}

TEST(ClusterSource, APlannedFailoverUnderWritesCopiesNothingAgain) {
  RedisCluster source(nodes(3, 3));
  RedisCluster target;
  const LiveOptions live = busy(320);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);

  source.node(3).command({"CLUSTER", "FAILOVER"});
  wait_leader(source, 3);
  std::this_thread::sleep_for(Millis{1500});
  writer.stop();
  drain(link);

  EXPECT_EQ(count_of(link.output(), "full sync begins"), 3u) << link.output();
  expect_equal(source, target, link);
}

TEST(ClusterSource, AMasterThatDiesWhileNobodyWritesIsFollowedToItsReplica) {
  RedisCluster source(nodes(3, 3));
  const RedisServer target = source_server();
  const LiveOptions live = busy(321);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source.node(1), target);
  {
    LiveWriter writer(source, live);
    std::this_thread::sleep_for(Millis{500});
  }
  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  const auto replica_has_all = [&source] {
    return source.node(0).info("master_repl_offset") == source.node(3).info("master_repl_offset");
  };
  ASSERT_TRUE(wait_for(Millis{10000}, replica_has_all));

  source.node(0).kill9();
  wait_leader(source, 3);
  LiveOptions again = live;
  again.seed += 7;
  {
    LiveWriter writer(source.node(1), again);
    std::this_thread::sleep_for(Millis{1000});
  }
  drain(link);

  EXPECT_EQ(count_of(link.output(), "full sync begins"), 3u) << link.output();
  EXPECT_EQ(describe(compare(source.node(1), target)), "") << link.output();
}

TEST(ClusterSource, AMasterThatDiesUnderWritesCostsAtMostItsOwnShard) {
  RedisCluster source(nodes(3, 3));
  RedisCluster target;
  const LiveOptions live = busy(322);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source.node(1), target);
  {
    LiveWriter writer(source.node(1), live);
    std::this_thread::sleep_for(Millis{700});
    source.node(0).kill9();
    std::this_thread::sleep_for(Millis{300});
  }
  wait_leader(source, 3);
  source.node(0).restart();
  LiveOptions again = live;
  again.seed += 7;
  {
    LiveWriter writer(source.node(1), again);
    std::this_thread::sleep_for(Millis{1000});
  }
  drain(link);

  EXPECT_LE(count_of(link.output(), "full sync begins"), 4u) << link.output();
  expect_equal(source, target, link);
}

TEST(ClusterSource, SlotsThatMoveUnderWritesArriveInAStandaloneTarget) {
  const RedisServer target = source_server();
  play_moves(331, target, false);
}

void reshard(const RedisServer& entry, const std::string& from, const std::string& to, int slots) {
  const TempDir directory;
  ProcessOptions options;
  options.args = {"redis-cli",       "--cluster",
                  "reshard",         entry.host() + ":" + std::to_string(entry.port()),
                  "--cluster-from",  from,
                  "--cluster-to",    to,
                  "--cluster-slots", std::to_string(slots),
                  "--cluster-yes"};
  options.output_file = directory.file("output");
  // It refuses to begin while nodes do not agree.
  const auto has_worked = [&options] {
    Process process(options);
    return process.wait(Millis{60000}) == 0;
  };
  ASSERT_TRUE(wait_for(Millis{60000}, has_worked)) << read_file(options.output_file);
}

// A node that knows all others and has no slots.
class Joiner {
 public:
  explicit Joiner(RedisCluster& cluster, const std::string& epoch = "0")
      : server_(options_of_joiner()) {
    server_.command({"CLUSTER", "SET-CONFIG-EPOCH", epoch});
    cluster.node(0).command({"CLUSTER", "MEET", "127.0.0.1", std::to_string(server_.port())});
    const std::string all = std::to_string(cluster.size() + 1);
    const auto has_joined = [&] {
      const std::string info = "\n" + server_.command({"CLUSTER", "INFO"}).text;
      return info_field(info, "cluster_state") == "ok" &&
             info_field(info, "cluster_known_nodes") == all;
    };
    EXPECT_TRUE(wait_for(Millis{20000}, has_joined)) << server_.log();
  }
  const RedisServer& server() const { return server_; }

 private:
  static ServerOptions options_of_joiner() {
    ServerOptions out = nodes(1).server;
    out.args.insert(out.args.begin(),
                    {"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"});
    return out;
  }

  RedisServer server_;
};

TEST(ClusterSource, AMasterThatJoinsAndLeavesIsFollowed) {
  RedisCluster source(nodes(3));
  const RedisServer target = source_server();
  LiveOptions live = busy(333);
  live.commands_per_s = 1500;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), quick);
  wait_streaming(link);
  EXPECT_EQ(link.http_post("/limits?target_ops_per_s=300000").status, 202);

  const Joiner joiner(source);
  const std::string id = joiner.server().command({"CLUSTER", "MYID"}).text;
  reshard(source.node(0), source.node_id(0), id, 150);
  EXPECT_GT(key_count(joiner.server()), 0u);
  // A quarter of it for the fourth.
  EXPECT_TRUE(link.wait_status("limits.target_ops_per_s", "375000", Millis{5000}))
      << link.status("limits.target_ops_per_s");
  std::this_thread::sleep_for(Millis{500});
  // All it has: one that was tried again has brought more than it was asked for.
  reshard(source.node(0), id, source.node_id(1), 16384);
  const auto has_left = [](const std::string& json) {
    return json_field(json, "shards.3.source").empty();
  };
  EXPECT_TRUE(link.wait_until(has_left, Millis{20000})) << link.output();
  std::this_thread::sleep_for(Millis{500});
  writer.stop();
  drain(link);

  EXPECT_EQ(count_of(link.output(), "source shard taken up"), 4u) << link.output();
  EXPECT_NE(link.output().find("source shard left"), std::string::npos) << link.output();
  expect_equal(source, target, link);
}

// Its epoch is higher than that of any other: it loses it when it becomes a replica.
TEST(ClusterSource, ANodeThatJoinsAndBecomesAReplicaIsFollowedWhenItIsPromoted) {
  RedisCluster source(nodes(3));
  const RedisServer target = source_server();
  const LiveOptions live = busy(335);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), quick);
  wait_streaming(link);

  const Joiner joiner(source, "9");
  const auto has_shards = [](const char* fourth) {
    return [fourth](const std::string& json) {
      return json_field(json, "shards.3.source").empty() == std::string(fourth).empty();
    };
  };
  EXPECT_TRUE(link.wait_until(has_shards("a master"), Millis{20000})) << link.output();
  joiner.server().command({"CLUSTER", "REPLICATE", source.node_id(0)});
  EXPECT_TRUE(link.wait_until(has_shards(""), Millis{20000})) << link.output();
  // Nobody votes for a node that he takes for a master.
  const auto is_known = [&] {
    const std::string line = " slave " + source.node_id(0);
    for (std::size_t i = 0; i < source.size(); ++i) {
      if (source.node(i).command({"CLUSTER", "NODES"}).text.find(line) == std::string::npos)
        return false;
    }
    return joiner.server().info("master_link_status") == "up";
  };
  ASSERT_TRUE(wait_for(Millis{20000}, is_known)) << joiner.server().log();
  std::this_thread::sleep_for(Millis{2500});  // until the link has looked as well, once a second
  joiner.server().command({"CLUSTER", "FAILOVER"});
  const auto leads = [&joiner] { return joiner.server().info("role") == "master"; };
  ASSERT_TRUE(wait_for(Millis{20000}, leads)) << joiner.server().log();
  std::this_thread::sleep_for(Millis{1000});
  writer.stop();
  drain(link);

  EXPECT_EQ(count_of(link.output(), "source shard taken up"), 4u) << link.output();
  expect_equal(source, target, link);
}

TEST(ClusterSource, StreamsFromReplicasWhenAsked) {
  RedisCluster source(nodes(2, 2));
  const RedisServer target = source_server();
  const LiveOptions live = busy(334);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           {"--set", "delivery.lease_s=1", "--set", "source.prefer_replica=true"});
  wait_streaming(link);
  // Not every node knows at once that the other has become a replica.
  const auto reads_replicas = [&source] {
    for (std::size_t i = 0; i < 4; ++i) {
      if (source.node(i).info("connected_slaves") != "1") return false;
    }
    return true;
  };
  EXPECT_TRUE(wait_for(Millis{10000}, reads_replicas)) << link.output();
  writer.stop();
  drain(link);

  expect_equal(source, target, link);
}

TEST(ClusterSource, AStandbyThatWaitsEndsWhenItIsTold) {
  RedisCluster source(nodes(3));
  RedisServer target = source_server();
  Keyferry first(KEYFERRY_BINARY);
  Keyferry standby(KEYFERRY_BINARY);
  start(first, source, target);
  standby.run(source.uri(), target.uri(), with({"--standby"}));
  const auto waits = [&] {
    return standby.output().find("waiting for the lease") != std::string::npos;
  };
  ASSERT_TRUE(wait_for(Millis{10000}, waits)) << standby.output();
  standby.process().send_signal(SIGTERM);

  EXPECT_EQ(standby.wait_exit(Millis{5000}), 0) << standby.output();
  drain(first);
}

}  // namespace
}  // namespace keyferry::test
