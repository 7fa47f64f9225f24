// What the snapshot carries and how: raw bytes and rewritten values give the same data, keys that
// are there already, losses, and the options that leave a half of the link out.
#include "e2e/link.hpp"
#include "support/cluster.hpp"
#include "support/dataset.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

const std::vector<std::string> snapshot_only = {"--stop-when", "snapshot"};

// Runs a link that ends by itself; its exit code, 99 when it does not end.
int run_to_end(Keyferry& link, const RedisServer& source, const RedisServer& target,
               std::vector<std::string> settings) {
  std::vector<std::string> more = snapshot_only;
  for (std::string& setting : settings) {
    more.push_back("--set");
    more.push_back(std::move(setting));
  }
  link.run(source.uri(), target.uri(), more);
  return link.wait_exit(Millis{60000}).value_or(99);
}

CompareOptions exact() {
  CompareOptions options;
  options.entries_read = true;
  return options;
}

// A stream whose group holds messages that were deleted or trimmed, and one without entries.
void add_streams(const RedisServer& server) {
  RespClient client = server.client();
  for (int i = 1; i < 9; ++i)
    client.must({"XADD", "deleted", std::to_string(i) + "-0", "f", std::to_string(i)});
  client.must({"XGROUP", "CREATE", "deleted", "g", "0"});
  client.must({"XREADGROUP", "GROUP", "g", "c", "COUNT", "6", "STREAMS", "deleted", ">"});
  client.must({"XDEL", "deleted", "1-0", "3-0", "6-0", "8-0"});
  client.must({"XGROUP", "CREATE", "empty", "g", "0", "MKSTREAM"});
  client.must({"XADD", "emptied", "7-7", "f", "v"});
  client.must({"XDEL", "emptied", "7-7"});
}

// A message that is pending although deleted only travels with its whole stream: see
// NamesPendingMessagesOfLargeStreams.
void acknowledge_deleted(RespClient client) {
  client.must({"XACK", "{t0}:stream:0", "workers", "1700000000000-2"});
}

// For tests that count keys: nothing of ours in the target.
std::vector<std::string> without_record(std::vector<std::string> more) {
  more.insert(more.end(), {"--set", "delivery.mode=at_least_once"});
  return more;
}

class SnapshotForm : public testing::TestWithParam<const char*> {};

TEST_P(SnapshotForm, EveryTypeAndEncodingArrives) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill(source, {.keys = 2000, .seed = 31});
  add_streams(source);
  acknowledge_deleted(source.client());
  Keyferry link(KEYFERRY_BINARY);

  ASSERT_EQ(run_to_end(link, source, target, {GetParam()}), 0) << link.output();

  const bool raw = std::string(GetParam()) == "snapshot.restore_max_bytes=512MiB";
  EXPECT_EQ(link.output().find(" rewritten=0 ") != std::string::npos, raw) << link.output();
  EXPECT_EQ(describe(compare(source, target, exact())), "");
}

TEST_P(SnapshotForm, EveryTypeArrivesInACluster) {
  RedisServer source = source_server();
  RedisCluster target;
  fill(source, {.keys = 1000, .seed = 32, .cluster_safe = true});
  acknowledge_deleted(source.client());
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), {"--stop-when", "snapshot", "--set", GetParam()});
  ASSERT_EQ(link.wait_exit(Millis{60000}), 0) << link.output();

  EXPECT_EQ(describe(compare(source, target)), "");
}

INSTANTIATE_TEST_SUITE_P(Limit, SnapshotForm,
                         testing::Values("snapshot.restore_max_bytes=512MiB",
                                         "snapshot.restore_max_bytes=1KiB",
                                         "snapshot.restore_max_bytes=0"),
                         [](const auto& chosen) {
                           const std::string text = chosen.param;
                           return "Of" + text.substr(text.find('=') + 1);
                         });

TEST(Snapshot, KeysThatAreThereAreReplacedKeptOrAnError) {
  RedisServer source = source_server();
  fill(source, {.keys = 400, .seed = 33, .databases = 2});
  acknowledge_deleted(source.client());
  source.command({"SET", "a", "new"});
  source.command({"RPUSH", "b", "new"});
  for (const char* limit : {"1MiB", "0"}) {
    RedisServer target = source_server();
    const auto refill = [&] {
      target.command({"SET", "a", "old"});
      target.command({"SET", "b", "old"});
    };
    refill();
    const std::string bytes = std::string("snapshot.restore_max_bytes=") + limit;
    const std::string no_record = "delivery.mode=at_least_once";  // or it would go on
    Keyferry link(KEYFERRY_BINARY);

    EXPECT_EQ(run_to_end(link, source, target, {bytes, no_record, "snapshot.on_existing_key=fail"}),
              1);
    EXPECT_NE(link.output().find("snapshot.on_existing_key is fail"), std::string::npos)
        << link.output();
    target.command({"FLUSHALL"});
    refill();
    EXPECT_EQ(run_to_end(link, source, target, {bytes, no_record, "snapshot.on_existing_key=skip"}),
              0)
        << link.output();
    EXPECT_EQ(target.command({"GET", "a"}).text, "old");
    EXPECT_EQ(target.command({"GET", "b"}).text, "old");
    EXPECT_EQ(key_count(target), key_count(source));
    EXPECT_EQ(run_to_end(link, source, target, {bytes, no_record}), 0) << link.output();
    EXPECT_EQ(describe(compare(source, target)), "");
  }
}

TEST(Snapshot, NamesPendingMessagesOfLargeStreams) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill(source, {.keys = 20, .seed = 35});
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(run_to_end(link, source, target, {"snapshot.restore_max_bytes=0"}), 1);
  EXPECT_NE(link.output().find("\"{t0}:stream:0\" (database 0) would lose 1 pending entries of "
                               "group \"workers\" whose messages were deleted"),
            std::string::npos)
      << link.output();
}

// Values that go in many parts, sent again whatever part the link breaks in.
TEST(Snapshot, LargeValuesSurviveLostConnections) {
  RedisServer source = source_server();
  fill(source, {.keys = 20, .seed = 36});
  acknowledge_deleted(source.client());
  RespClient client = source.client();
  const std::string value(2000, 'v');
  for (int i = 1; i <= 3000; ++i) {
    client.append({"RPUSH", "many", value + std::to_string(i)});
    client.append({"XADD", "log", std::to_string(i) + "-0", "f", value});
    client.append({"APPEND", "text", value + std::to_string(i)});
  }
  client.flush();
  for (int i = 0; i < 9000; ++i)
    client.read();
  for (const Direction direction : {Direction::to_server, Direction::to_client}) {
    RedisServer target = source_server();
    FaultProxy proxy(target.host(), target.port());
    Keyferry link(KEYFERRY_BINARY);
    proxy.throttle(Direction::to_server, 20 * 1024 * 1024);
    link.run(source.uri(), proxy.uri(),
             {"--stop-when", "snapshot", "--set", "snapshot.restore_max_bytes=0"});
    ASSERT_TRUE(link.wait_status("phase", "snapshot", Millis{10000})) << link.output();
    const std::uint64_t step = direction == Direction::to_server ? 1234567 : 51;
    while (link.is_running()) {
      const std::uint64_t cuts = proxy.cuts();
      proxy.cut_after(direction, step);
      wait_for(Millis{2000}, [&] { return proxy.cuts() > cuts || !link.is_running(); });
      if (proxy.cuts() > 12) break;
    }
    proxy.throttle(Direction::to_server, 0);

    ASSERT_EQ(link.wait_exit(Millis{60000}), 0) << link.output();
    EXPECT_GT(proxy.cuts(), 5u);
    EXPECT_EQ(describe(compare(source, target, exact())), "");
  }
}

TEST(Snapshot, NothingOfABrokenSnapshotComesBack) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  RespClient client = source.client();
  fill_strings(source, 300);
  std::mt19937_64 random(1);
  const std::string value = any_bytes(random, 200000);
  for (int i = 0; i < 100; ++i)
    client.must({"RPUSH", "big", value + std::to_string(i)});
  FaultProxy proxy(source.host(), source.port());
  Keyferry link(KEYFERRY_BINARY);
  proxy.throttle(Direction::to_client, 4 * 1024 * 1024);
  proxy.cut_after(Direction::to_client, 3 * 1024 * 1024);
  link.run(proxy.uri(), target.uri(), {"--set", "snapshot.restore_max_bytes=0"});
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return proxy.cuts() > 0; }));
  proxy.refuse(true);
  for (int i = 0; i < 300; ++i)
    client.must({"DEL", "key:" + std::to_string(i)});
  client.must({"LTRIM", "big", "50", "-1"});
  proxy.throttle(Direction::to_client, 0);
  proxy.refuse(false);
  wait_streaming(link);
  drain(link);

  EXPECT_EQ(describe(compare(source, target, exact())), "");
}

TEST(Snapshot, CannotBeLeftOutTwice) {
  RedisServer source = source_server({"--repl-backlog-size", "16kb"});
  RedisServer target = source_server();
  FaultProxy proxy(source.host(), source.port());
  Keyferry link(KEYFERRY_BINARY);
  link.run(proxy.uri(), target.uri(), without_record({"--set", "snapshot.enabled=false"}));
  wait_streaming(link);
  source.command({"SET", "a", "1"});
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return key_count(target) == 1; }));

  // The source forgets where we were: what it did meanwhile is in its snapshot only.
  proxy.refuse(true);
  proxy.cut();
  fill_strings(source, 3000);
  proxy.refuse(false);

  ASSERT_EQ(link.wait_exit(Millis{30000}), 4) << link.output();
  EXPECT_EQ(key_count(target), 1u);
}

TEST(Snapshot, LargeValuesWaitForATargetOutOfMemory) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill(source, {.keys = 20, .seed = 37});
  acknowledge_deleted(source.client());
  Keyferry link(KEYFERRY_BINARY);
  target.command({"CONFIG", "SET", "maxmemory", "3mb"});
  link.run(source.uri(), target.uri(),
           {"--stop-when", "snapshot", "--set", "snapshot.restore_max_bytes=0"});
  // More room now and then: refusals come and go while parts are in flight.
  for (int mb = 4; mb < 9; ++mb) {
    std::this_thread::sleep_for(Millis{200});
    target.command({"CONFIG", "SET", "maxmemory", std::to_string(mb) + "mb"});
  }
  EXPECT_NE(link.status("counters.retried"), "0");
  target.command({"CONFIG", "SET", "maxmemory", "0"});

  ASSERT_EQ(link.wait_exit(Millis{60000}), 0) << link.output();
  EXPECT_EQ(describe(compare(source, target, exact())), "");
}

TEST(Snapshot, MirrorRemovesWhatTheSourceDoesNotHave) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill(source, {.keys = 400, .seed = 34});
  fill_strings(target, 3000);
  RespClient client = target.client();
  client.must({"SELECT", "5"});
  client.must({"SET", "other", "database"});
  Keyferry link(KEYFERRY_BINARY);

  ASSERT_EQ(run_to_end(link, source, target, {"snapshot.mirror=true"}), 0) << link.output();

  EXPECT_EQ(describe(compare(source, target)), "");
  EXPECT_EQ(key_count(target), key_count(source));
}

TEST(Snapshot, CanBeLeftOut) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill_strings(source, 1000);
  RespClient client = source.client();
  client.must({"SELECT", "3"});
  client.must({"SET", "before", "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), without_record({"--set", "snapshot.enabled=false"}));
  wait_streaming(link);

  client.must({"SET", "after", "2"});
  drain(link);

  EXPECT_EQ(key_count(target), 1u);
  RespClient reader = target.client();
  reader.must({"SELECT", "3"});
  EXPECT_EQ(reader.must({"GET", "after"}).text, "2");
}

TEST(Snapshot, CanBeAll) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill_strings(source, 1000);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), {"--set", "stream.enabled=false"});

  ASSERT_EQ(link.wait_exit(Millis{30000}), 0) << link.output();
  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(Snapshot, ShowsTheClockSkew) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);

  const std::string skew = link.status("clock_skew_ms");

  ASSERT_NE(skew, "");
  ASSERT_NE(skew, "null");
  EXPECT_LT(std::abs(std::stoi(skew)), 100) << skew;
}

RedisServer server_of(const char* name) {
  ServerOptions options;
  options.release = release(name);
  return RedisServer(std::move(options));
}

bool is_missing(const char* name) {
  return !release(name).unreachable.empty();
}

TEST(Snapshot, ScriptsOfAnOldSourceAreLoaded) {
  if (is_missing("redis-6.0")) GTEST_SKIP();
  RedisServer source = server_of("redis-6.0");
  RedisServer target = source_server();
  const std::string digest = source.command({"SCRIPT", "LOAD", "return 7"}).text;
  Keyferry link(KEYFERRY_BINARY);

  ASSERT_EQ(run_to_end(link, source, target, {}), 0) << link.output();

  EXPECT_EQ(target.command({"EVALSHA", digest, "0"}).integer, 7);
}

TEST(Snapshot, NamesWhatATargetCannotHold) {
  if (is_missing("redis-8.0")) GTEST_SKIP();
  RedisServer source = server_of("redis-8.0");
  RedisServer target = source_server();
  source.command({"HSET", "h", "f", "v", "g", "w"});
  source.command({"HPEXPIREAT", "h", "4000000000000", "FIELDS", "1", "f"});
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(run_to_end(link, source, target, {}), 1);
  EXPECT_NE(link.output().find("key \"h\" (database 0) would lose the expiry times of its fields"),
            std::string::npos)
      << link.output();

  EXPECT_EQ(run_to_end(link, source, target, {"snapshot.on_lossy=warn"}), 0) << link.output();
  EXPECT_EQ(target.command({"HGET", "h", "f"}).text, "v");
}

TEST(Snapshot, ImportModeLastsAsLongAsTheLink) {
  if (is_missing("valkey-8.1")) GTEST_SKIP();
  RedisServer source = source_server();
  RedisServer target = server_of("valkey-8.1");
  source.command({"SET", "short", "v", "PX", "1500"});
  const auto mode = [&] { return target.command({"CONFIG", "GET", "import-mode"}).items[1].text; };
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), without_record({}));
  wait_streaming(link);
  EXPECT_EQ(mode(), "yes");

  // The key goes when the source says so; a renewed one stays whatever the target's clock says.
  source.sigstop();
  std::this_thread::sleep_for(Millis{2000});
  EXPECT_EQ(target.command({"DBSIZE"}).integer, 1);
  source.sigcont();
  drain(link);

  EXPECT_EQ(target.command({"DBSIZE"}).integer, 0);
  EXPECT_EQ(mode(), "no");
}

}  // namespace
}  // namespace keyferry::test
