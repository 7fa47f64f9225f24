// Comparing and repairing inside a link whose source is a cluster.
#include "e2e/cluster_source.hpp"
#include "e2e/verify_seed.hpp"

namespace keyferry::test {
namespace {

constexpr std::size_t fixed_keys = 3000;

class ClusterVerify : public testing::Test {
 protected:
  void begin(const Endpoint& target, const std::string& uri,
             const std::vector<std::string>& more = {}) {
    target_ = target;
    live_ = busy(801);
    fill(source_, live_.dataset);
    fill_fixed(source_, fixed_keys);
    link_.run(source_.uri(), uri, with(more));
    ASSERT_TRUE(link_.wait_synced(Millis{30000})) << link_.output();
  }
  void wait_verified(const std::string& attempt) {
    const auto is_over = [&attempt](const std::string& json) {
      return json_field(json, "verify.attempt") == attempt &&
             json_field(json, "verify.running") == "false";
    };
    ASSERT_TRUE(link_.wait_until(is_over, Millis{60000})) << link_.output();
  }
  void find_and_repair() {
    LiveWriter writer(source_, live_);
    seed_differences(target_, fixed_keys, 160);

    EXPECT_EQ(link_.http_post("/verify").status, 202);
    wait_verified("1");
    EXPECT_EQ(link_.status("verify.equal"), "false") << link_.http_get("/status").body;
    EXPECT_EQ(link_.status("verify.missing"), "20");
    EXPECT_EQ(link_.status("verify.extra"), "20");
    EXPECT_EQ(link_.status("verify.value"), "80");

    EXPECT_EQ(link_.http_post("/verify?repair&repair_extra").status, 202);
    wait_verified("2");
    EXPECT_EQ(link_.status("verify.equal"), "true") << link_.http_get("/status").body;
    EXPECT_EQ(link_.status("verify.repaired"), "160");
    const std::string metrics = link_.http_get("/metrics").body;
    EXPECT_EQ(count_of(metrics, "keyferry_verify_repaired{shard="), 1U) << metrics;
    writer.stop();
    EXPECT_GT(writer.commands(), 1000U);
    drain(link_);
  }

  RedisCluster source_{nodes(3)};
  Endpoint target_;
  LiveOptions live_;
  Keyferry link_{KEYFERRY_BINARY};
};

TEST_F(ClusterVerify, FindsAndRepairsInAStandaloneTarget) {
  const RedisServer target = source_server();
  begin(target, target.uri());
  find_and_repair();
  expect_equal(source_, target, link_);
}

TEST_F(ClusterVerify, FindsAndRepairsInAClusterBehindSlotsThatMoved) {
  ClusterOptions size;
  size.masters = 2;
  RedisCluster target(size);
  begin(target, target.uri());
  for (const char* tag : {"{t1}", "{t2}", "{t3}"}) {
    const int slot = key_slot(tag);
    source_.move_slot(slot, (source_.owner(slot) + 1) % 3);
  }
  find_and_repair();
  expect_equal(source_, target, link_);
}

TEST_F(ClusterVerify, ALinkIsNotDoneWhileTheEndsDiffer) {
  const RedisServer target = source_server();
  begin(target, target.uri(), {"--set", "stop.verify=digest", "--set", "stop.stable_for_ms=100"});
  target.command({"SET", "extra", "v"});

  EXPECT_EQ(link_.http_post("/drain").status, 202);

  EXPECT_EQ(link_.wait_exit(Millis{60000}).value_or(-1), 1) << link_.output();
  EXPECT_NE(link_.output().find("stop.verify"), std::string::npos) << link_.output();

  target.command({"DEL", "extra"});
  link_.run(source_.uri(), target.uri(), {"--set", "stop.verify=sample"});
  wait_streaming(link_);
  drain(link_);
  EXPECT_EQ(count_of(link_.output(), "both ends were compared"), 2U) << link_.output();
}

}  // namespace
}  // namespace keyferry::test
