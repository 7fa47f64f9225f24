// A standalone target that refuses, hangs, restarts or loses connections.
#include "e2e/start.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

TEST(Target, LostConnectionsAreMadeAgainAndUnansweredCommandsResent) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  FaultProxy proxy(target.host(), target.port());
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), proxy.uri());
  wait_streaming(link);

  // Absolute commands only: at least once must still end in the source's state.
  RespClient client = source.client();
  for (int round = 0; round < 10; ++round) {
    proxy.cut_after(Direction::to_server, static_cast<std::uint64_t>(5000 + 411 * round));
    for (int i = 0; i < 2000; ++i)
      client.append({"SET", "key:" + std::to_string(i % 97), std::to_string(round * 2000 + i)});
    client.flush();
    for (int i = 0; i < 2000; ++i)
      client.read();
    const auto cuts = static_cast<std::uint64_t>(round + 1);
    ASSERT_TRUE(wait_for(Millis{10000}, [&] { return proxy.cuts() >= cuts; }));
  }
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(Target, ATargetThatHangsIsGivenUpAndTriedAgain) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  FaultProxy proxy(target.host(), target.port());
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, proxy, {"--set", "target.reply_timeout_ms=1000"});

  proxy.stall();
  source.command({"SET", "a", "1"});
  ASSERT_TRUE(wait_for(Millis{10000},
                       [&] { return link.output().find("gives no reply") != std::string::npos; }));
  proxy.resume();

  ASSERT_TRUE(wait_for(Millis{10000}, [&] {
    return target.command({"GET", "a"}).text == "1";
  })) << link.output();
}

TEST(Target, OutOfMemoryIsWaitedOutInOrder) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);

  // [batch 1 refused with OOM, batch 2 accepted: batch 1 lost] is what must not happen.
  target.command({"CONFIG", "SET", "maxmemory", "1"});
  RespClient client = source.client();
  for (int i = 0; i < 1000; ++i)
    client.append({"SET", "key:" + std::to_string(i % 7), std::to_string(i)});
  client.flush();
  for (int i = 0; i < 1000; ++i)
    client.read();
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return link.status("counters.retried") != "0"; }));
  target.command({"CONFIG", "SET", "maxmemory", "0"});
  for (int i = 1000; i < 2000; ++i)
    client.append({"SET", "key:" + std::to_string(i % 7), std::to_string(i)});
  client.flush();
  for (int i = 0; i < 1000; ++i)
    client.read();
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(Target, RefusedCommandEndsTheLinkWithExit1AndIsNamed) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  target.command({"SET", "clash", "text"});

  source.command({"LPUSH", "clash", "x"});

  EXPECT_EQ(link.wait_exit(Millis{10000}), 1) << link.output();
  const std::string output = link.output();
  EXPECT_NE(output.find("WRONGTYPE"), std::string::npos) << output;
  EXPECT_NE(output.find("LPUSH \"clash\""), std::string::npos) << output;
}

// The record has passed the command by then: it must come again all the same.
template <class Target>
void mend_and_go_on(Target& target, const RedisServer& clashing) {
  RedisServer source = source_server();
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  clashing.command({"SET", "clash", "text"});
  source.command({"LPUSH", "clash", "x"});
  source.command({"INCR", "after"});
  ASSERT_EQ(link.wait_exit(Millis{10000}), 1) << link.output();

  clashing.command({"DEL", "clash"});
  start(link, source, target);
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

TEST(Target, RefusedCommandIsMadeGoodAtTheNextStart) {
  RedisServer target = source_server();
  mend_and_go_on(target, target);
}

TEST(Target, RefusedCommandIsMadeGoodAtTheNextStartOnACluster) {
  RedisCluster target;
  mend_and_go_on(target, target.node(target.owner(key_slot("clash"))));
}

TEST(Target, RefusedCommandIsSkippedIntoTheDeadLetterFile) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  const std::string file = link.directory().file("dead.resp");
  start(link, source, target,
        {"--set", "errors.policy=skip", "--set", "errors.dead_letter_file=" + file});
  target.command({"SET", "clash", "text"});

  source.command({"LPUSH", "clash", "x"});
  source.command({"SET", "after", "1"});
  ASSERT_TRUE(link.wait_status("counters.dead_letters", "1", Millis{10000})) << link.output();
  drain(link);

  EXPECT_EQ(read_file(file),
            "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$5\r\nLPUSH\r\n$5\r\nclash\r\n$1\r\nx\r\n");
  EXPECT_EQ(target.command({"GET", "after"}).text, "1");
}

TEST(Target, CommandsOfOurOwnKeysAndOfSentinelsAreDropped) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "keyferry:record", "from the snapshot"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);

  source.command({"SET", "keyferry:{x}:record", "from the stream"});
  source.command({"PUBLISH", "__sentinel__:hello", "127.0.0.1,1,..."});
  source.command({"SET", "mine", "1"});
  ASSERT_TRUE(wait_for(Millis{5000}, [&] { return target.command({"GET", "mine"}).text == "1"; }));

  EXPECT_EQ(key_count(Endpoint::of_uri(target.uri())), 1u);
  EXPECT_TRUE(link.wait_status("counters.filtered", "3", Millis{5000}))
      << link.status("counters.filtered");
}

TEST(Target, DatabaseThatTheTargetLacksEndsTheLink) {
  RedisServer source = source_server();
  RedisServer target = source_server({"--databases", "2"});
  RespClient client = source.client();
  client.command({"SELECT", "7"});
  client.command({"SET", "a", "1"});
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri());

  EXPECT_EQ(link.wait_exit(Millis{10000}), 2) << link.output();
  EXPECT_NE(link.output().find("database 7"), std::string::npos) << link.output();
}

}  // namespace
}  // namespace keyferry::test
