// Comparing and repairing while the link runs: beside it, and inside it by POST /verify.
#include "e2e/verify_seed.hpp"
#include "support/cluster.hpp"

namespace keyferry::test {
namespace {

constexpr std::size_t fixed_keys = 10000;

// A link under a writer; the fixed keys are in both ends, and nobody writes them.
class VerifyLink : public testing::Test {
 protected:
  void begin(const std::vector<std::string>& more = {}) {
    live_.dataset.keys = 10000;
    live_.dataset.huge = false;
    live_.commands_per_s = 5000;
    fill(source_, live_.dataset);
    fill_fixed(source_, fixed_keys);
    link_.run(source_.uri(), target_.uri(), more);
    wait_streaming(link_);
    ASSERT_TRUE(link_.wait_status("synced", "true", Millis{30000})) << link_.output();
  }
  void wait_verified(const std::string& attempt) {
    const auto is_over = [&attempt](const std::string& json) {
      return json_field(json, "verify.attempt") == attempt &&
             json_field(json, "verify.running") == "false";
    };
    ASSERT_TRUE(link_.wait_until(is_over, Millis{90000})) << link_.output();
  }

  RedisServer source_ = source_server();
  RedisServer target_ = source_server();
  LiveOptions live_;
  Keyferry link_{KEYFERRY_BINARY};
};

TEST_F(VerifyLink, FindsEveryDifferenceAndNoOtherUnderAWriter) {
  begin();
  LiveWriter writer(source_, live_);
  const Seeded seeded = seed_differences(target_, fixed_keys, 300);

  const Verified run = verify(source_.uri(), target_.uri(), {"--json"});
  EXPECT_EQ(run.code, 1) << run.output;
  EXPECT_EQ(unlike(seeded, read_verify(run.output).found), "");
  EXPECT_EQ(json_field(read_verify(run.output).summary, "unreadable"), "0");

  const Verified refused = verify(source_.uri(), target_.uri(), {"--repair"});
  EXPECT_EQ(refused.code, 2) << refused.output;
  EXPECT_NE(refused.output.find("this link is running"), std::string::npos) << refused.output;

  EXPECT_EQ(link_.http_post("/verify?repair&repair_extra").status, 202);
  wait_verified("1");
  EXPECT_EQ(link_.status("verify.equal"), "true") << link_.http_get("/status").body;
  EXPECT_EQ(link_.status("verify.repaired"), "300");
  const std::string metrics = link_.http_get("/metrics").body;
  EXPECT_NE(metrics.find("keyferry_verify_repaired{shard="), std::string::npos);

  Keyferry inside(KEYFERRY_BINARY);
  inside.start({"verify", "--running", "--http", "127.0.0.1:" + std::to_string(link_.http_port()),
                "--level", "ttl", "--sample", "50%"});
  EXPECT_EQ(inside.wait_exit(Millis{60000}).value_or(-1), 0) << inside.output();
  EXPECT_NE(inside.output().find("level ttl"), std::string::npos) << inside.output();
  EXPECT_EQ(link_.status("verify.attempt"), "2");
  EXPECT_EQ(link_.http_post("/verify?level=closely").status, 400);
  writer.stop();
  EXPECT_GT(writer.commands(), 5000U);
  drain(link_);
  EXPECT_EQ(describe(compare(source_, target_)), "");
}

TEST_F(VerifyLink, RepairsInsideALinkIntoACluster) {
  RedisCluster cluster;
  live_.dataset.keys = 4000;
  live_.dataset.cluster_safe = true;
  fill(source_, live_.dataset);
  fill_fixed(source_, 600);
  LiveWriter writer(source_, live_);
  link_.run(source_.uri(), cluster.uri());
  wait_streaming(link_);
  ASSERT_TRUE(link_.wait_status("synced", "true", Millis{30000})) << link_.output();
  std::int64_t seeded = 0;
  for (std::size_t n = 0; n < cluster.size(); ++n) {
    RespClient client = cluster.node(n).client();
    for (std::size_t i = 0; i < 60; ++i)  // MOVED where it is another node's
      seeded += client.command({"DEL", fixed_name(i)}).integer;
  }

  EXPECT_EQ(link_.http_post("/verify?repair").status, 202);
  wait_verified("1");
  EXPECT_EQ(link_.status("verify.equal"), "true") << link_.http_get("/status").body;
  EXPECT_EQ(seeded, 60);
  EXPECT_EQ(link_.status("verify.repaired"), "60");
  writer.stop();
  drain(link_);
  EXPECT_EQ(describe(compare(source_, cluster)), "");
}

TEST_F(VerifyLink, WaitsForALinkThatIsBehind) {
  Sender(source_).send({"SET", "a", "before"});
  link_.run(source_.uri(), target_.uri());
  ASSERT_TRUE(link_.wait_status("synced", "true", Millis{30000})) << link_.output();
  ASSERT_EQ(link_.http_post("/pause").status, 202);
  Sender(source_).send({"SET", "a", "after"});
  // It has to be seen behind, else nobody can know.
  const auto is_behind = [](const std::string& json) {
    return std::stoll("0" + json_field(json, "lag.bytes")) > 0;
  };
  ASSERT_TRUE(link_.wait_until(is_behind, Millis{10000})) << link_.output();

  Keyferry beside(KEYFERRY_BINARY);
  beside.start({"verify", "--source", source_.uri(), "--target", target_.uri(), "--http",
                "127.0.0.1:" + std::to_string(link_.http_port()), "--set",
                "verify.recheck_wait_ms=20"});
  EXPECT_FALSE(beside.wait_exit(Millis{3000}).has_value()) << beside.output();
  ASSERT_EQ(link_.http_post("/resume").status, 202);

  EXPECT_EQ(beside.wait_exit(Millis{30000}).value_or(-1), 0) << beside.output();
}

TEST_F(VerifyLink, IsNotDoneWhileTheEndsDiffer) {
  begin({"--set", "stop.verify=digest", "--set", "stop.stable_for_ms=100"});
  Sender(target_).send({"SET", "extra", "v"});

  EXPECT_EQ(link_.http_post("/drain").status, 202);

  EXPECT_EQ(link_.wait_exit(Millis{60000}).value_or(-1), 1) << link_.output();
  EXPECT_NE(link_.output().find("stop.verify"), std::string::npos) << link_.output();
}

TEST_F(VerifyLink, IsDoneWhenTheEndsAreEqual) {
  begin({"--set", "stop.verify=sample", "--set", "stop.stable_for_ms=100"});

  drain(link_);

  EXPECT_NE(link_.output().find("both ends were compared"), std::string::npos) << link_.output();
}

}  // namespace
}  // namespace keyferry::test
