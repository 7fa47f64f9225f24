// Scan mode between real servers: a source that is read by SCAN and followed by keyspace events.
// Whole data sets are compared once the writers have stopped and the link says that lag is zero.
#include <atomic>
#include <thread>

#include "e2e/scan_source.hpp"

namespace keyferry::test {
namespace {

std::string scan_field(const Keyferry& link, const std::string& name) {
  return link.status("scan." + name);
}

TEST(Scan, ConvergesUnderAWriterOfAllTypes) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  LiveOptions live;
  live.dataset.keys = 6000;
  live.dataset.databases = 16;
  live.commands_per_s = 4000;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), scanning());
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{2000});
  writer.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();
  EXPECT_GT(std::stoull("0" + scan_field(link, "notifications")), 1000u);
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

// One event of each class, on keys that were copied before.
TEST(Scan, EveryClassOfEventReachesTheTarget) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  fill_strings(source, 100);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), scanning());
  wait_streaming(link);
  RespClient client = source.client();
  const std::vector<Args> commands = {{"SET", "key:1", "new"},
                                      {"DEL", "key:2"},
                                      {"UNLINK", "key:3"},
                                      {"EXPIRE", "key:4", "1000"},
                                      {"PERSIST", "key:4"},
                                      {"EXPIRE", "key:5", "1000"},
                                      {"RENAME", "key:6", "renamed"},
                                      {"MOVE", "key:7", "9"},
                                      {"COPY", "key:8", "copied"},
                                      {"COPY", "key:8", "copied", "DB", "5"},
                                      {"PEXPIRE", "key:9", "30"},
                                      {"APPEND", "key:10", "more"},
                                      {"GETDEL", "key:11"},
                                      {"LPUSH", "list", "a", "b"},
                                      {"RPOP", "list"},
                                      {"HSET", "hash", "f", "v"},
                                      {"SADD", "set", "m"},
                                      {"SPOP", "set"},
                                      {"ZADD", "zset", "1", "m"},
                                      {"XADD", "stream", "1-1", "f", "v"},
                                      {"XGROUP", "CREATE", "stream", "g", "0"},
                                      {"PFADD", "hll", "a"},
                                      {"SORT", "list", "ALPHA", "STORE", "sorted"},
                                      {"MSET", "key:20", "x", "key:21", "y"}};
  for (const Args& command : commands)
    client.must(command);
  const Reply dump = client.must({"DUMP", "key:20"});
  client.must({"RESTORE", "restored", "0", dump.text});
  std::this_thread::sleep_for(Millis{50});
  EXPECT_TRUE(client.must({"GET", "key:9"}).is_nil());

  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(Scan, EvictedKeysGo) {
  const RedisServer source = events_source({"--maxmemory-policy", "allkeys-random"});
  const RedisServer target = source_server();
  fill_strings(source, 20000, 100);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), scanning());
  wait_streaming(link);

  source.command({"CONFIG", "SET", "maxmemory", "3mb"});
  fill_strings(source, 20100, 100);
  EXPECT_NE(source.info("evicted_keys"), "0");
  source.command({"CONFIG", "SET", "maxmemory", "0"});
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

// No event tells of these.
TEST(Scan, FlushesAndSwapsAreFound) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  DatasetOptions data;
  data.keys = 2000;
  fill(source, data);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), scanning());
  wait_streaming(link);
  RespClient client = source.client();

  client.must({"SWAPDB", "0", "1"});
  client.must({"SELECT", "2"});
  client.must({"FLUSHDB"});
  client.must({"SET", "after", "1"});
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
  EXPECT_EQ(target.client().must({"DBSIZE"}).integer, source.client().must({"DBSIZE"}).integer);
}

TEST(Scan, GroupReadsAreFound) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  RespClient client = source.client();
  for (int i = 1; i <= 20; ++i)
    client.must({"XADD", "s", std::to_string(i) + "-1", "f", "v"});
  client.must({"XGROUP", "CREATE", "s", "g", "0"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), scanning());
  wait_streaming(link);

  client.must({"XREADGROUP", "GROUP", "g", "c", "COUNT", "7", "STREAMS", "s", ">"});
  client.must({"XACK", "s", "g", "1-1", "2-1"});
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
  EXPECT_EQ(target.command({"XPENDING", "s", "g"}).items.at(0).integer, 5);
}

// What groups read makes no event, so the streams are looked at again and again: the first pass
// ends all the same.
TEST(Scan, TheFirstPassEndsWhileGroupsReadAllTheTime) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  fill_strings(source, 1000);
  RespClient client = source.client();
  for (int i = 1; i <= 10; ++i)
    client.must({"XADD", "s", std::to_string(i) + "-1", "f", "v"});
  client.must({"XGROUP", "CREATE", "s", "g", "0"});
  std::atomic<bool> stopping = false;
  std::thread reader([&] {
    RespClient consumer = source.client();
    while (!stopping)
      consumer.must({"XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "s", ">"});
  });
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), scanning());
  const bool has_ended = link.wait_until(is_streaming, Millis{5000});
  stopping = true;
  reader.join();

  EXPECT_TRUE(has_ended) << link.output();
  drain(link);
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

// Values above snapshot.restore_max_bytes are read in pieces.
TEST(Scan, LargeValuesGoInPieces) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  DatasetOptions data;
  data.keys = 400;
  fill(source, data);
  RespClient client = source.client();
  // Pending entries that were deleted only travel with a stream as a whole.
  client.must({"DEL", Dataset::name(0, "stream")});
  for (int i = 1; i <= 5000; ++i)
    client.must({"XADD", "stream", std::to_string(i) + "-0", "field", std::string(50, 'v')});
  client.must({"XDEL", "stream", "400-0"});
  client.must({"XGROUP", "CREATE", "stream", "group", "0"});
  for (const char* consumer : {"c1", "c2"})
    client.must(
        {"XREADGROUP", "GROUP", "group", consumer, "COUNT", "50", "STREAMS", "stream", ">"});
  client.must({"XGROUP", "CREATECONSUMER", "stream", "group", "idle"});
  client.must({"SET", "gone", std::string(300000, 'x')});
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), scanning({"--set", "snapshot.restore_max_bytes=150000"}));
  wait_streaming(link);
  client.must({"APPEND", Dataset::name(0, "long"), "tail"});
  client.must({"DEL", "gone"});
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
  EXPECT_NE(link.output().find("rewritten="), std::string::npos);
  EXPECT_EQ(link.output().find("rewritten=0"), std::string::npos) << link.output();
}

TEST(Scan, ABrokenSubscriptionLosesNothing) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  fill_strings(source, 30000);
  LiveOptions live;
  live.dataset.keys = 2000;
  live.commands_per_s = 4000;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), scanning());
  wait_streaming(link);
  RespClient client = source.client();

  for (int i = 0; i < 3; ++i) {
    client.must({"MULTI"});
    client.must({"CLIENT", "KILL", "TYPE", "pubsub"});
    for (int key = 0; key < 100; ++key)
      client.must({"DEL", "key:" + std::to_string(i * 100 + key)});
    client.must({"EXEC"});
    std::this_thread::sleep_for(Millis{300});
  }
  writer.stop();
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
  EXPECT_NE(link.output().find("keyspace events broke off"), std::string::npos) << link.output();
}

TEST(Scan, BrokenReadersAndARestartOfTheSourceLoseNothing) {
  RedisServer source = events_source({"--appendonly", "yes"});
  const RedisServer target = source_server();
  fill_strings(source, 100000);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), scanning({"--set", "source.scan.count=100"}));
  const auto has_begun = [](const std::string& json) {
    return json_field(json, "snapshot.keys_done").size() > 2;
  };
  ASSERT_TRUE(link.wait_until(has_begun, Millis{20000})) << link.output();
  for (int i = 0; i < 5; ++i) {
    source.command({"CLIENT", "KILL", "TYPE", "normal"});
    std::this_thread::sleep_for(Millis{20});
  }
  wait_streaming(link);

  source.stop();
  source.restart();
  RespClient client = source.client();
  for (int key = 0; key < 200; ++key)
    client.must({"DEL", "key:" + std::to_string(key)});
  ASSERT_TRUE(link.is_running()) << link.output();
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(Scan, ReplicaOfTheTargetAsSourceExits2) {
  const RedisServer target = source_server();
  const RedisServer source =
      events_source({"--replicaof", "127.0.0.1 " + std::to_string(target.port())});
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return source.info("master_link_status") == "up"; }));
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), scanning());

  EXPECT_EQ(link.wait_exit(Millis{5000}), 2) << link.output();
  EXPECT_NE(link.output().find("share its history"), std::string::npos) << link.output();
}

TEST(Scan, WithoutEventsItRefusesToPromiseThem) {
  for (const char* flags : {"", "KA", "Eg$"}) {
    const RedisServer source = events_source({"--notify-keyspace-events", flags});
    const RedisServer target = source_server();
    fill_strings(source, 10);
    Keyferry link(KEYFERRY_BINARY);

    link.run(source.uri(), target.uri(), scanning());

    EXPECT_EQ(link.wait_exit(Millis{10000}), 3) << link.output();
    EXPECT_NE(link.output().find("CONFIG SET notify-keyspace-events AE"), std::string::npos)
        << link.output();
    EXPECT_EQ(key_count(target), 0u);
  }
}

TEST(Scan, WithoutEventsItStillCopiesWhatIsThere) {
  const RedisServer source = source_server();
  const RedisServer target = source_server();
  DatasetOptions data;
  data.keys = 1000;
  fill(source, data);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), scanning({"--set", "stream.enabled=false"}));

  EXPECT_EQ(link.wait_exit(Millis{20000}), 0) << link.output();
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(Scan, SetsTheFlagsAndPutsThemBack) {
  const RedisServer source = events_source({"--notify-keyspace-events", "Kx"});
  const RedisServer target = source_server();
  fill_strings(source, 100);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           scanning({"--set", "source.scan.enable_notifications=true"}));
  wait_streaming(link);
  source.command({"SET", "key:1", "changed"});
  const auto flags = [&source] {
    return source.command({"CONFIG", "GET", "notify-keyspace-events"}).items.at(1).text;
  };
  EXPECT_NE(flags().find('E'), std::string::npos);

  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
  EXPECT_EQ(flags().find('E'), std::string::npos) << flags();
  EXPECT_NE(flags().find('x'), std::string::npos) << flags();
}

// Somebody switches events off in the middle: changes made then have no event.
TEST(Scan, FlagsThatAreTakenAwayAreSetAgain) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  fill_strings(source, 1000);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           scanning({"--set", "source.scan.enable_notifications=true"}));
  wait_streaming(link);

  RespClient client = source.client();
  client.must({"CONFIG", "SET", "notify-keyspace-events", ""});
  client.must({"SET", "key:1", "unheard"});
  client.must({"DEL", "key:2"});
  std::this_thread::sleep_for(Millis{1500});
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

const std::vector<std::string> cloud_user = {"--user", "cloud",     "on",      ">pw",
                                             "~*",     "&*",        "+@all",   "-psync",
                                             "-sync",  "-replconf", "-config", "-acl"};

TEST(Scan, WithoutPsyncItFallsBackAndSaysSo) {
  std::vector<std::string> args = cloud_user;
  args.push_back("+config|get");
  const RedisServer source = events_source(args);
  const RedisServer target = source_server();
  DatasetOptions data;
  data.keys = 1000;
  fill(source, data);
  Keyferry link(KEYFERRY_BINARY);
  link.run("redis://cloud:pw@" + source.address(), target.uri());
  wait_streaming(link);
  source.command({"SET", "later", "1"});

  drain(link);

  EXPECT_NE(link.output().find("it is scanned instead"), std::string::npos) << link.output();
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(Scan, WithoutConfigAProbeKeyTells) {
  const RedisServer source = events_source(cloud_user);
  const RedisServer deaf = events_source([] {
    std::vector<std::string> args = cloud_user;
    args.insert(args.end(), {"--notify-keyspace-events", "K$"});
    return args;
  }());
  const RedisServer target = source_server();
  fill_strings(source, 100);
  Keyferry link(KEYFERRY_BINARY);
  link.run("redis://cloud:pw@" + source.address(), target.uri());
  wait_streaming(link);
  source.command({"SET", "later", "1"});
  drain(link);
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();

  Keyferry refused(KEYFERRY_BINARY);
  refused.run("redis://cloud:pw@" + deaf.address(), target.uri());

  EXPECT_EQ(refused.wait_exit(Millis{20000}), 3) << refused.output();
  EXPECT_NE(refused.output().find("no event came of a probe key"), std::string::npos)
      << refused.output();
}

TEST(Scan, LagZeroEndsTheRun) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  LiveOptions live;
  live.dataset.keys = 1000;
  live.commands_per_s = 500;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), scanning({"--stop-when", "lag-zero"}));
  std::this_thread::sleep_for(Millis{1500});
  writer.stop();

  EXPECT_EQ(link.wait_exit(Millis{30000}), 0) << link.output();
}

// Behind a server that hides its settings nobody would tell that events were switched off.
TEST(Scan, LagIsNotZeroWhileEventsAreSwitchedOff) {
  const RedisServer source = events_source(cloud_user);
  const RedisServer target = source_server();
  fill_strings(source, 100);
  Keyferry link(KEYFERRY_BINARY);
  link.run("redis://cloud:pw@" + source.address(), target.uri());
  wait_streaming(link);

  source.command({"CONFIG", "SET", "notify-keyspace-events", ""});
  source.command({"SET", "unheard", "1"});
  EXPECT_EQ(link.http_post("/drain").status, 202);

  EXPECT_EQ(link.wait_exit(Millis{20000}), 3) << link.output();
  EXPECT_NE(link.output().find("no event came of a probe key"), std::string::npos) << link.output();
}

TEST(Scan, AProbeKeyEndsTheRunWhereItIsWanted) {
  for (const bool probes : {false, true}) {
    const RedisServer source = events_source();
    const RedisServer target = source_server();
    Keyferry link(KEYFERRY_BINARY);
    const std::string way = probes ? "probe" : "auto";
    link.run(source.uri(), target.uri(),
             scanning({"--stop-when", "lag-zero", "--set", "source.scan.lag_zero=" + way}));

    EXPECT_EQ(link.wait_exit(Millis{20000}), 0) << link.output();

    const std::string stats = source.command({"INFO", "commandstats"}).text;
    EXPECT_EQ(stats.find("cmdstat_set:") != std::string::npos, probes);
    EXPECT_EQ(key_count(source), 0u);
  }
}

// Somebody writes now and then: lag is zero in between, but it is never quiet.
TEST(Scan, QuietIsWaitedForWhereItIsWanted) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           scanning({"--stop-when", "lag-zero", "--set", "source.scan.lag_zero=quiet", "--set",
                     "stop.stable_for_ms=600"}));

  for (int i = 0; i < 12; ++i) {
    source.command({"SET", "key", std::to_string(i)});
    std::this_thread::sleep_for(Millis{250});
    ASSERT_TRUE(link.is_running()) << i << link.output();
  }

  EXPECT_EQ(link.wait_exit(Millis{20000}), 0) << link.output();
  EXPECT_EQ(target.command({"GET", "key"}).text, "11");
}

TEST(Scan, MemoryOfWaitingKeysIsBounded) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  // Into the default folder, too.
  link.run(source.uri(), target.uri(),
           scanning({"--set", "limits.memory_max_bytes=4MiB", "--set", "spool.dir="}));
  wait_streaming(link);
  EXPECT_EQ(link.http_post("/pause").status, 202);

  fill_strings(source, 100000, 8);
  source.command({"DEL", "key:5", "key:99999"});
  const auto knows_all = [](const std::string& json) {
    return std::stoull("0" + json_field(json, "scan.pending_keys")) >= 100000;
  };
  EXPECT_TRUE(link.wait_until(knows_all, Millis{20000})) << link.output();
  EXPECT_GT(std::stoull("0" + scan_field(link, "spilled_keys")), 50000u);
  EXPECT_LT(std::stoull("0" + link.status("memory.used_bytes")), 3u * 1024 * 1024);
  EXPECT_EQ(link.http_post("/resume").status, 202);
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(Scan, WhereNothingMayBeKeptItScansAgain) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           scanning({"--set", "limits.memory_max_bytes=4MiB", "--set", "spool.enabled=false"}));
  fill_strings(source, 50000, 8);
  wait_streaming(link);
  EXPECT_EQ(link.http_post("/pause").status, 202);
  std::vector<Args> commands;
  for (int i = 0; i < 50000; ++i) {
    const std::string key = "key:" + std::to_string(i);
    commands.push_back(i % 7 == 0 ? Args{"DEL", key} : Args{"APPEND", key, "x"});
  }
  source.client().pipeline(commands);
  std::this_thread::sleep_for(Millis{500});
  EXPECT_EQ(link.http_post("/resume").status, 202);
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
  EXPECT_NE(link.output().find("no room for more changed keys"), std::string::npos);
}

TEST(Scan, ReconcilingRemovesWhatTheSourceLacks) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  fill_strings(source, 1000);
  fill_strings(target, 1500);
  target.command({"SET", "keyferry:ours", "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), scanning({"--set", "source.scan.reconcile_s=1"}));
  wait_streaming(link);

  std::size_t left = 0;
  const auto is_clean = [&](const std::string&) { return (left = key_count(target)) == 1000; };
  EXPECT_TRUE(link.wait_until(is_clean, Millis{20000})) << left << link.output();
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

// The same rules in the first pass and behind it.
TEST(Scan, FilterAndMappingHold) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  RespClient client = source.client();
  const auto write = [&client](const std::string& value) {
    client.must({"SELECT", "1"});
    client.must({"SET", "app:a:" + value, value});
    client.must({"SET", "app:x" + value + ":tmp", value});
    client.must({"SET", "other" + value, value});
    client.must({"RPUSH", "app:list" + value, value});
    client.must({"SELECT", "2"});
    client.must({"SET", "app:b:" + value, value, "EX", "1000"});
  };
  write("first");
  client.must({"SELECT", "1"});
  client.must({"SET", "app:goes", "1"});
  client.must({"SET", "app:turns", "1"});
  Keyferry link(KEYFERRY_BINARY);
  write_file(link.directory().file("rules.yaml"),
             "filter:\n  allow: {prefixes: ['app:'], databases: [1]}\n"
             "  block: {suffixes: [':tmp'], types: [list]}\n"
             "databases: {map: {1: 0}}\n"
             "transform: {key_prefix: {replace: {'app:': 'new:'}}, ttl: none}\n");
  link.run(source.uri(), target.uri(), scanning({"--config", link.directory().file("rules.yaml")}));
  wait_streaming(link);

  write("second");
  client.must({"SELECT", "1"});
  client.must({"DEL", "app:goes", "app:turns"});
  client.must({"RPUSH", "app:turns", "now-a-list"});
  client.must({"EXPIRE", "app:a:first", "1000"});
  drain(link);

  RespClient at_target = target.client();
  EXPECT_EQ(key_count(target), 2u) << link.output();
  EXPECT_EQ(at_target.must({"GET", "new:a:first"}).text, "first");
  EXPECT_EQ(at_target.must({"GET", "new:a:second"}).text, "second");
  EXPECT_EQ(at_target.must({"TTL", "new:a:first"}).integer, -1);
}

TEST(Scan, RateLimitsHold) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  fill_strings(source, 1000);
  Keyferry link(KEYFERRY_BINARY);
  const auto begin = std::chrono::steady_clock::now();

  link.run(source.uri(), target.uri(),
           scanning({"--set", "limits.target_ops_per_s=500", "--stop-when", "snapshot"}));

  EXPECT_EQ(link.wait_exit(Millis{20000}), 0) << link.output();
  EXPECT_GT(std::chrono::steady_clock::now() - begin, Millis{1500});
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(Scan, MirrorRemovesWhatTheSourceLacks) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  fill_strings(source, 100);
  fill_strings(target, 150);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(),
           scanning({"--set", "snapshot.mirror=true", "--stop-when", "snapshot"}));

  EXPECT_EQ(link.wait_exit(Millis{20000}), 0) << link.output();
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

}  // namespace
}  // namespace keyferry::test
