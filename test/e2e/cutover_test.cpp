// Handing over: whatever goes wrong before the fence leaves the source as it was. (Under load:
// cutover_load_test.)
#include "e2e/cutover.hpp"

#include <unistd.h>

namespace keyferry::test {
namespace {

TEST(Cutover, IsTakenBackWhenTheTargetDoesNotFollow) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), {"--set", "cutover.pause_timeout_ms=2000"});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  target.sigstop();
  source.command({"SET", "a", "1"});

  const Outcome failed = command({"cutover", "--http", http_of(link)});

  EXPECT_EQ(failed.code, 3) << failed.output;
  EXPECT_NE(failed.output.find("did not catch up"), std::string::npos) << failed.output;
  EXPECT_EQ(write_to(source), "OK");
  target.sigcont();
  ASSERT_TRUE(wait_for(Millis{15000}, [&] {
    return target.command({"GET", "probe"}).text == "1";
  })) << link.output();
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  // And it can be tried again.
  EXPECT_EQ(command({"cutover", "--http", http_of(link)}).code, 0) << link.output();
  EXPECT_EQ(link.wait_exit(Millis{10000}), 0);
}

// Killed at each step: what was paused ends by itself, what was fenced stays fenced until undone.
TEST(Cutover, KilledWhileWaitingLeavesTheSourceFree) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), {"--set", "cutover.max_lag_bytes=0"});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  target.sigstop();
  source.command({"SET", "a", "1"});
  ASSERT_TRUE(link.wait_until(
      [](const std::string& json) { return json_field(json, "lag.bytes") != "0"; }, Millis{5000}));
  EXPECT_EQ(link.http_post("/cutover").status, 202);
  ASSERT_TRUE(link.wait_status("cutover.state", "waiting", Millis{5000}));
  link.process().kill9();
  target.sigcont();

  EXPECT_EQ(write_to(source), "OK");
}

TEST(Cutover, KilledWhilePausedLeavesThePauseToEndByItself) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), {"--set", "cutover.pause_timeout_ms=3000"});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  target.sigstop();
  source.command({"SET", "a", "1"});
  EXPECT_EQ(link.http_post("/cutover").status, 202);
  ASSERT_TRUE(link.wait_status("cutover.state", "paused", Millis{5000}));
  const auto begin = std::chrono::steady_clock::now();
  link.process().kill9();
  target.sigcont();

  EXPECT_EQ(write_to(source), "no answer");
  EXPECT_TRUE(wait_for(Millis{4000}, [&] { return write_to(source) == "OK"; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
}

TEST(Cutover, KilledAfterTheFenceLeavesTheFence) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  const std::string note = link.directory().file("switching");
  link.run(source.uri(), target.uri(),
           {"--set", "cutover.pause_timeout_ms=2000", "--set",
            "cutover.on_switch=touch " + note + " && sleep 2"});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  EXPECT_EQ(link.http_post("/cutover").status, 202);
  ASSERT_TRUE(wait_for(Millis{5000}, [&] { return access(note.c_str(), F_OK) == 0; }));
  link.process().kill9();

  EXPECT_TRUE(wait_for(Millis{4000}, [&] { return write_to(source).rfind("NOREPLICAS", 0) == 0; }));
  EXPECT_EQ(command({"cutover", "--undo-fence", "--source", source.uri()}).code, 0);
  // The pause has its own end.
  EXPECT_TRUE(wait_for(Millis{4000}, [&] { return write_to(source) == "OK"; }));
}

TEST(Cutover, IsRefusedInOtherPhases) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  link.http_post("/pause");
  ASSERT_TRUE(link.wait_status("phase", "paused", Millis{5000}));
  EXPECT_EQ(link.http_post("/cutover").status, 409);
  EXPECT_EQ(link.status("cutover"), "null");
  link.http_post("/resume");
  drain(link);
}

}  // namespace
}  // namespace keyferry::test
