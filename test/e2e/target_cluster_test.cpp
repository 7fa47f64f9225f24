// A cluster target while slots move, and commands that a cluster cannot take as they are.
#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

// SETs over `keys` keys until stopped: absolute, so the last write must win on both ends.
class SetWriter {
 public:
  SetWriter(const RedisServer& source, int keys, const std::string& tag = "") {
    thread_ = std::thread([this, client = source.client(), keys, tag]() mutable {
      for (int i = 0; !stopping_; i += 50) {
        for (int k = 0; k < 50; ++k)
          client.append(
              {"SET", tag + "key:" + std::to_string((i + k * 31) % keys), std::to_string(i + k)});
        client.flush();
        for (int k = 0; k < 50; ++k)
          client.read();
        std::this_thread::sleep_for(Millis{2});
      }
    });
  }
  ~SetWriter() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

TEST(ClusterTarget, SlotsMovedUnderAStreamOfSets) {
  RedisServer source = source_server();
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  SetWriter writer(source, 3000);
  link.run(source.uri(), target.uri());
  wait_streaming(link);

  for (int slot = 0; slot < 16384; slot += 512) {
    target.move_slot(slot, (target.owner(slot) + 1) % 3);
  }
  for (int key = 0; key < 40; ++key) {
    const int slot = key_slot("key:" + std::to_string(key));
    target.move_slot(slot, (target.owner(slot) + 1) % 3);
  }
  EXPECT_NE(link.status("counters.redirected"), "0");
  writer.stop();
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(ClusterTarget, ASlotLeftHalfMigratedIsServedByAsk) {
  RedisServer source = source_server();
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  SetWriter writer(source, 200, "{tag}");
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{300});
  const int slot = key_slot("{tag}");
  const std::size_t to = (target.owner(slot) + 1) % 3;

  target.begin_move(slot, to);
  target.migrate_keys(slot, to, 50);
  std::this_thread::sleep_for(Millis{1500});
  while (target.migrate_keys(slot, to, 50) > 0)
    std::this_thread::sleep_for(Millis{5});
  target.finish_move(slot, to);
  std::this_thread::sleep_for(Millis{300});
  writer.stop();
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

// A slot that was refused something long ago has been at rest since; then another is refused.
TEST(ClusterTarget, ASlotAtRestIsNotInTrouble) {
  RedisServer source = source_server();
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), {"--set", "target.reconnect_max_s=2"});
  wait_streaming(link);
  const int at_rest = key_slot("{rest}");
  const std::size_t rest_to = (target.owner(at_rest) + 1) % 3;
  target.begin_move(at_rest, rest_to);
  source.command({"SET", "{rest}", "asked for at the other side"});
  ASSERT_TRUE(link.wait_status("counters.applied", "1", Millis{10000})) << link.output();
  target.finish_move(at_rest, rest_to);
  source.command({"MSET", "{half}a", "1", "{half}b", "2"});
  ASSERT_TRUE(link.wait_status("counters.applied", "2", Millis{10000})) << link.output();
  std::this_thread::sleep_for(Millis{2500});

  const int half = key_slot("{half}");
  const std::size_t half_to = (target.owner(half) + 1) % 3;
  target.begin_move(half, half_to);
  target.migrate_keys(half, half_to, 1);
  source.command({"MSET", "{half}a", "3", "{half}b", "4"});
  std::this_thread::sleep_for(Millis{500});
  target.migrate_keys(half, half_to);
  target.finish_move(half, half_to);
  drain(link, Millis{10000});

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(ClusterTarget, MultiSlotCommandsAreSplitAndTransactionsCounted) {
  RedisServer source = source_server();
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  RespClient client = source.client();
  client.must({"MSET", "a", "1", "b", "2", "c", "3", "d", "4"});
  client.must({"MSETNX", "e", "5", "f", "6"});
  client.must({"DEL", "a", "b"});
  client.must({"MULTI"});
  client.must({"SET", "g", "7"});
  client.must({"SET", "h", "8"});
  client.must({"INCR", "g"});
  client.must({"EXEC"});
  client.must({"MULTI"});
  client.must({"SET", "{t}1", "7"});
  client.must({"SET", "{t}2", "8"});
  client.must({"EXEC"});
  ASSERT_TRUE(link.wait_status("counters.transactions_split", "1", Millis{10000})) << link.output();
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(ClusterTarget, FlushAndFunctionsReachEveryMasterInOrder) {
  RedisServer source = source_server();
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  RespClient client = source.client();
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 500; ++i)
      client.append({"SET", "key:" + std::to_string(i + round * 100), "v"});
    client.append({"FLUSHALL"});
    for (int i = 0; i < 200; ++i)
      client.append({"SET", "after:" + std::to_string(i), std::to_string(round)});
    client.flush();
    for (int i = 0; i < 701; ++i)
      client.read();
  }
  client.must({"FUNCTION", "LOAD",
               "#!lua name=lib\nredis.register_function('f', function() return 1 end)"});
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "");
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(target.node(i).command({"FUNCTION", "LIST"}).items.size(), 1u);
  }
}

TEST(ClusterTarget, ARestartedMasterIsWaitedFor) {
  RedisServer source = source_server();
  RedisCluster target;
  for (std::size_t i = 0; i < 3; ++i)
    target.node(i).command({"CONFIG", "SET", "appendonly", "yes"});
  Keyferry link(KEYFERRY_BINARY);
  SetWriter writer(source, 500);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  ASSERT_TRUE(wait_for(Millis{10000},
                       [&] { return target.node(1).info("aof_rewrite_in_progress") == "0"; }));

  target.node(1).restart({"--appendonly", "yes"});
  target.wait_ok();
  std::this_thread::sleep_for(Millis{500});
  writer.stop();
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

}  // namespace
}  // namespace keyferry::test
