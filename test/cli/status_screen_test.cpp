#include "keyferry/cli/status_screen.hpp"

#include <gtest/gtest.h>

#include "keyferry/admin/status_json.hpp"

namespace keyferry {
namespace {

Status in_snapshot() {
  Status status;
  status.phase = Phase::snapshot;
  status.uptime_s = 75;
  status.source = "127.0.0.1:6379";
  status.snapshot_keys_done = 500'000;
  status.snapshot_keys_total = 2'000'000;
  status.snapshot_bytes_done = 5 * 1024 * 1024;
  status.snapshot_eta_s = 30;
  status.memory_max_bytes = 256 << 20;
  status.retried = 3;
  status.lanes = {{"10.0.0.1:1", 1, 2}, {"10.0.0.1:1", 3, 4}, {"10.0.0.2:1", 0, 5}};
  return status;
}

TEST(StatusScreen, ShowsTheSnapshot) {
  const std::string screen = status_screen(status_json(in_snapshot())).value();

  EXPECT_NE(screen.find("snapshot  [#####---------------] 25%  500,000 of 2,000,000 keys  5.0 MiB  "
                        "eta 30 s\n"),
            std::string::npos)
      << screen;
  EXPECT_NE(screen.find("lag       unknown  unknown\n"), std::string::npos) << screen;
  EXPECT_NE(screen.find("counters  retried 3\n"), std::string::npos) << screen;
  EXPECT_NE(screen.find("target    10.0.0.1:1  2 lanes  4 queued  6 in flight\n"),
            std::string::npos)
      << screen;
  EXPECT_NE(screen.find("target    10.0.0.2:1  1 lanes  0 queued  5 in flight\n"),
            std::string::npos)
      << screen;
  EXPECT_NE(screen.find("error     none\n"), std::string::npos) << screen;
}

TEST(StatusScreen, ShowsTheStream) {
  Status status;
  status.phase = Phase::steady;
  status.synced = true;
  status.lag_bytes = 2048;
  status.lag_ms = 12;
  status.commands_per_s = 12'345;
  status.applied_offset = 77;
  status.last_error = "target: READONLY";
  const std::string screen = status_screen(status_json(status)).value();

  EXPECT_NE(screen.find("  steady, synced  up 0 ms\n"), std::string::npos) << screen;
  EXPECT_NE(screen.find("lag       2.0 KiB  12 ms\n"), std::string::npos) << screen;
  EXPECT_NE(screen.find("stream    12.3k commands/s"), std::string::npos) << screen;
  EXPECT_NE(screen.find("applied 77"), std::string::npos) << screen;
  EXPECT_NE(screen.find("error     target: READONLY\n"), std::string::npos) << screen;
}

TEST(StatusScreen, RefusesWhatIsNoStatus) {
  for (const char* text : {"", "{", "[]", "{}", "{\"phase\":1}", "<html>"}) {
    EXPECT_TRUE(status_screen(text).has_error()) << text;
  }
  EXPECT_TRUE(status_screen("{\"phase\":\"steady\"}").has_value());
}

TEST(StatusScreen, TellsOfTheLastComparison) {
  const std::string status =
      R"({"phase":"steady","verify":{"attempt":2,"running":false,"level":"digest","keys":1000,)"
      R"("keys_total":1000,"missing":3,"ttl":1,"repaired":4,"problem":null}})";

  const auto screen = status_screen(status);
  const VerifySummary last = verify_outcome(status);

  ASSERT_TRUE(screen);
  EXPECT_NE(screen->find("verify    equal  1,000 of 1,000 keys  4 different  4 repaired\n"),
            std::string::npos)
      << *screen;
  EXPECT_EQ(last.attempt, 2U);
  EXPECT_EQ(last.different(), 4U);
  EXPECT_EQ(verify_outcome("{}").attempt, 0U);
}

TEST(LinkLag, IsOfALivingLinkOnly) {
  const LinkLag behind =
      link_lag(R"({"phase":"catch_up","lag":{"ms":70},"shards":[{"source":"h:1"}]})");
  const LinkLag unknown = link_lag(R"({"phase":"snapshot","lag":{"ms":null},"shards":[]})");

  EXPECT_TRUE(behind.is_alive);
  EXPECT_EQ(behind.source, "h:1");
  EXPECT_EQ(behind.lag_ms, 70);
  EXPECT_TRUE(unknown.is_alive);
  EXPECT_EQ(unknown.lag_ms, std::nullopt);
  EXPECT_FALSE(link_lag(R"({"phase":"stopped"})").is_alive);
  EXPECT_FALSE(link_lag("no status").is_alive);
}

}  // namespace
}  // namespace keyferry
