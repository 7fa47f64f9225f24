// A cluster as the source of files: one snapshot of all its keys, streams behind it, and what moves
// at the source meanwhile.
#include <filesystem>
#include <set>

#include "cluster_source.hpp"

namespace keyferry::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* library =
    "#!lua name=lib\nredis.register_function('f', function() return 1 end)";

int run_to_end(Keyferry& link, const std::string& source, const std::string& target,
               const std::vector<std::string>& more = {}) {
  link.run(source, target, more);
  return link.wait_exit(Millis{60000}).value_or(99);
}

void shell(const std::string& line) {
  ASSERT_EQ(std::system(line.c_str()), 0) << line;
}

// A standalone server that loads `file` as its dump.rdb.
void load_dump(RedisServer& server, const std::string& file) {
  server.stop();
  fs::copy_file(file, server.directory() + "/dump.rdb", fs::copy_options::overwrite_existing);
  server.restart();
}

void load_functions(RedisCluster& cluster, const std::string& code) {
  for (std::size_t i = 0; i < cluster.size(); ++i)
    cluster.node(i).command({"FUNCTION", "LOAD", "REPLACE", code});
}

// --- .rdb

TEST(ClusterRdbFile, HoldsTheKeysOfAllShardsAndPassesTheServersOwnCheck) {
  RedisCluster source(nodes(3));
  RedisServer loader = source_server();
  fill(source, busy(701).dataset);
  load_functions(source, library);
  const std::string file = loader.directory() + "/out.rdb";
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(run_to_end(link, source.node(1).uri(), "file://" + file), 0) << link.output();

  EXPECT_EQ(count_of(link.output(), "full sync begins"), 3u);
  EXPECT_EQ(count_of(read_file(file), "#!lua name=lib"), 1u);
  shell("redis-check-rdb " + file + " > " + file + ".check");
  EXPECT_NE(read_file(file + ".check").find("RDB looks OK!"), std::string::npos);
  load_dump(loader, file);
  expect_equal(source, loader, link);
  EXPECT_FALSE(fs::exists(file + ".part"));
}

// What a move that went wrong leaves behind.
TEST(ClusterRdbFile, LeavesOutKeysThatAreNotTheirMasters) {
  RedisCluster source(nodes(2));
  RedisServer loader = source_server();
  const int slot = key_slot("stray");
  const std::size_t owner = source.owner(slot);
  source.node(owner).command({"SET", "stray", "new"});
  source.node(1 - owner).command(
      {"CLUSTER", "SETSLOT", std::to_string(slot), "IMPORTING", source.node_id(owner)});
  RespClient other = source.node(1 - owner).client();
  other.must({"ASKING"});
  other.must({"SET", "stray", "old"});
  other.must({"CLUSTER", "SETSLOT", std::to_string(slot), "STABLE"});
  const std::string file = loader.directory() + "/out.rdb";
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(run_to_end(link, source.uri(), "file://" + file), 0) << link.output();

  load_dump(loader, file);
  EXPECT_EQ(loader.command({"DBSIZE"}).integer, 1);
  EXPECT_EQ(loader.command({"GET", "stray"}).text, "new");
}

TEST(ClusterRdbFile, OfMastersThatDisagreeOnALibraryIsRefused) {
  RedisCluster source(nodes(2));
  load_functions(source, library);
  source.node(1).command({"FUNCTION", "LOAD", "REPLACE", std::string(library) + " -- other"});
  const std::string file = source.node(0).directory() + "/out.rdb";
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(run_to_end(link, source.uri(), "file://" + file), 1) << link.output();
  EXPECT_NE(link.output().find("function library \"lib\" differs"), std::string::npos)
      << link.output();
  EXPECT_FALSE(fs::exists(file));
}

// A slow value keeps the first snapshot long enough for a slot to move.
TEST(ClusterRdbFile, IsBegunAnewWhenASlotMovesMeanwhile) {
  RedisCluster source(nodes(3));
  RedisServer loader = source_server();
  fill(source, busy(702).dataset);
  for (std::size_t i = 0; i < 3; ++i)
    source.node(i).command({"CONFIG", "SET", "rdb-key-save-delay", "400"});
  const std::string file = loader.directory() + "/out.rdb";
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  const auto begun = [&link] { return count_of(link.output(), "full sync begins") >= 2; };
  ASSERT_TRUE(wait_for(Millis{20000}, begun)) << link.output();
  move_some(source, 0, 3);
  for (std::size_t i = 0; i < 3; ++i)
    source.node(i).command({"CONFIG", "SET", "rdb-key-save-delay", "0"});

  EXPECT_EQ(link.wait_exit(Millis{60000}), 0) << link.output();

  EXPECT_NE(link.output().find("everything is written anew"), std::string::npos) << link.output();
  load_dump(loader, file);
  expect_equal(source, loader, link);
}

TEST(ClusterRdbFile, WaitsForASlotThatIsBeingMoved) {
  RedisCluster source(nodes(2));
  RedisServer loader = source_server();
  const int slot = key_slot("{t}");
  const std::size_t to = 1 - source.owner(slot);
  for (int i = 0; i < 20; ++i)
    source.node(1 - to).command({"SET", "{t}" + std::to_string(i), "v"});
  source.begin_move(slot, to);
  source.migrate_keys(slot, to, 10);
  const std::string file = loader.directory() + "/out.rdb";
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  const auto waits = [&link] {
    return link.output().find("the snapshots wait: slots are on the move") != std::string::npos;
  };
  ASSERT_TRUE(wait_for(Millis{10000}, waits)) << link.output();
  source.migrate_keys(slot, to);
  source.finish_move(slot, to);

  EXPECT_EQ(link.wait_exit(Millis{30000}), 0) << link.output();
  load_dump(loader, file);
  EXPECT_EQ(loader.command({"DBSIZE"}).integer, 20);
}

TEST(ClusterRdbFile, IsFilteredAndMappedAndNamesWhatCollides) {
  RedisCluster source(nodes(3));
  RedisServer loader = source_server();
  for (const char* key : {"a:1", "a:2", "a:3", "b:4", "tmp:1", "tmp:2"})
    source.node(source.owner(key_slot(key))).command({"SET", key, "1"});
  const std::vector<std::string> rules = {"--set", "filter.block.prefixes=[\"tmp:\"]", "--set",
                                          "transform.key_prefix.replace={\"a:\": \"b:\"}"};
  const std::string file = loader.directory() + "/out.rdb";
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(run_to_end(link, source.uri(), "file://" + file, rules), 0) << link.output();
  load_dump(loader, file);
  EXPECT_EQ(loader.command({"EXISTS", "b:1", "b:2", "b:3", "b:4"}).integer, 4);
  EXPECT_EQ(loader.command({"DBSIZE"}).integer, 4);

  source.node(source.owner(key_slot("a:4"))).command({"SET", "a:4", "1"});
  ASSERT_NE(source.owner(key_slot("a:4")), source.owner(key_slot("b:4")))
      << "they have to be of two shards";
  EXPECT_EQ(run_to_end(link, source.uri(), "file://" + file + ".rdb", rules), 1) << link.output();
  EXPECT_NE(link.output().find("which another key has become"), std::string::npos) << link.output();
}

// --- streams

// Under a writer until the file has everything.
void follow(RedisCluster& source, const std::string& file, std::uint64_t seed,
            const std::vector<std::string>& more = {}) {
  const LiveOptions live = busy(seed);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file, more);
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{800});
  writer.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();
  drain(link);
  EXPECT_EQ(count_of(link.output(), "full sync begins"), 3u) << link.output();
}

void pipe_into(RedisServer& target, const std::string& file) {
  shell("redis-cli -p " + std::to_string(target.port()) + " --pipe < " + file + " > " + file +
        ".log");
  EXPECT_NE(read_file(file + ".log").find("errors: 0"), std::string::npos)
      << read_file(file + ".log");
}

TEST(ClusterRespFile, GoesThroughRedisCliIntoAnEqualServer) {
  RedisCluster source(nodes(3));
  RedisServer target = source_server();
  const std::string file = target.directory() + "/out.resp";
  follow(source, file, 711);

  pipe_into(target, file);

  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(ClusterRespFile, HoldsAFunctionOnce) {
  RedisCluster source(nodes(3));
  RedisServer target = source_server();
  load_functions(source, library);
  const std::string file = target.directory() + "/out.resp";
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  wait_streaming(link);
  for (std::size_t i = 0; i < 3; ++i) {
    RespClient node = source.node(i).client();
    node.must({"FUNCTION", "DELETE", "lib"});
    node.must({"FUNCTION", "LOAD", std::string(library) + " -- new"});
  }
  drain(link);

  pipe_into(target, file);

  EXPECT_EQ(describe(compare(source, target)), "") << read_file(file);
}

// Under a writer, while slots move.
void play_moves(RedisCluster& source, const std::string& file, std::uint64_t seed) {
  const LiveOptions live = busy(seed);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  wait_streaming(link);
  LiveWriter writer(source, live);
  for (int round = 0; round < 2; ++round)
    move_some(source, round, 3);
  std::this_thread::sleep_for(Millis{300});
  writer.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();
  drain(link);
  EXPECT_NE(link.output().find("slots changed hands"), std::string::npos) << link.output();
  EXPECT_EQ(count_of(link.output(), "full sync begins"), 3u) << link.output();
}

TEST(ClusterRespFile, KeepsTheOrderOfKeysWhoseSlotsMove) {
  RedisCluster source(nodes(3));
  RedisServer target = source_server();
  const std::string file = target.directory() + "/out.resp";
  play_moves(source, file, 721);

  pipe_into(target, file);

  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(ClusterRespFile, GoesOnThroughAFailover) {
  RedisCluster source(nodes(3, 3));
  RedisServer target = source_server();
  const LiveOptions live = busy(731);
  fill(source, live.dataset);
  const std::string file = target.directory() + "/out.resp";
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  wait_streaming(link);
  // A replica whose cluster is this young may miss the votes: asked again.
  const auto has_taken_over = [&source] {
    source.node(3).client().command({"CLUSTER", "FAILOVER"});
    return wait_for(Millis{6000}, [&source] { return source.node(3).info("role") == "master"; });
  };
  ASSERT_TRUE(wait_for(Millis{30000}, has_taken_over));
  wait_leader(source, 3);
  LiveWriter writer(source, live);
  std::this_thread::sleep_for(Millis{500});
  writer.stop();
  drain(link);
  EXPECT_NE(link.output().find("source shard has another master"), std::string::npos)
      << link.output();

  pipe_into(target, file);

  expect_equal(source, target, link);
}

// The replica goes on where its master was, or everything is written anew.
TEST(ClusterRespFile, IsRightBehindAMasterThatDied) {
  RedisCluster source(nodes(3, 3));
  RedisServer target = source_server();
  const LiveOptions live = busy(732);
  fill(source, live.dataset);
  const std::string file = target.directory() + "/out.resp";
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.node(1).uri(), "file://" + file);
  wait_streaming(link);
  const auto replica_has_all = [&source] {
    return source.node(0).info("master_repl_offset") == source.node(3).info("master_repl_offset");
  };
  ASSERT_TRUE(wait_for(Millis{10000}, replica_has_all));
  {
    LiveWriter writer(source, live);
    std::this_thread::sleep_for(Millis{300});
    source.node(0).kill9();
  }
  wait_leader(source, 3);
  LiveOptions again = live;
  again.seed += 7;
  {
    LiveWriter writer(source.node(1), again);
    std::this_thread::sleep_for(Millis{500});
  }
  drain(link);

  pipe_into(target, file);

  EXPECT_EQ(describe(compare(source.node(1), target)), "") << link.output();
}

TEST(ClusterRespFile, IsBegunAnewBehindAFlushOfOneMaster) {
  RedisCluster source(nodes(2));
  RedisServer target = source_server();
  fill(source, busy(741).dataset);
  load_functions(source, library);
  const std::string file = target.directory() + "/out.resp";
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  wait_streaming(link);
  for (std::size_t i = 0; i < source.size(); ++i)
    source.node(i).command({"FUNCTION", "FLUSH"});
  source.node(0).command({"FLUSHALL"});
  const auto again = [&link] { return count_of(link.output(), "full sync begins") == 4; };
  ASSERT_TRUE(wait_for(Millis{10000}, again)) << link.output();
  wait_streaming(link);
  drain(link);

  pipe_into(target, file);

  EXPECT_GT(key_count(target), 0u);
  expect_equal(source, target, link);
}

// As a whole (CLUSTER MIGRATESLOTS, Valkey 9).
TEST(ClusterRespFile, IsBegunAnewWhenSlotsMoveAtOnce) {
  ClusterOptions options = nodes(3);
  options.server.release = release("valkey-9.1");
  if (!options.server.release.unreachable.empty()) {
    GTEST_SKIP() << options.server.release.unreachable;
  }
  RedisCluster source(options);
  RedisServer target(options.server);
  fill(source, busy(751).dataset);
  const std::string file = target.directory() + "/out.resp";
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  wait_streaming(link);
  LiveWriter writer(source, busy(751));
  source.node(0).command(
      {"CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", "0", "900", "NODE", source.node_id(1)});
  EXPECT_TRUE(wait_for(Millis{20000}, [&] { return source.owner(900) == 1; }));
  writer.stop();
  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  drain(link);

  EXPECT_GT(count_of(link.output(), "slots move to a master as a whole"), 0u);
  pipe_into(target, file);
  expect_equal(source, target, link);
}

RedisServer fresh_node(std::vector<std::string> args = {}) {
  ServerOptions options;
  options.args = {"--cluster-enabled", "yes"};
  options.args.insert(options.args.end(), args.begin(), args.end());
  return RedisServer(std::move(options));
}

// As a third master, without slots.
void join(RedisCluster& source, RedisServer& fresh) {
  fresh.command({"CLUSTER", "MEET", "127.0.0.1", std::to_string(source.node(0).port())});
  const auto is_known = [&source, &fresh] {
    const std::string info = source.node(1).command({"CLUSTER", "INFO"}).text;
    return info.find("cluster_known_nodes:3") != std::string::npos &&
           fresh.command({"CLUSTER", "INFO"}).text.find("state:ok") != std::string::npos;
  };
  ASSERT_TRUE(wait_for(Millis{20000}, is_known));
}

void move_to(RedisCluster& source, RedisServer& fresh, int slot) {
  const std::string id = fresh.command({"CLUSTER", "MYID"}).text;
  const std::string number = std::to_string(slot);
  RedisServer& from = source.node(source.owner(slot));
  const std::string from_id = source.node_id(source.owner(slot));
  fresh.command({"CLUSTER", "SETSLOT", number, "IMPORTING", from_id});
  from.command({"CLUSTER", "SETSLOT", number, "MIGRATING", id});
  while (true) {
    RespClient client = from.client();
    const Reply keys = client.must({"CLUSTER", "GETKEYSINSLOT", number, "100"});
    if (keys.items.empty()) break;
    Args migrate = {"MIGRATE", "127.0.0.1", std::to_string(fresh.port()), "", "0", "10000", "KEYS"};
    for (const Reply& key : keys.items)
      migrate.push_back(key.text);
    client.must(migrate);
  }
  for (RedisServer* node : {&fresh, &from, &source.node(0), &source.node(1)})
    node->client().command({"CLUSTER", "SETSLOT", number, "NODE", id});
}

// Its first snapshot would be begun behind the move.
TEST(ClusterRespFile, HoldsKeysThatWentToAMasterAsSoonAsItJoined) {
  RedisCluster source(nodes(2));
  RedisServer target = source_server();
  RedisServer fresh = fresh_node({"--repl-diskless-sync-delay", "4"});
  for (int i = 0; i < 20; ++i)
    source.node(source.owner(key_slot("{t}"))).command({"SET", "{t}" + std::to_string(i), "v"});
  const std::string file = target.directory() + "/out.resp";
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  wait_streaming(link);
  join(source, fresh);
  move_to(source, fresh, key_slot("{t}"));
  const auto has_three = [&link] {
    return link.output().find("shards=3 file=") != std::string::npos ||
           count_of(link.output(), "snapshot written") == 3;
  };
  EXPECT_TRUE(wait_for(Millis{20000}, has_three)) << link.output();
  drain(link);

  pipe_into(target, file);

  EXPECT_EQ(key_count(target), 20u) << link.output() << fresh.log();
}

// It has a stream from the round on that its joining begins.
TEST(ClusterRespFile, FollowsSlotsToAMasterThatJoined) {
  RedisCluster source(nodes(2));
  RedisServer target = source_server();
  RedisServer fresh = fresh_node();
  const LiveOptions live = busy(733);
  fill(source, live.dataset);
  const std::string file = target.directory() + "/out.resp";
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  wait_streaming(link);
  join(source, fresh);
  const auto joined = [&link] {
    return link.output().find("a master has joined") != std::string::npos &&
           count_of(link.output(), "the snapshots of all shards are written: shards=3") == 1;
  };
  ASSERT_TRUE(wait_for(Millis{30000}, joined)) << link.output();
  LiveWriter writer(source, live);
  for (int block = 0; block < 70; block += 7)
    move_to(source, fresh, key_slot("{t" + std::to_string(block) + "}"));
  std::this_thread::sleep_for(Millis{300});
  writer.stop();
  drain(link);
  EXPECT_NE(link.output().find("slots changed hands"), std::string::npos) << link.output();
  EXPECT_EQ(count_of(link.output(), "full sync begins"), 5u) << link.output();

  pipe_into(target, file);

  EXPECT_EQ(describe(compare(source, target)), "");
}

// Its last slot makes it a replica (Redis 7.0 cluster.c clusterUpdateSlotsConfigWith), and what it
// was about to say of its slots is not to be had any more.
TEST(ClusterRespFile, IsBegunAnewWhenAMasterLosesItsLastSlot) {
  RedisCluster source(nodes(2));
  RedisServer target = source_server();
  const std::string file = target.directory() + "/out.resp";
  std::set<int> filled;
  for (int i = 0; i < 40; ++i) {
    const std::string key = "k" + std::to_string(i);
    source.node(source.owner(key_slot(key))).command({"SET", key, "v"});
    filled.insert(key_slot(key));
  }
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  wait_streaming(link);
  for (const int slot : filled)
    source.move_slot(slot, 0);
  RespClient gives = source.node(1).client();
  RespClient takes = source.node(0).client();
  constexpr int slots = 16384;
  for (int slot = slots / 2; slot < slots; ++slot) {
    const Args done = {"CLUSTER", "SETSLOT", std::to_string(slot), "NODE", source.node_id(0)};
    takes.must(done);
    if (slot + 1 < slots) gives.must(done);
  }
  gives.command({"CLUSTER", "SETSLOT", std::to_string(slots - 1), "NODE", source.node_id(0)});
  const auto is_replica = [&source] { return source.node(1).info("role") == "slave"; };
  ASSERT_TRUE(wait_for(Millis{20000}, is_replica));
  const auto again = [&link] {
    return link.output().find("the snapshots of all shards are written: shards=1") !=
           std::string::npos;
  };
  ASSERT_TRUE(wait_for(Millis{20000}, again)) << link.output();
  source.node(0).command({"SET", "k1", "new"});
  drain(link);

  pipe_into(target, file);

  EXPECT_EQ(key_count(target), 40u);
  EXPECT_EQ(target.command({"GET", "k1"}).text, "new");
}

// The next round waits for a slot that is on the move.
TEST(ClusterRespFile, IsWholeAsAFileAndSaidToBeIncompleteWhenStoppedBetweenRounds) {
  RedisCluster source(nodes(2));
  fill(source, busy(742).dataset);
  const std::string file = source.node(0).directory() + "/out.resp.gz";
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  wait_streaming(link);
  const int slot = key_slot("{t}");
  source.begin_move(slot, 1 - source.owner(slot));
  source.node(0).command({"FLUSHALL"});
  const auto waits = [&link] {
    return link.output().find("the snapshots wait: slots are on the move") != std::string::npos;
  };
  ASSERT_TRUE(wait_for(Millis{10000}, waits)) << link.output();

  link.process().send_signal(SIGTERM);

  EXPECT_EQ(link.wait_exit(Millis{20000}), 3) << link.output();
  EXPECT_NE(link.output().find("the file is incomplete"), std::string::npos) << link.output();
  shell("gzip -t " + file);
}

// A key comes to a slot, and the other master does not say how far it is.
TEST(ClusterRespFile, SaysThatWhatWaitedForAnotherMasterIsMissing) {
  RedisCluster source(nodes(2));
  const int slot = key_slot("{t}");
  RedisServer& owner = source.node(source.owner(slot));
  RedisServer& other = source.node(1 - source.owner(slot));
  owner.command({"SET", "{t}1", "v"});
  const std::string value = owner.command({"DUMP", "{t}1"}).text;
  const std::string file = owner.directory() + "/out.resp";
  Keyferry link(KEYFERRY_BINARY);
  link.run(owner.uri(), "file://" + file);
  wait_streaming(link);
  other.sigstop();
  owner.command({"RESTORE-ASKING", "{t}2", "0", value});
  std::this_thread::sleep_for(Millis{500});

  link.process().send_signal(SIGTERM);

  EXPECT_EQ(link.wait_exit(Millis{30000}), 3) << link.output();
  EXPECT_NE(link.output().find("waited for other shards"), std::string::npos) << link.output();
  other.process().send_signal(SIGCONT);
}

TEST(ClusterRespFile, TellsThatASlotWasBetweenTwoMastersAtTheEnd) {
  RedisCluster source(nodes(2));
  const int slot = key_slot("{t}");
  const std::size_t to = 1 - source.owner(slot);
  for (int i = 0; i < 20; ++i)
    source.node(1 - to).command({"SET", "{t}" + std::to_string(i), "v"});
  const std::string file = source.node(0).directory() + "/out.resp";
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  wait_streaming(link);
  source.begin_move(slot, to);
  source.migrate_keys(slot, to, 10);

  link.process().send_signal(SIGTERM);

  EXPECT_EQ(link.wait_exit(Millis{20000}), 3) << link.output();
  EXPECT_NE(link.output().find("slots were moving when the link ended"), std::string::npos)
      << link.output();
}

// --- .jsonl

TEST(ClusterJsonFile, HoldsKeysAndCommandsOfAllShards) {
  RedisCluster source(nodes(3));
  const std::string file = source.node(0).directory() + "/out.jsonl";
  for (const char* key : {"a", "b", "c", "d", "e"})
    source.node(source.owner(key_slot(key))).command({"SET", key, "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  wait_streaming(link);
  for (const char* key : {"a", "b", "c", "d", "e"})
    source.node(source.owner(key_slot(key))).command({"INCR", key});
  drain(link);

  const std::string text = read_file(file);
  EXPECT_EQ(count_of(text, "\"type\":\"string\""), 5u) << text;
  EXPECT_EQ(count_of(text, "\"command\":[\"INCR\","), 5u) << text;
  EXPECT_EQ(count_of(text, "{\"rdb\":"), 1u) << text;
  shell("python3 -c 'import json,sys; [json.loads(l) for l in open(\"" + file + "\")]'");
}

// --- .manifest

TEST(ClusterBackup, IsAnAppendOnlyFileThatAServerStartsFrom) {
  RedisCluster source(nodes(3));
  RedisServer loader = source_server();
  loader.stop();
  fs::create_directory(loader.directory() + "/appendonlydir");
  follow(source, loader.directory() + "/appendonlydir/appendonly.aof.manifest", 751,
         {"--set", "target.file.rotate_bytes=100KiB"});

  loader.restart({"--appendonly", "yes"});

  EXPECT_EQ(describe(compare(source, loader)), "");
  EXPECT_TRUE(fs::exists(loader.directory() + "/appendonlydir/appendonly.aof.2.incr.aof"));
}

}  // namespace
}  // namespace keyferry::test
