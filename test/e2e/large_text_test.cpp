// Texts of collections that are larger than what may be held: no command can be cut, so they go
// through a file, and memory stays as small as ever.
#include <cstdio>
#include <random>

#include <malloc.h>

#include "e2e/link.hpp"
#include "support/cluster.hpp"

namespace keyferry::test {
namespace {

constexpr std::size_t large_bytes = 20 * 1024 * 1024;
constexpr std::int64_t budget_mib = 16;

std::vector<std::string> small_memory(std::vector<std::string> more = {}) {
  more.insert(more.end(),
              {"--set", "limits.memory_max_bytes=" + std::to_string(budget_mib) + "MiB"});
  return more;
}

// A child's peak counts what we held ourselves when it was started.
void give_memory_back() {
  ::malloc_trim(0);
}

// One large text in each kind of collection, between small ones; one of them can be compressed.
void write_large_texts(const RedisServer& source) {
  std::mt19937_64 random(5);
  RespClient client = source.client(Millis{60000});
  const std::string text = any_bytes(random, large_bytes);
  const std::string shorter = text.substr(0, large_bytes / 8);
  client.must({"HSET", "{l}hash", "before", "1", "large", text, "behind", "2"});
  client.must({"HSET", "{l}hash", "words", std::string(2 * large_bytes, 'x')});
  client.must({"SADD", "{l}set", "before", shorter, "behind"});
  client.must({"ZADD", "{l}zset", "1", "before", "2.5", shorter, "3", "behind"});
  client.must(
      {"RPUSH", "{l}list", "before", text, "behind", std::string(large_bytes, 'y'), "last"});
  client.must({"PEXPIRE", "{l}list", "3600000"});
  client.must({"SET", "small", "1"});
}

template <class Target>
void expect_equal_within_memory(const RedisServer& source, const Target& target, Keyferry& link) {
  ASSERT_EQ(link.wait_exit(Millis{60000}).value_or(99), 0) << link.output();
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
  const std::int64_t peak_mib = link.usage().peak_rss_kib / 1024;
  std::printf("peak RSS %lld MiB\n", static_cast<long long>(peak_mib));
  EXPECT_LT(peak_mib, budget_mib + 64);
}

TEST(LargeTexts, GoThroughAFileToAServer) {
  const RedisServer source = source_server();
  const RedisServer target = source_server();
  write_large_texts(source);
  give_memory_back();
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), small_memory({"--stop-when", "lag-zero"}));

  expect_equal_within_memory(source, target, link);
}

TEST(LargeTexts, GoThroughAFileIntoACluster) {
  const RedisServer source = source_server();
  RedisCluster target;
  write_large_texts(source);
  give_memory_back();
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), small_memory({"--stop-when", "lag-zero"}));

  expect_equal_within_memory(source, target, link);
}

TEST(LargeTexts, AreSentAgainOverANewConnection) {
  const RedisServer source = source_server();
  const RedisServer target = source_server();
  write_large_texts(source);
  give_memory_back();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), small_memory({"--stop-when", "lag-zero"}));

  const auto has_begun = [](const std::string& json) {
    return json_field(json, "phase") == "snapshot";
  };
  ASSERT_TRUE(link.wait_until(has_begun, Millis{20000})) << link.output();

  RespClient client = target.client(Millis{60000});
  for (int i = 0; i < 12 && link.is_running(); ++i) {
    client.must({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
    std::this_thread::sleep_for(Millis{40});
  }
  EXPECT_NE(link.status("reconnects"), "0");

  expect_equal_within_memory(source, target, link);
}

TEST(LargeTexts, WaitForATargetThatHasNoMemory) {
  const RedisServer source = source_server();
  const RedisServer target = source_server({"--maxmemory", "60mb"});
  write_large_texts(source);
  give_memory_back();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), small_memory({"--stop-when", "lag-zero"}));
  const auto is_refused = [](const std::string& json) {
    return std::stoull("0" + json_field(json, "counters.retried")) > 0;
  };
  EXPECT_TRUE(link.wait_until(is_refused, Millis{20000})) << link.output();

  target.command({"CONFIG", "SET", "maxmemory", "0"});

  expect_equal_within_memory(source, target, link);
}

TEST(LargeTexts, AreRefusedByNameWhereNoFileMayBeUsed) {
  const RedisServer source = source_server();
  const RedisServer target = source_server();
  std::mt19937_64 random(6);
  source.command({"HSET", "hash", "large", any_bytes(random, large_bytes)});
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(),
           small_memory({"--stop-when", "lag-zero", "--set", "spool.enabled=false"}));

  EXPECT_EQ(link.wait_exit(Millis{20000}).value_or(99), 1) << link.output();
  EXPECT_NE(link.output().find("key \"hash\": it holds a text that is larger than may be held"),
            std::string::npos)
      << link.output();
}

// The only command that reads a field's value gives all of it.
TEST(LargeTexts, AreRefusedByNameInScanMode) {
  const RedisServer source = source_server({"--notify-keyspace-events", "AE"});
  const RedisServer target = source_server();
  source.command({"HSET", "hash", "large", std::string(large_bytes, 'x')});
  give_memory_back();
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), small_memory({"--set", "source.mode=scan"}));

  EXPECT_EQ(link.wait_exit(Millis{20000}).value_or(99), 1) << link.output();
  EXPECT_NE(link.output().find("key \"hash\" (database 0): large value: a reply of more than"),
            std::string::npos)
      << link.output();
  EXPECT_LT(link.usage().peak_rss_kib / 1024, budget_mib + 64);
}

// A stream above snapshot.restore_max_bytes whose group has more pending entries than may be held.
TEST(LargeTexts, PendingEntriesAreBounded) {
  const RedisServer source = source_server();
  source.command({"EVAL",
                  "for i = 1, 60000 do redis.call('XADD', 's', i .. '-1', 'f', 'v') end "
                  "redis.call('XGROUP', 'CREATE', 's', 'g', '0') "
                  "redis.call('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '>')",
                  "0"});
  for (const bool warns : {false, true}) {
    const RedisServer target = source_server();
    Keyferry link(KEYFERRY_BINARY);
    std::vector<std::string> more = {"--stop-when", "lag-zero",
                                     "--set",       "snapshot.restore_max_bytes=64KiB",
                                     "--set",       "limits.memory_max_bytes=4MiB"};
    if (warns) more.insert(more.end(), {"--set", "snapshot.on_lossy=warn"});

    link.run(source.uri(), target.uri(), more);

    EXPECT_EQ(link.wait_exit(Millis{20000}).value_or(99), warns ? 0 : 1) << link.output();
    EXPECT_NE(link.output().find("key \"s\" (database 0) would lose 27232 pending entries"),
              std::string::npos)
        << link.output();
    if (!warns) continue;
    EXPECT_EQ(target.command({"XLEN", "s"}).integer, 60000);
    EXPECT_EQ(target.command({"XPENDING", "s", "g"}).items.at(0).integer, 32768);
  }
}

}  // namespace
}  // namespace keyferry::test
