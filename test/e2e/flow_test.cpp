// A target that is slower than the source: back-pressure first, the spool when the source's output
// buffer is in danger, and the source never drops us.
#include <filesystem>

#include "e2e/link.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

TEST(Flow, SpoolsDuringTheSnapshotSoThatTheSourceKeepsUs) {
  // 30 MB are written while the snapshot is under way, and the source holds back at most 24: a
  // replica that only reads as fast as this target takes (6 s for the snapshot) is cut.
  RedisServer source = source_server({"--client-output-buffer-limit", "replica 24mb 24mb 5"});
  RedisServer target = source_server();
  fill_strings(source, 150000, 400);
  FaultProxy proxy(target.host(), target.port());
  proxy.throttle(Direction::to_server, 10 * 1024 * 1024);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), proxy.uri(), {"--set", "delivery.mode=at_least_once"});
  ASSERT_TRUE(link.wait_status("phase", "snapshot", Millis{10000}));
  std::string spooled = "0";
  RespClient client = source.client();
  const std::string value(1000, 'v');
  for (int step = 0; step < 60; ++step) {
    for (int i = 0; i < 500; ++i)
      client.append({"SET", "live:" + std::to_string(i), value + std::to_string(step)});
    client.flush();
    for (int i = 0; i < 500; ++i)
      client.read();
    const std::string used = link.status("spool.used_bytes");
    if (used != "" && used != "0") spooled = used;
    std::this_thread::sleep_for(Millis{100});
  }
  proxy.throttle(Direction::to_server, 0);
  wait_streaming(link, Millis{60000});
  drain(link);

  EXPECT_NE(spooled, "0");
  EXPECT_EQ(source.info("sync_full"), "1");
  EXPECT_EQ(source.log().find("scheduled to be closed"), std::string::npos) << source.log();
  EXPECT_EQ(describe(compare(source, target)), "");
  EXPECT_TRUE(std::filesystem::is_empty(link.spool_dir()));
}

TEST(Flow, WritesNothingToDiskWhileTheSourceCanWait) {
  RedisServer source = source_server({"--client-output-buffer-limit", "replica 0 0 0"});
  RedisServer target = source_server();
  fill_strings(source, 100000, 200);
  FaultProxy proxy(target.host(), target.port());
  proxy.throttle(Direction::to_server, 10 * 1024 * 1024);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), proxy.uri(), {"--set", "delivery.mode=at_least_once"});
  wait_streaming(link, Millis{60000});
  drain(link);

  EXPECT_FALSE(std::filesystem::exists(link.spool_dir()));
  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(Flow, StaysInsideItsMemoryWhenTheTargetStandsStill) {
  RedisServer source = source_server({"--client-output-buffer-limit", "replica 0 0 0"});
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  target.sigstop();
  fill_strings(source, 400000, 300);  // 140 MB of stream
  std::this_thread::sleep_for(Millis{1000});
  const auto peak_kib = link.usage().peak_rss_kib;
  target.sigcont();
  drain(link);

  EXPECT_LT(peak_kib, 160 * 1024);
  EXPECT_EQ(describe(compare(source, target)), "");
}

}  // namespace
}  // namespace keyferry::test
