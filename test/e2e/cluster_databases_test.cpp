// Clusters with several databases (Valkey 9, cluster-databases), as target and as source: what is
// written in a database arrives in the same one, once, whatever breaks.
#include "e2e/cluster_source.hpp"

namespace keyferry::test {
namespace {

constexpr int databases = 4;

// Keys of the same names in every database: nothing may arrive in another one than its own.
// Relative commands, one after the other and in transactions over several databases.
class EverywhereWriter {
 public:
  template <class Source>
  explicit EverywhereWriter(const Source& source) : source_(source) {
    thread_ = std::thread([this] { run(); });
  }
  ~EverywhereWriter() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int commands() const { return commands_; }

 private:
  void run() {
    for (int i = 0; !stopping_; ++i) {
      const std::string tag = "{n" + std::to_string(i * 7 % 60) + "}";
      source_.select(i % databases);
      const Args increment = {"INCR", tag + "count"};
      source_.pipeline({increment, {"APPEND", tag + "text", "x"}, {"SET", tag + "last", tag}});
      const std::string other = std::to_string((i + 1) % databases);
      source_.pipeline_groups({{{"MULTI"}, increment, {"SELECT", other}, increment, {"EXEC"}}});
      source_.pipeline_groups({{{"SELECT", std::to_string(i % databases)}, increment}});
      commands_ += 6;
      std::this_thread::sleep_for(Millis{2});
    }
  }

  Keyspace source_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> commands_ = 0;
  std::thread thread_;
};

LiveOptions in_every_database(std::uint64_t seed) {
  LiveOptions live = busy(seed);
  live.dataset.keys = 1500;
  live.dataset.cluster_databases = databases;
  return live;
}

const std::vector<std::string> impatient = with({"--set", "delivery.migrating_max_s=1"});

class ClusterDatabases : public testing::Test {
 protected:
  void SetUp() override {
    valkey_.server.release = release("valkey-9.1");
    if (!valkey_.server.release.unreachable.empty())
      GTEST_SKIP() << valkey_.server.release.unreachable;
  }
  ClusterOptions several(std::size_t replicas = 0) const {
    ClusterOptions options = nodes(3, replicas);
    options.server.release = valkey_.server.release;
    options.server.args.insert(options.server.args.end(), {"--cluster-databases", "16"});
    return options;
  }
  ServerOptions standalone() const {
    ServerOptions options;
    options.release = valkey_.server.release;
    return options;
  }
  static void move_counted(RedisCluster& cluster, int first) {
    for (int i = first; i < 60; i += 9) {
      const int slot = key_slot("{n" + std::to_string(i) + "}");
      cluster.move_slot(slot, (cluster.owner(slot) + 1) % 3);
    }
  }
  template <class Source, class Target>
  static void expect_same(const Source& source, const Target& target, Keyferry& link) {
    EXPECT_EQ(Keyspace(source).databases_with_keys().size(), std::size_t{databases});
    drain(link);
    CompareOptions options;
    options.were_moved = true;
    options.expiry_tolerance_ms = 1000;  // how long a MIGRATE may take on a busy machine
    EXPECT_EQ(describe(compare(source, target, options)), "") << link.output();
  }

  ClusterOptions valkey_;
};

TEST_F(ClusterDatabases, EveryDatabaseArrivesThroughMovesAndKills) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target(several());
  LiveOptions live = in_every_database(901);
  // A Valkey in import mode keeps expired keys, MIGRATE passes over them, and what removes them may
  // wait behind a transaction that the half-moved slot refuses: the move would never end.
  live.short_lived = false;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  EverywhereWriter everywhere(source);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, impatient);
  for (int round = 0; round < 3; ++round) {
    move_counted(target, round);
    move_some(target, round, 3);
    kill_and_start(link, source, target, impatient);
  }
  everywhere.stop();
  writer.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();

  expect_same(source, target, link);
  EXPECT_GT(everywhere.commands(), 300);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST_F(ClusterDatabases, CommandsOverSeveralSlotsAreHealedInTheirDatabase) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target(several());
  LiveOptions live = in_every_database(902);
  live.dataset.cluster_safe = false;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  std::this_thread::sleep_for(Millis{2000});
  kill_and_start(link, source, target);
  std::this_thread::sleep_for(Millis{1000});
  writer.stop();

  expect_same(source, target, link);
  EXPECT_GT(writer.commands(), 1000U);
  EXPECT_NE(link.output().find("what it writes is copied"), std::string::npos) << link.output();
}

TEST_F(ClusterDatabases, AtLeastOnceTheDatabasesAreKeptApartAsWell) {
  RedisServer source = source_server();
  RedisCluster target(several());
  fill(source, in_every_database(903).dataset);
  EverywhereWriter everywhere(source);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, with_settings({"delivery.mode=at_least_once"}));
  move_counted(target, 0);
  move_some(target, 1, 3);
  everywhere.stop();
  source.command({"SET", "still", "here"});
  RespClient client = source.client();
  client.must({"SELECT", "3"});
  client.must({"FLUSHDB"});
  client.must({"SET", "behind", "the flush"});

  expect_same(source, target, link);
}

TEST_F(ClusterDatabases, APromotedReplicaIsBroughtUpInEveryDatabase) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target(several(3));
  const LiveOptions live = in_every_database(904);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  LiveWriter writer(source, live);
  EverywhereWriter everywhere(source);
  std::this_thread::sleep_for(Millis{500});
  target.node(0).kill9();
  ASSERT_TRUE(wait_for(Millis{20000}, [&] { return target.node(3).info("role") == "master"; }));
  std::this_thread::sleep_for(Millis{500});
  everywhere.stop();
  writer.stop();

  drain(link);
  EXPECT_EQ(describe(compare(source, Endpoint(target.node(1)))), "") << link.output();
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST_F(ClusterDatabases, AFlushOfOneDatabaseLeavesTheOthersAndTheRecords) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target(several());
  EverywhereWriter everywhere(source);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  for (const char* db : {"2", "0", "1"}) {
    RespClient client = source.client();
    client.must({"SELECT", db});
    std::this_thread::sleep_for(Millis{300});
    client.must({"FLUSHDB"});
    std::this_thread::sleep_for(Millis{100});
    kill_and_start(link, source, target);
  }
  std::this_thread::sleep_for(Millis{300});
  everywhere.stop();

  expect_same(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST_F(ClusterDatabases, MoveAndCopyReachTheirDatabaseAndSwapIsRefusedByName) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target(several());
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, with_settings({"errors.policy=skip"}, quick_lease));
  RespClient client = source.client();
  for (int i = 0; i < 100; ++i) {
    const std::string key = "key:" + std::to_string(i);
    client.must({"INCR", key});
    client.must({"COPY", key, key, "DB", "3"});
    client.must({"COPY", key, "{" + key + "}:copy", "DB", "2"});
    client.must({"COPY", key, "elsewhere:" + key, "DB", "2"});
    if (i % 2 == 0) client.must({"MOVE", key, "1"});
  }
  expect_same(source, target, link);

  start(link, source, target, with_settings({"errors.policy=stop"}, quick_lease));
  client.must({"SWAPDB", "1", "2"});
  EXPECT_EQ(link.wait_exit(Millis{10000}), 1);
  EXPECT_NE(link.output().find("swapdb_on_cluster"), std::string::npos) << link.output();
}

// Keys of one slot and several databases, on two nodes for as long as the test likes.
TEST_F(ClusterDatabases, ASlotLeftHalfMovedGoesOnByHandInEveryDatabase) {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target(several());
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, impatient);
  const auto increment = [&source] {
    RespClient client = source.client();
    for (int i = 0; i < 120; ++i) {
      client.must({"SELECT", std::to_string(i % databases)});
      client.must({"INCR", "{tag}" + std::to_string(i / databases)});
    }
  };
  increment();
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  const int slot = key_slot("{tag}");
  const std::size_t to = (target.owner(slot) + 1) % 3;
  target.begin_move(slot, to);
  target.migrate_keys(slot, to, 70);
  for (int round = 0; round < 3; ++round) {
    increment();
    std::this_thread::sleep_for(Millis{1200 + 90 * round});
    kill_and_start(link, source, target, impatient);
  }
  EXPECT_TRUE(link.wait_synced(Millis{30000})) << link.output();
  EXPECT_NE(link.output().find("goes on command by command"), std::string::npos) << link.output();
  increment();
  while (target.migrate_keys(slot, to, 20) > 0) {
  }
  target.finish_move(slot, to);

  expect_same(source, target, link);
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST_F(ClusterDatabases, OneDatabaseIsRefusedByNameOrMapped) {
  const RedisServer source = source_server();
  RespClient client = source.client();
  client.must({"SELECT", "1"});
  client.must({"SET", "one", "1"});
  ClusterOptions single = several();
  single.server.args.insert(single.server.args.end(), {"--cluster-databases", "1"});
  for (const ClusterOptions& options : {ClusterOptions(), single}) {
    RedisCluster target(options);
    Keyferry refused(KEYFERRY_BINARY);
    refused.run(source.uri(), target.uri(), quick_lease);
    EXPECT_EQ(refused.wait_exit(Millis{15000}), 1) << refused.output();
    EXPECT_NE(refused.output().find("the source uses database 1, which the target, a cluster, "
                                    "does not have"),
              std::string::npos)
        << refused.output();

    Keyferry mapped(KEYFERRY_BINARY);
    start(mapped, source, target, with_settings({"databases.map={1: 0}"}, quick_lease));
    drain(mapped);
    EXPECT_EQ(Keyspace(target).command({"GET", "one"}).text, "1");
  }
}

TEST_F(ClusterDatabases, VerifyLooksIntoEveryDatabase) {
  const RedisServer source = source_server();
  RedisCluster target(several());
  fill(source, in_every_database(905).dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  drain(link);
  Keyspace there(target);
  there.select(3);
  there.command({"SET", "extra", "in database 3"});
  there.select(2);
  there.command({"DEL", Dataset::name(2, "hash")});

  Keyferry verify(KEYFERRY_BINARY);
  verify.start({"verify", "--source", source.uri(), "--target", target.uri()});
  EXPECT_EQ(verify.wait_exit(Millis{30000}), 1) << verify.output();
  EXPECT_NE(verify.output().find("extra"), std::string::npos) << verify.output();
  verify.start(
      {"verify", "--source", source.uri(), "--target", target.uri(), "--repair", "--repair-extra"});
  EXPECT_EQ(verify.wait_exit(Millis{30000}), 0) << verify.output();
  EXPECT_EQ(describe(compare(source, target)), "") << verify.output();
}

template <class Target>
void play_source(RedisCluster& source, Target& target, std::uint64_t seed) {
  const LiveOptions live = in_every_database(seed);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  EverywhereWriter everywhere(source);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  for (int round = 0; round < 2; ++round) {
    for (int i = round; i < 60; i += 9) {
      const int slot = key_slot("{n" + std::to_string(i) + "}");
      source.move_slot(slot, (source.owner(slot) + 1) % 3);
    }
    kill_and_start(link, source, target);
  }
  std::this_thread::sleep_for(Millis{300});
  everywhere.stop();
  writer.stop();
  EXPECT_EQ(Keyspace(source).databases_with_keys().size(), std::size_t{databases});
  expect_equal_after_drain(source, target, link);
  EXPECT_GT(everywhere.commands(), 300);
}

TEST_F(ClusterDatabases, AClusterIsReadIntoAServerWhileItsSlotsMove) {
  RedisCluster source(several());
  RedisServer target(standalone());
  play_source(source, target, 906);
}

TEST_F(ClusterDatabases, AClusterIsReadIntoAClusterWhileItsSlotsMove) {
  RedisCluster source(several());
  RedisCluster target(several());
  play_source(source, target, 907);
}

TEST_F(ClusterDatabases, AFlushOfAShardsDatabaseLeavesTheOthers) {
  RedisCluster source(several());
  RedisCluster target(several());
  const LiveOptions live = in_every_database(908);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  LiveWriter writer(source, live);
  EverywhereWriter everywhere(source);
  for (std::size_t node = 0; node < 3; ++node) {
    std::this_thread::sleep_for(Millis{300});
    RespClient client = source.node(node).client();
    client.must({"SELECT", std::to_string(node + 1)});
    client.must({"FLUSHDB"});
  }
  kill_and_start(link, source, target);
  std::this_thread::sleep_for(Millis{300});
  everywhere.stop();
  writer.stop();

  expect_same(source, target, link);
}

TEST_F(ClusterDatabases, SlotsThatMoveAtomicallyTakeEveryDatabaseAlong) {
  RedisCluster source(several());
  RedisServer target(standalone());
  const LiveOptions live = in_every_database(909);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  EverywhereWriter everywhere(source);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  for (int round = 0; round < 3; ++round) {
    const std::size_t from = static_cast<std::size_t>(round);
    const int slot = key_slot("{n" + std::to_string(round) + "}");
    const std::size_t owner = source.owner(slot);
    source.node(owner).command({"CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", std::to_string(slot),
                                std::to_string(slot), "NODE", source.node_id((owner + 1) % 3)});
    EXPECT_TRUE(wait_for(Millis{20000}, [&] { return source.owner(slot) == (owner + 1) % 3; }))
        << source.node(owner).command({"CLUSTER", "GETSLOTMIGRATIONS"}).printable() << from;
  }
  std::this_thread::sleep_for(Millis{500});
  everywhere.stop();
  writer.stop();

  expect_same(source, target, link);
}

}  // namespace
}  // namespace keyferry::test
