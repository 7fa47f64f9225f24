// A target 80 ms away: one transaction waits for the verdict on the one before it, so each must be
// large enough to fill the line.
#include <csignal>

#include "link.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

TEST(FarTarget, IsCaughtUpWithAtMoreThanTwentyMegabytesPerSecond) {
  constexpr double least_bytes_per_s = 20e6;
  RedisServer source = source_server({"--client-output-buffer-limit", "replica 0 0 0"});
  RedisServer target = source_server();
  FaultProxy proxy(target.host(), target.port());
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), proxy.uri(), {"--set", "spool.dir="});
  wait_streaming(link);
  proxy.delay(Direction::to_server, Millis{40});
  proxy.delay(Direction::to_client, Millis{40});
  link.process().send_signal(SIGSTOP);
  fill_strings(source, 300000, 300);
  const double bytes = std::stod(source.info("master_repl_offset"));

  const auto begin = std::chrono::steady_clock::now();
  link.process().send_signal(SIGCONT);
  const bool arrived =
      wait_for(Millis{60000}, [&] { return target.command({"DBSIZE"}).integer >= 300000; });
  const double took_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

  ASSERT_TRUE(arrived) << link.output();
  RecordProperty("megabytes_per_s", std::to_string(bytes / took_s / 1e6));
  std::printf("%.1f MB in %.2f s: %.1f MB/s\n", bytes / 1e6, took_s, bytes / took_s / 1e6);
  EXPECT_GT(bytes / took_s, least_bytes_per_s);
  drain(link);
  EXPECT_EQ(describe(compare(source, target)), "");
}

}  // namespace
}  // namespace keyferry::test
