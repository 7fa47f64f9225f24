// A million keys, ten thousand differences, five thousand writes a second.
#include "e2e/verify_seed.hpp"

namespace keyferry::test {
namespace {

TEST(VerifyLong, FindsTenThousandDifferencesInAMillionKeysUnderAWriter) {
  constexpr std::size_t fixed = 600'000;
  constexpr std::size_t differences = 10'000;
  const RedisServer source = source_server();
  const RedisServer target = source_server();
  LiveOptions live;
  live.dataset.keys = 400'000;
  live.commands_per_s = 5000;
  fill(source, live.dataset);
  fill_fixed(source, fixed);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link, Millis{120000});
  ASSERT_TRUE(link.wait_status("synced", "true", Millis{60000})) << link.output();
  const Seeded seeded = seed_differences(target, fixed, differences);
  LiveWriter writer(source, live);

  const Verified run = verify(source.uri(), target.uri(), {"--json"}, Millis{600000});
  const VerifyOutput output = read_verify(run.output);
  std::printf("%s\npeak RSS %lld MiB\n", output.summary.c_str(),
              static_cast<long long>(run.usage.peak_rss_kib / 1024));
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(unlike(seeded, output.found), "");
  EXPECT_FALSE(output.told_twice);
  EXPECT_LE(run.usage.peak_rss_kib, 128 * 1024);

  EXPECT_EQ(link.http_post("/verify?repair&repair_extra").status, 202);
  const auto is_over = [](const std::string& json) {
    return json_field(json, "verify.attempt") == "1" &&
           json_field(json, "verify.running") == "false";
  };
  ASSERT_TRUE(link.wait_until(is_over, Millis{600000})) << link.output();
  EXPECT_EQ(link.status("verify.equal"), "true") << link.http_get("/status").body;
  EXPECT_EQ(link.status("verify.repaired"), std::to_string(differences));
  writer.stop();
  drain(link, Millis{120000});
  EXPECT_EQ(describe(compare(source, target)), "");
}

}  // namespace
}  // namespace keyferry::test
