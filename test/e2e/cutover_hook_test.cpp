// Cutover with what the user adds: a time limit, a look at some keys, and a command for sources
// that cannot hold back writes by themselves.
#include <unistd.h>

#include "e2e/cutover.hpp"
#include "e2e/start.hpp"
#include "support/cluster.hpp"

namespace keyferry::test {
namespace {

TEST(CutoverPause, IsAsLongAsTheCommandSays) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());  // ten seconds by its options
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  target.sigstop();
  source.command({"SET", "a", "1"});
  const auto begin = std::chrono::steady_clock::now();

  const Outcome failed = command({"cutover", "--http", http_of(link), "--pause-timeout", "1500ms"});

  EXPECT_EQ(failed.code, 3) << failed.output;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(3000));
  EXPECT_NE(failed.output.find("did not catch up"), std::string::npos) << failed.output;
  EXPECT_EQ(write_to(source), "OK");
  target.sigcont();
}

TEST(CutoverPause, IsNoTimeThatMakesNoSense) {
  for (const char* time : {"10", "0s", "500ms", "soon"}) {
    const Outcome refused = command({"cutover", "--pause-timeout", time});
    EXPECT_EQ(refused.code, 2) << time << refused.output;
    EXPECT_NE(refused.output.find("write it like 10s"), std::string::npos) << refused.output;
  }
  EXPECT_EQ(command({"cutover", "--verify", "all"}).code, 2);
}

TEST(CutoverSample, ComparesKeysOfEveryDatabaseAndType) {
  RedisServer source = source_server();
  RedisCluster target;
  DatasetOptions data;
  data.keys = 2000;
  data.cluster_safe = true;
  fill(source, data);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), {"--set", "cutover.sample_keys=1500"});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  const Outcome done = command({"cutover", "--http", http_of(link), "--verify", "sample"});

  EXPECT_EQ(done.code, 0) << done.output << link.output();
  const std::size_t at = done.output.find(" keys were compared, equal");
  ASSERT_NE(at, std::string::npos) << done.output;
  const std::size_t line = done.output.rfind('\n', at) + 1;
  std::printf("%s", done.output.substr(line).c_str());
  EXPECT_GT(std::stoi(done.output.substr(line)), 500) << done.output;
  EXPECT_EQ(link.wait_exit(Millis{10000}), 0) << link.output();
}

TEST(CutoverSample, LooksUnderTheNameThatAKeyHasInTheTarget) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  RespClient client = source.client();
  client.must({"SELECT", "1"});
  client.must({"SET", "a", "1", "EX", "1000"});
  client.must({"SADD", "s", "1", "2", "3"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(),
           {"--set", "databases.map={1: 2}", "--set", "databases.prefix={1: \"one:\"}"});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  const Outcome done = command({"cutover", "--http", http_of(link), "--verify", "sample"});

  EXPECT_EQ(done.code, 0) << done.output << link.output();
  EXPECT_NE(done.output.find("2 keys were compared, equal"), std::string::npos) << done.output;
}

TEST(CutoverSample, GivesUpWhereAKeyDiffers) {
  struct Case {
    Args spoil;
    std::string how;
  };
  const Case cases[] = {{{"DEL", "a"}, "is missing"},
                        {{"SET", "a", "2", "KEEPTTL"}, "has another value"},
                        {{"EXPIRE", "a", "500"}, "expires at another time"},
                        {{"PERSIST", "a"}, "expires at another time"}};
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "a", "1", "EX", "1000"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  for (const Case& one : cases) {
    target.command(one.spoil);

    const Outcome failed = command({"cutover", "--http", http_of(link), "--verify", "sample"});

    EXPECT_NE(failed.code, 0) << one.how;
    EXPECT_NE(failed.output.find("key \"a\" (database 0) " + one.how), std::string::npos)
        << one.how << failed.output;
    EXPECT_EQ(write_to(source), "OK");
    source.command({"SET", "a", "1", "EX", "1000"});
    ASSERT_TRUE(wait_for(Millis{5000}, [&] {
      const Reply ttl = target.command({"TTL", "a"});
      return target.command({"GET", "a"}).text == "1" && ttl.integer > 990;
    }));
  }
  EXPECT_EQ(command({"cutover", "--http", http_of(link), "--verify", "sample"}).code, 0);
}

// A link between servers before Redis 6.2, where the user's command makes writes be refused for the
// time being.
class CutoverHook : public testing::Test {
 protected:
  void SetUp() override {
    const ServerOptions old{release("redis-6.0"), {}, "", ""};
    if (!old.release.unreachable.empty()) GTEST_SKIP() << "no old server";
    source_ = std::make_unique<RedisServer>(old);
    target_ = std::make_unique<RedisServer>(old);
    const std::string replicas =
        "redis-cli -p " + std::to_string(source_->port()) + " CONFIG SET min-replicas-to-write ";
    refuse_ = replicas + "99";
    allow_ = replicas + "0";
  }
  void begin(const std::vector<std::string>& settings) {
    link_.run(source_->uri(), target_->uri(), with_settings(settings));
    ASSERT_TRUE(link_.wait_synced(Millis{15000})) << link_.output();
  }
  Outcome cut_over(const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = {"cutover", "--http", http_of(link_)};
    args.insert(args.end(), more.begin(), more.end());
    return command(args);
  }

  std::unique_ptr<RedisServer> source_;
  std::unique_ptr<RedisServer> target_;
  Keyferry link_{KEYFERRY_BINARY};
  std::string refuse_;
  std::string allow_;
};

TEST_F(CutoverHook, IsAskedForWhereTheSourceCannotPause) {
  begin({});

  const Outcome refused = cut_over();

  EXPECT_EQ(refused.code, 3) << refused.output;
  EXPECT_NE(refused.output.find("cutover.on_pause"), std::string::npos) << refused.output;
  EXPECT_EQ(write_to(*source_), "OK");
  drain(link_);
}

TEST_F(CutoverHook, HoldsBackWritesUntilTheFence) {
  const std::string told = link_.directory().file("told");
  const std::string undone = link_.directory().file("undone");
  begin({"cutover.on_pause=" + refuse_ + " && echo $KEYFERRY_PAUSE_TIMEOUT_MS > " + told,
         "cutover.on_unpause=touch " + undone + " && " + allow_});
  source_->command({"SET", "a", "1"});

  const Outcome done = cut_over({"--pause-timeout", "5s"});

  EXPECT_EQ(done.code, 0) << done.output << link_.output();
  EXPECT_EQ(link_.wait_exit(Millis{10000}), 0) << link_.output();
  EXPECT_EQ(read_file(told), "5000\n");
  EXPECT_EQ(target_->command({"GET", "a"}).text, "1");
  // Undoing it would have taken the fence away.
  EXPECT_NE(access(undone.c_str(), F_OK), 0);
  EXPECT_EQ(write_to(*source_).rfind("NOREPLICAS", 0), 0U);
}

TEST_F(CutoverHook, IsUndoneWhenTheCutoverIsGivenUp) {
  begin({"cutover.on_pause=" + refuse_, "cutover.on_unpause=" + allow_});
  target_->sigstop();
  source_->command({"SET", "a", "1"});

  const Outcome failed = cut_over({"--pause-timeout", "2s"});

  EXPECT_EQ(failed.code, 3) << failed.output;
  EXPECT_EQ(write_to(*source_), "OK");
  target_->sigcont();
}

TEST_F(CutoverHook, IsUndoneWhenItFailsHalfWay) {
  begin({"cutover.on_pause=" + refuse_ + " && exit 7", "cutover.on_unpause=" + allow_});

  const Outcome failed = cut_over();
  EXPECT_EQ(failed.code, 3) << failed.output;
  EXPECT_NE(failed.output.find("cutover.on_pause: ended with 7"), std::string::npos)
      << failed.output;
  EXPECT_EQ(write_to(*source_), "OK");
}

TEST_F(CutoverHook, IsUndoneWhenWeAreKilledMeanwhile) {
  begin({"cutover.on_pause=" + refuse_, "cutover.on_unpause=" + allow_});
  target_->sigstop();
  source_->command({"SET", "a", "1"});
  EXPECT_EQ(link_.http_post("/cutover").status, 202);
  ASSERT_TRUE(link_.wait_status("cutover.state", "paused", Millis{5000})) << link_.output();
  EXPECT_EQ(write_to(*source_).rfind("NOREPLICAS", 0), 0U);

  link_.process().kill9();

  EXPECT_TRUE(wait_for(Millis{2000}, [&] { return write_to(*source_) == "OK"; }));
  target_->sigcont();
}

// Whoever they start must not keep our connections open once we are gone.
TEST_F(CutoverHook, GetsNoneOfOurConnections) {
  const std::string seen = link_.directory().file("seen");
  const std::string look = "ls -l /proc/$$/fd";
  begin({"cutover.on_pause=" + look + " > " + seen + "; " + refuse_, "cutover.on_unpause=true",
         "cutover.on_switch=" + look + " >> " + seen});

  EXPECT_EQ(cut_over().code, 0) << link_.output();

  EXPECT_NE(read_file(seen).find(" 1 -> "), std::string::npos);
  EXPECT_EQ(read_file(seen).find("socket:"), std::string::npos) << read_file(seen);
}

// What hangs is ended with the pause; nothing waits for it for ever.
TEST_F(CutoverHook, IsEndedWithThePause) {
  const std::string undone = link_.directory().file("undone");
  begin({"cutover.on_pause=sleep 60", "cutover.on_unpause=touch " + undone});

  const Outcome failed = cut_over({"--pause-timeout", "1s"});

  EXPECT_EQ(failed.code, 3) << failed.output;
  EXPECT_NE(failed.output.find("took more than 1000 ms"), std::string::npos) << failed.output;
  EXPECT_EQ(access(undone.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace keyferry::test
