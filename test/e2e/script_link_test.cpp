// The Lua script and the rate limits between real servers.
#include <fstream>

#include "e2e/rules_link.hpp"

namespace keyferry::test {
namespace {

// Keys that begin with "drop:" stay behind, "copy:" ones get a second key, every key gets a prefix.
constexpr const char* script = R"(
function transform(db, argv, keys)
  if #keys == 0 then return argv end
  local name = argv[keys[1]]
  if name:sub(1, 5) == 'drop:' then return nil end
  for _, at in ipairs(keys) do argv[at] = 'x:' .. argv[at] end
  if name:sub(1, 5) == 'copy:' then return {argv, {'INCR', 'copies'}} end
  return argv
end
)";

class ScriptLink : public testing::TestWithParam<const char*> {
 protected:
  std::string script_file(const std::string& text) {
    const std::string path = link_.directory().file("t.lua");
    std::ofstream(path) << text;
    return "transform.script_file=" + path;
  }
  RedisServer source_ = source_server();
  RedisServer target_ = source_server();
  Keyferry link_{KEYFERRY_BINARY};
};

TEST_P(ScriptLink, ChangesEveryCommandOfSnapshotAndStream) {
  RedisServer expected = source_server();
  RespClient client = source_.client();
  const auto write = [&](const std::string& n) {
    client.must({"SET", "drop:" + n, "1"});
    client.must({"SET", "s:" + n, "1", "PX", "3600000"});
    client.must({"RPUSH", "l:" + n, "a", "b"});
    client.must({"HSET", "h:" + n, "f", "v"});
    client.must({"ZADD", "z:" + n, "1", "m"});
    client.must({"XADD", "st:" + n, "5-1", "f", "v"});
    client.must({"MULTI"});
    client.must({"INCR", "n"});
    client.must({"SADD", "set:" + n, "a"});
    client.must({"EXEC"});
  };
  for (int i = 0; i < 50; ++i)
    write("a" + std::to_string(i));
  link_.run(source_.uri(), target_.uri(),
            with_settings({script_file(script), std::string("transform.decode=") + GetParam()}));
  wait_streaming(link_);
  for (int i = 0; i < 50; ++i)
    write("b" + std::to_string(i));
  for (int i = 0; i < 20; ++i)
    client.must({"SET", "copy:1", std::to_string(i)});
  drain(link_);

  EXPECT_EQ(target_.command({"GET", "copies"}).text, "20");
  target_.command({"DEL", "copies"});
  project(source_, expected, [](Place own, const std::string&) {
    if (own.key.starts_with("drop:")) return std::optional<Place>();
    own.key = "x:" + own.key;
    return std::optional(own);
  });
  EXPECT_EQ(describe(compare(expected, target_)), "") << link_.output();
}

INSTANTIATE_TEST_SUITE_P(Decode, ScriptLink, testing::Values("false", "true"),
                         [](const testing::TestParamInfo<const char*>& at) {
                           return std::string(at.param);
                         });

using ScriptErrors = ScriptLink;

TEST_F(ScriptErrors, FollowTheErrorPolicy) {
  const std::string file = script_file(
      "function transform(db, argv) if argv[2] == 'bad' then error('no') end return argv end");
  link_.run(source_.uri(), target_.uri(),
            with_settings({file, "errors.policy=skip",
                           "errors.dead_letter_file=" + link_.directory().file("dead")}));
  wait_streaming(link_);
  source_.command({"SET", "bad", "1"});
  source_.command({"SET", "good", "1"});
  ASSERT_TRUE(link_.wait_status("counters.skipped", "1", Millis{5000})) << link_.output();
  drain(link_);
  EXPECT_EQ(target_.command({"EXISTS", "bad"}).integer, 0);
  EXPECT_EQ(target_.command({"EXISTS", "good"}).integer, 1);

  Keyferry stopping(KEYFERRY_BINARY);
  stopping.run(source_.uri(), target_.uri(), with_settings({file}, {"--restart"}));
  EXPECT_EQ(stopping.wait_exit(Millis{20000}).value_or(99), 1) << stopping.output();
  EXPECT_NE(stopping.output().find("t.lua:1: no"), std::string::npos) << stopping.output();
}

TEST_F(ScriptErrors, AScriptThatCannotBeReadIsAUsageError) {
  link_.run(source_.uri(), target_.uri(), with_settings({script_file("function transform( end")}));

  EXPECT_EQ(link_.wait_exit(Millis{20000}).value_or(99), 2) << link_.output();
  EXPECT_NE(link_.output().find("t.lua:1:"), std::string::npos) << link_.output();
}

TEST(Limits, HoldBackTheTargetUntilTheyAreLifted) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), with_settings({"limits.target_ops_per_s=300"}));
  wait_streaming(link);
  RespClient client = source.client();
  for (int i = 0; i < 6000; ++i)
    client.append({"SET", "k:" + std::to_string(i), "v"});
  client.flush();
  for (int i = 0; i < 6000; ++i)
    client.read();
  std::this_thread::sleep_for(Millis{2000});
  const std::size_t after_2_s = key_count(target);
  EXPECT_GT(after_2_s, 300u);
  EXPECT_LT(after_2_s, 1500u);

  EXPECT_EQ(link.http_post("/limits?target_ops_per_s=0").status, 202);
  drain(link, Millis{10000});

  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(Limits, HoldInTheSnapshotAndAtTheSource) {
  for (const char* limit : {"limits.target_bytes_per_s=1MB", "limits.source_bytes_per_s=1MB"}) {
    RedisServer source = source_server();
    RedisServer target = source_server();
    fill_strings(source, 3000, 1000);
    Keyferry link(KEYFERRY_BINARY);
    const auto begin = std::chrono::steady_clock::now();
    link.run(source.uri(), target.uri(), with_settings({limit}, {"--stop-when", "snapshot"}));
    ASSERT_EQ(link.wait_exit(Millis{30000}).value_or(99), 0) << link.output();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;

    EXPECT_GT(taken.count(), 2.0) << limit;
    EXPECT_LT(taken.count(), 20.0) << limit;
    EXPECT_EQ(describe(compare(source, target)), "") << limit;
  }
}

}  // namespace
}  // namespace keyferry::test
