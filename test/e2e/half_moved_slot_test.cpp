// A slot of the target that stays half moved, exactly once: past delivery.migrating_max_s it goes
// on command by command, each announced in the slot's record.
#include <fmt/format.h>

#include "e2e/start.hpp"
#include "keyferry/base/checksum.hpp"

namespace keyferry::test {
namespace {

const std::vector<std::string> impatient = with({"--set", "delivery.migrating_max_s=1"});

void increment_all(RedisServer& source, int keys) {
  RespClient client = source.client();
  for (int i = 0; i < keys; ++i) {
    client.must({"INCR", "{tag}" + std::to_string(i)});
    client.must({"SET", "{tag}absolute" + std::to_string(i), std::to_string(i)});
  }
}

TEST(HalfMovedSlot, GoesOnCommandByCommandThroughKills) {
  constexpr int keys = 100;
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, impatient);
  increment_all(source, keys);
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  const int slot = key_slot("{tag}");
  const std::size_t to = (target.owner(slot) + 1) % 3;
  target.begin_move(slot, to);
  target.migrate_keys(slot, to, 90);

  for (int round = 0; round < 5; ++round) {
    increment_all(source, keys);
    std::this_thread::sleep_for(Millis{1200 + 90 * round});
    link.process().kill9();
    link.run(source.uri(), target.uri(), impatient);
  }
  EXPECT_TRUE(link.wait_synced(Millis{30000})) << "the slot is still half moved\n" << link.output();
  EXPECT_NE(link.output().find("goes on command by command"), std::string::npos) << link.output();

  increment_all(source, keys);
  while (target.migrate_keys(slot, to, 20) > 0) {
  }
  target.finish_move(slot, to);
  drain(link);
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

// An ASK for one command of a run says nothing about the run's first one.
TEST(HalfMovedSlot, AKeyThatHasNotMovedIsNotWrittenToTheOtherSide) {
  constexpr int tags = 300;
  RedisServer source = source_server();
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, impatient);
  RespClient client = source.client();
  const auto tag = [](int i) { return "{" + std::to_string(i) + "}"; };
  const auto write = [&](int i, bool first, bool rest) {
    if (first) client.append({"INCR", tag(i) + "stays"});
    if (rest) client.append({"SET", tag(i) + "stays too", "1"});
    if (rest) client.append({"INCR", tag(i) + "moves"});
  };
  const auto flush = [&](int replies) {
    client.flush();
    for (int i = 0; i < replies; ++i)
      client.read();
  };
  for (int i = 0; i < tags; ++i)
    write(i, true, true);
  flush(3 * tags);
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  for (int i = 0; i < tags; ++i) {
    const int slot = key_slot(tag(i));
    const std::size_t to = (target.owner(slot) + 1) % 3;
    target.begin_move(slot, to);
    target.node(target.owner(slot))
        .command({"MIGRATE", "127.0.0.1", std::to_string(target.node(to).port()), tag(i) + "moves",
                  "0", "1000"});
  }

  for (int i = 0; i < tags; ++i)
    write(i, true, false);
  for (int i = 0; i < tags; ++i)
    write(i, false, true);
  flush(3 * tags);

  for (int i = 0; i < tags; ++i) {
    const int slot = key_slot(tag(i));
    RedisServer& taker = target.node((target.owner(slot) + 1) % 3);
    RespClient asking = taker.client();
    const auto has_come = [&] {
      asking.must({"ASKING"});
      return asking.command({"GET", tag(i) + "moves"}).text == "2";
    };
    ASSERT_TRUE(wait_for(Millis{15000}, has_come)) << i << link.output();
    ASSERT_EQ(taker.command({"CLUSTER", "COUNTKEYSINSLOT", std::to_string(slot)}).integer, 1) << i;
  }
}

// What the next process finds after a crash between an announcement and its command, or behind the
// command.
class Announcement : public testing::TestWithParam<bool> {};

TEST_P(Announcement, TellsWhetherTheCommandTookPlace) {
  const bool took_place = GetParam();
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, impatient);
  source.command({"INCRBY", "{tag}n", "5"});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  drain(link);
  RedisServer& owner = target.node(target.owner(key_slot("{tag}")));
  const std::string record = owner.command({"KEYS", "keyferry:*:slot"}).items.at(0).text;
  const std::string dump = owner.command({"DUMP", "{tag}n"}).text;

  source.command({"INCR", "{tag}n"});
  const std::string end = source.info("master_repl_offset");
  if (took_place) owner.command({"INCR", "{tag}n"});
  const std::string intent = fmt::format(
      " intent={}:{:x}:{}", end, crc64(0, dump.substr(0, dump.size() - 10)), "7b7461677d6e");
  owner.command({"SET", record, owner.command({"GET", record}).text + intent});
  link.run(source.uri(), target.uri(), impatient);
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  EXPECT_EQ(owner.command({"GET", "{tag}n"}).text, "6") << link.output();
  EXPECT_EQ(link.status("counters.healed_keys"), took_place ? "1" : "0") << link.output();
}

INSTANTIATE_TEST_SUITE_P(HalfMovedSlot, Announcement, testing::Bool());

}  // namespace
}  // namespace keyferry::test
