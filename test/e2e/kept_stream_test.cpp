// The received stream outlives the process where spool.dir is given: the source's backlog (16 KiB
// here, the least that a server takes) no longer bounds what may be restarted or gone back to.
#include <csignal>

#include "e2e/start.hpp"

namespace keyferry::test {
namespace {

const std::vector<std::string> small_backlog = {"--repl-backlog-size", "16kb"};

// `times` relative commands of 1 KB each.
void append(RedisServer& server, int times) {
  RespClient client = server.client();
  const std::string part(1000, 'x');
  for (int i = 0; i < times; ++i)
    client.must({"APPEND", "text:" + std::to_string(i % 7), part + std::to_string(i)});
}

bool received_everything(RedisServer& source, Keyferry& link) {
  return wait_for(Millis{20000}, [&] {
    return link.status("stream.received_offset") == source.info("master_repl_offset");
  });
}

// Kills the link while the target stands still and more than the backlog has been received. How
// often the source had to send a snapshot.
std::string kill_during_an_outage(const std::vector<std::string>& options) {
  RedisServer source = source_server(small_backlog);
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, with(options));
  append(source, 10);
  EXPECT_TRUE(link.wait_synced(Millis{10000})) << link.output();
  target.sigstop();
  append(source, 3000);
  EXPECT_TRUE(received_everything(source, link)) << link.output();

  link.process().kill9();
  target.sigcont();
  start(link, source, target, with(options));
  append(source, 10);

  drain(link);
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
  return source.info("sync_full");
}

TEST(KeptStream, LetsAKilledLinkGoOnWhereTheBacklogDoesNotReach) {
  EXPECT_EQ(kill_during_an_outage({}), "1");
}

TEST(KeptStream, IsWhatMakesTheDifference) {
  EXPECT_EQ(kill_during_an_outage({"--set", "spool.enabled=false"}), "2");
}

TEST(KeptStream, BringsATargetUpAgainThatLostMoreThanTheBacklogHolds) {
  RedisServer source = source_server(small_backlog);
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  append(source, 500);
  ASSERT_TRUE(link.wait_synced(Millis{10000}));
  target.command({"SAVE"});
  append(source, 1500);
  ASSERT_TRUE(link.wait_synced(Millis{10000}));

  target.kill9();
  append(source, 500);
  target.restart();
  append(source, 10);

  ASSERT_TRUE(received_everything(source, link)) << link.output();
  drain(link);
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
  EXPECT_NE(link.output().find("is here"), std::string::npos) << link.output();
}

TEST(KeptStream, IsNotUsedWhenTheSourceHasAnotherHistory) {
  RedisServer source = source_server(small_backlog);
  RedisServer other = source_server(small_backlog);
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, with({"--set", "delivery.link=same"}));
  append(source, 100);
  ASSERT_TRUE(link.wait_synced(Millis{10000}));
  link.process().kill9();
  append(other, 50);

  start(link, other, target, with({"--set", "delivery.link=same"}));
  append(other, 50);

  drain(link);
  EXPECT_EQ(describe(compare(other, target)), "") << link.output();
}

TEST(KeptStream, GoesOnWhenItsDiskSpaceWasUsedUp) {
  RedisServer source = source_server(
      {"--repl-backlog-size", "16kb", "--client-output-buffer-limit", "replica 0 0 0"});
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, with({"--set", "spool.max_bytes=3MiB"}));
  target.sigstop();
  append(source, 20000);
  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return link.output().find("spool is full") != std::string::npos;
  })) << link.output();
  target.sigcont();

  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
  EXPECT_EQ(source.info("sync_full"), "1") << link.output();
}

}  // namespace
}  // namespace keyferry::test
