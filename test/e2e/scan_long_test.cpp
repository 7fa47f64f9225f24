// Scan mode at a size that does not fit: five million keys change while nothing is copied.
#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

TEST(ScanLong, FiveMillionWaitingKeysKeepTheBudget) {
  constexpr std::size_t keys = 5'000'000;
  constexpr std::int64_t budget_mib = 64;
  const RedisServer source = source_server({"--notify-keyspace-events", "AE"});
  const RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           {"--set", "source.mode=scan", "--set", "limits.memory_max_bytes=64MiB"});
  wait_streaming(link);
  ASSERT_EQ(link.http_post("/pause").status, 202);

  fill_strings(source, keys, 8);
  const auto knows_all = [](const std::string& json) {
    return std::stoull("0" + json_field(json, "scan.pending_keys")) >= keys;
  };
  EXPECT_TRUE(link.wait_until(knows_all, Millis{300000})) << link.output();
  EXPECT_LT(std::stoll(link.status("memory.used_bytes")), budget_mib * 1024 * 1024);
  EXPECT_EQ(link.http_post("/resume").status, 202);
  drain(link, Millis{600000});

  EXPECT_LT(link.usage().peak_rss_kib, (budget_mib + 64) * 1024);
  EXPECT_EQ(key_count(target), keys);
  EXPECT_EQ(describe(compare(source, target)), "");
  std::printf("peak RSS %lld MiB\n", static_cast<long long>(link.usage().peak_rss_kib / 1024));
}

}  // namespace
}  // namespace keyferry::test
