// Ending a link: conditions, signals, HTTP verbs; and what /status, /readyz and /metrics say on the
// way.
#include <csignal>

#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

TEST(Stop, WhenSnapshotIsApplied) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill(source, {.keys = 1000});
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), {"--stop-when", "snapshot"});

  EXPECT_EQ(link.wait_exit(Millis{20000}), 0) << link.output();
  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(Stop, WhenLagIsZeroUnderALiveWriter) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  LiveOptions live;
  live.commands_per_s = 1000;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), {"--stop-when", "lag-zero"});

  EXPECT_EQ(link.wait_exit(Millis{30000}), 0) << link.output();
  EXPECT_NE(link.output().find("lag is zero"), std::string::npos);
}

TEST(Stop, NotBeforeLagIsZero) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           {"--stop-when", "lag-zero", "--set", "stop.stable_for_ms=3000"});
  wait_streaming(link);

  target.sigstop();
  source.command({"SET", "a", "1"});
  const auto code = link.wait_exit(Millis{5000});
  const std::string synced = link.status("synced");
  target.sigcont();

  EXPECT_FALSE(code.has_value());
  EXPECT_EQ(synced, "false");
  EXPECT_EQ(link.wait_exit(Millis{15000}), 0);
  EXPECT_EQ(target.command({"GET", "a"}).text, "1");
}

TEST(Stop, SigtermAppliesWhatWasReceived) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  source.command({"SET", "a", "1"});
  ASSERT_TRUE(link.wait_synced(Millis{5000}));

  link.process().send_signal(SIGTERM);

  EXPECT_EQ(link.wait_exit(Millis{10000}), 0) << link.output();
  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(Stop, SecondSignalLeavesAtOnceWithExit3) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  // Only what was received is waited for, so the stream must have begun.
  source.command({"SET", "first", "1"});
  ASSERT_TRUE(wait_for(Millis{10000}, [&] {
    return target.command({"EXISTS", "first"}).integer == 1;
  }));
  target.sigstop();
  source.command({"SET", "a", "1"});
  std::this_thread::sleep_for(Millis{300});

  link.process().send_signal(SIGINT);
  EXPECT_FALSE(link.wait_exit(Millis{1000}).has_value());
  link.process().send_signal(SIGINT);

  EXPECT_EQ(link.wait_exit(Millis{3000}), 3) << link.output();
  target.sigcont();
}

TEST(Stop, IdleKeepsTheStatusUp) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), {"--stop-when", "lag-zero", "--set", "stop.then=idle"});

  ASSERT_TRUE(link.wait_status("phase", "stopped", Millis{15000})) << link.output();
  EXPECT_EQ(link.http_get("/livez").status, 200);
  link.process().send_signal(SIGTERM);

  EXPECT_EQ(link.wait_exit(Millis{5000}), 0);
}

TEST(Http, TellsTheTruthWhileTheLinkRuns) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill(source, {.keys = 500});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_status("phase", "steady", Millis{15000}));

  EXPECT_EQ(link.http_get("/readyz").status, 200);
  EXPECT_EQ(link.status("stream.applied_offset"), source.info("master_repl_offset"));
  EXPECT_EQ(link.status("snapshot.keys_done"), std::to_string(key_count(source)));
  const std::string metrics = link.http_get("/metrics").body;
  EXPECT_NE(metrics.find("keyferry_phase{"), std::string::npos);
  EXPECT_NE(metrics.find("keyferry_lag_bytes"), std::string::npos);
  EXPECT_EQ(link.http_post("/stop").status, 202);
  EXPECT_EQ(link.wait_exit(Millis{10000}), 0);
}

}  // namespace
}  // namespace keyferry::test
