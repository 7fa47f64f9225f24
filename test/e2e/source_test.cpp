// The source's side of a link: reconnecting where it broke, full syncs, and being a well-behaved
// replica.
#include "e2e/link.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

// Writes `count` increments of one counter: any lost or repeated one shows.
void increment(const RedisServer& source, int count) {
  RespClient client = source.client();
  for (int i = 0; i < count; ++i)
    client.append({"INCR", "counter"});
  client.flush();
  for (int i = 0; i < count; ++i)
    client.read();
}

TEST(SourceLink, GoesOnAtTheExactByteAfterEachCut) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  FaultProxy proxy(source.host(), source.port());
  Keyferry link(KEYFERRY_BINARY);
  link.run(proxy.uri(), target.uri());
  wait_streaming(link);

  for (int round = 1; round <= 12; ++round) {
    proxy.cut_after(Direction::to_client, static_cast<std::uint64_t>(1000 + 37 * round));
    increment(source, 200);
    const auto cuts = static_cast<std::uint64_t>(round);
    ASSERT_TRUE(wait_for(Millis{10000}, [&] { return proxy.cuts() >= cuts; }));
  }
  drain(link);

  EXPECT_EQ(target.command({"GET", "counter"}).text, "2400");
  EXPECT_EQ(source.info("sync_full"), "1");
  EXPECT_GE(std::stoi(source.info("sync_partial_ok")), 10);
}

TEST(SourceLink, CutInsideTheSnapshotBeginsAgain) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill(source, {.keys = 4000, .seed = 3});
  FaultProxy proxy(source.host(), source.port());
  proxy.cut_after(Direction::to_client, 200000);
  Keyferry link(KEYFERRY_BINARY);

  link.run(proxy.uri(), target.uri());
  wait_streaming(link);
  drain(link);

  EXPECT_EQ(proxy.cuts(), 1u);
  EXPECT_EQ(source.info("sync_full"), "2");
  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(SourceLink, FullSyncWhenTheSourceHasForgottenUs) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "gone", "1"});
  source.command({"SET", "stays", "1"});
  FaultProxy proxy(source.host(), source.port());
  Keyferry link(KEYFERRY_BINARY);
  link.run(proxy.uri(), target.uri());
  wait_streaming(link);

  proxy.refuse(true);
  proxy.cut();
  // A new history: the old backlog is void, and a key is deleted that no stream tells about.
  source.command({"DEL", "gone"});
  source.command({"DEBUG", "CHANGE-REPL-ID"});
  source.command({"SET", "fresh", "1"});
  proxy.refuse(false);
  ASSERT_TRUE(link.wait_status("counters.full_resyncs", "1", Millis{20000})) << link.output();
  wait_streaming(link);
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(SourceLink, SecondFullSyncIntoATargetWithKeysOfItsOwnExits4) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  target.command({"SET", "own", "1"});
  FaultProxy proxy(source.host(), source.port());
  Keyferry link(KEYFERRY_BINARY);
  link.run(proxy.uri(), target.uri());
  wait_streaming(link);

  source.command({"DEBUG", "CHANGE-REPL-ID"});
  proxy.cut();

  EXPECT_EQ(link.wait_exit(Millis{20000}), 4) << link.output();
  EXPECT_EQ(target.command({"GET", "own"}).text, "1");
}

TEST(SourceLink, SourceRestartIsRetriedUntilItIsBack) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "a", "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);

  source.kill9();
  ASSERT_TRUE(link.wait_status("lag.bytes", "null", Millis{10000}));
  EXPECT_EQ(link.status("synced"), "false");
  source.restart();
  source.command({"SET", "b", "2"});
  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return target.command({"GET", "b"}).text == "2";
  })) << link.output();
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(SourceLink, WaitsForAReplicaThatHasNoMasterLinkYet) {
  RedisServer target = source_server();
  RedisServer source = source_server({"--replicaof", "127.0.0.1 " + std::to_string(free_port())});
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri());

  EXPECT_EQ(link.wait_exit(Millis{20000}), 3) << link.output();
  EXPECT_NE(link.output().find("NOMASTERLINK"), std::string::npos) << link.output();
}

TEST(Replica, AcknowledgesOnlyWhatIsApplied) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  // WAIT asks about the writes of its own connection.
  RespClient client = source.client();
  client.must({"SET", "a", "1"});
  const Reply in_time = client.command({"WAIT", "1", "3000"});
  target.sigstop();
  client.must({"SET", "b", "1"});
  const Reply stopped = client.command({"WAIT", "1", "1500"});
  target.sigcont();
  const Reply again = client.command({"WAIT", "1", "5000"});

  EXPECT_EQ(in_time.integer, 1);
  EXPECT_EQ(stopped.integer, 0);
  EXPECT_EQ(again.integer, 1);
}

TEST(Replica, ShutdownOfTheSourceIsNotHeldUp) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  source.command({"SET", "last", "1"});

  const auto begin = std::chrono::steady_clock::now();
  RespClient client = source.client();
  client.append({"SHUTDOWN"});
  client.flush();
  ASSERT_TRUE(source.process().wait(Millis{9000}).has_value());

  // The server would wait up to shutdown-timeout, 10 s, for a replica that does not acknowledge.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
  EXPECT_EQ(target.command({"GET", "last"}).text, "1");
}

TEST(Replica, FailoverOnTheSourceRollsBackAtOnce) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  ASSERT_TRUE(wait_for(Millis{5000},
                       [&] { return source.info("slave0").find("online") != std::string::npos; }));

  const Reply answer = source.client().command({"FAILOVER"});
  const bool master_again = wait_for(Millis{5000}, [&] {
    return source.info("role") == "master" && source.info("master_failover_state") == "no-failover";
  });
  const Reply write = source.client().command({"SET", "after", "1"});

  EXPECT_TRUE(master_again) << answer.printable();
  EXPECT_FALSE(write.is_error()) << write.printable();
  ASSERT_TRUE(wait_for(Millis{10000}, [&] {
    return target.command({"GET", "after"}).text == "1";
  })) << link.output();
}

TEST(Replica, SeveralDatabasesAndTransactionsArriveWhole) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  RespClient client = source.client();
  client.command({"SELECT", "3"});
  client.command({"MULTI"});
  for (int i = 0; i < 500; ++i)
    client.command({"RPUSH", "list", std::to_string(i)});
  client.command({"EXEC"});
  client.command({"SELECT", "5"});
  client.command({"MULTI"});
  client.command({"SET", "x", "1"});
  client.command({"SELECT", "6"});
  client.command({"SET", "y", "2"});
  client.command({"EXEC"});
  client.command({"SWAPDB", "3", "7"});
  client.command({"SET", "z", "3"});

  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "");
}

}  // namespace
}  // namespace keyferry::test
