// Slots that move as a whole (CLUSTER MIGRATESLOTS, Valkey 9), at the source and at the target,
// under writers of every kind.
#include "e2e/cluster_source.hpp"

namespace keyferry::test {
namespace {

class AtomicSlots : public testing::Test {
 protected:
  void SetUp() override {
    of_server_.release = release("valkey-9.1");
    if (!of_server_.release.unreachable.empty()) GTEST_SKIP() << of_server_.release.unreachable;
  }
  ClusterOptions cluster() const {
    ClusterOptions options = nodes(3);
    options.server.release = of_server_.release;
    return options;
  }

  // An eighth of the slots of node `from`, with what writers do meanwhile.
  static void move_range(RedisCluster& cluster, std::size_t from, std::size_t round) {
    const int first = static_cast<int>(from * 5462 + round * 600 + 10);
    const std::size_t to = (from + 1) % 3;
    const std::size_t owner = cluster.owner(first);
    cluster.node(owner).command({"CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", std::to_string(first),
                                 std::to_string(first + 500), "NODE", cluster.node_id(to)});
    EXPECT_TRUE(wait_for(Millis{20000}, [&] { return cluster.owner(first) == to; }))
        << cluster.node(owner).command({"CLUSTER", "GETSLOTMIGRATIONS"}).printable();
  }

  void play(Keyferry& link, RedisCluster& source, const RedisServer& target, bool kills) {
    const LiveOptions live = busy(kills ? 933 : 931);
    fill(source, live.dataset);
    LiveWriter writer(source, live);
    start(link, source, target);
    for (std::size_t round = 0; round < 3; ++round) {
      for (std::size_t from = 0; from < 3; ++from)
        move_range(source, from, round);
      if (!kills) continue;
      link.process().kill9();
      move_range(source, round, round + 3);
      start(link, source, target);
    }
    std::this_thread::sleep_for(Millis{500});
    writer.stop();
    EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();
    EXPECT_GT(writer.commands(), 1000u);

    drain(link);
    expect_equal(source, target, link);
  }

  ServerOptions of_server_;
};

TEST_F(AtomicSlots, OfTheSourceAreFollowed) {
  RedisCluster source(cluster());
  const RedisServer target(of_server_);
  Keyferry link(KEYFERRY_BINARY);
  play(link, source, target, false);

  EXPECT_EQ(count_of(link.output(), "full sync begins"), 3u);
  EXPECT_NE(link.output().find("move to another shard as a whole"), std::string::npos);
}

TEST_F(AtomicSlots, OfTheSourceAreFollowedThroughKills) {
  RedisCluster source(cluster());
  const RedisServer target(of_server_);
  Keyferry link(KEYFERRY_BINARY);
  play(link, source, target, true);
}

// The snapshot is made in the middle of a move: that there is one only its end says.
TEST_F(AtomicSlots, ThatBeganBeforeTheSnapshotAreFollowed) {
  RedisCluster source(cluster());
  const RedisServer target(of_server_);
  LiveOptions live = busy(935);
  live.dataset.keys = 20000;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  source.node(0).command(
      {"CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", "0", "5000", "NODE", source.node_id(1)});
  start(link, source, target);
  EXPECT_TRUE(wait_for(Millis{20000}, [&] { return source.owner(5000) == 1; }));
  std::this_thread::sleep_for(Millis{500});
  writer.stop();

  drain(link);
  expect_equal(source, target, link);
}

// A key of such slots that only the target has goes, under whatever name it is there.
TEST_F(AtomicSlots, OfTheSourceAreHealedUnderOtherNames) {
  RedisCluster source(cluster());
  const RedisServer target(of_server_);
  std::string tag = "{0}";
  for (int i = 1; key_slot(tag) < 10 || key_slot(tag) > 510; ++i)
    tag = "{" + std::to_string(i) + "}";
  source.node(0).command({"SET", tag + "key", "1"});
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target,
        with_settings({"databases.map={0: 3}", "transform.key_prefix.add=p:"}));
  RespClient client = target.client();
  client.must({"SET", "p:" + tag + "key", "of no database of the source"});
  client.must({"SELECT", "5"});
  client.must({"SET", "p:" + tag + "key", "of a database that it does not have"});
  client.must({"SELECT", "3"});
  client.must({"SET", "p:" + tag + "stray", "1"});

  move_range(source, 0, 0);
  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return link.output().find("were copied again") != std::string::npos;
  })) << link.output();
  drain(link);

  EXPECT_EQ(client.must({"EXISTS", "p:" + tag + "stray"}).integer, 0);
  EXPECT_EQ(client.must({"GET", "p:" + tag + "key"}).text, "1");
  client.must({"SELECT", "5"});
  EXPECT_EQ(client.must({"DBSIZE"}).integer, 0);
  client.must({"SELECT", "0"});
  EXPECT_EQ(client.must({"EXISTS", "p:" + tag + "key"}).integer, 1);
}

TEST_F(AtomicSlots, AreRefusedByNameWhereNothingIsHealed) {
  RedisCluster source(cluster());
  const RedisServer target(of_server_);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), {"--set", "delivery.mode=at_least_once"});
  wait_streaming(link);
  move_range(source, 0, 0);

  EXPECT_EQ(link.wait_exit(Millis{10000}), 4) << link.output();
  EXPECT_NE(link.output().find("move to another shard as a whole"), std::string::npos)
      << link.output();
}

// No streams: a pending entry whose message was deleted is lost on the way from node to node, for
// no command can make one.
class NumberWriter {
 public:
  explicit NumberWriter(const RedisServer& source) {
    thread_ = std::thread([this, client = source.client()]() mutable {
      for (int i = 0; !stopping_; ++i) {
        const std::string tag = "{" + std::to_string(i % 900) + "}";
        client.pipeline({{"INCR", tag + "count"},
                         {"RPUSH", tag + "list", std::to_string(i)},
                         {"ZINCRBY", tag + "scores", "1.5", "a"},
                         {"SET", tag + "last", std::to_string(i)},
                         {"MULTI"},
                         {"INCR", tag + "count"},
                         {"HINCRBY", tag + "hash", "field", "1"},
                         {"EXEC"}});
      }
    });
  }
  ~NumberWriter() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

TEST_F(AtomicSlots, OfTheTargetAreFollowed) {
  ServerOptions of_source = of_server_;
  of_source.args = {"--repl-backlog-size", "64mb"};
  const RedisServer source(of_source);
  RedisCluster target(cluster());
  NumberWriter writer(source);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  for (std::size_t round = 0; round < 3; ++round) {
    for (std::size_t from = 0; from < 3; ++from)
      move_range(target, from, round);
    link.process().kill9();
    start(link, source, target);
  }
  writer.stop();

  drain(link);
  EXPECT_EQ(count_of(link.output(), "full sync begins"), 1u) << link.output();
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

}  // namespace
}  // namespace keyferry::test
