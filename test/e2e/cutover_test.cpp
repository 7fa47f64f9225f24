// Handing over: under load nothing is lost, and whatever goes wrong before the fence leaves the
// source as it was.
#include <atomic>
#include <thread>

#include <unistd.h>

#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

struct Outcome {
  int code = -1;
  std::string output;
};

Outcome command(const std::vector<std::string>& args) {
  Keyferry program(KEYFERRY_BINARY);
  program.start(args);
  Outcome out;
  out.code = program.wait_exit(Millis{30000}).value_or(-1);
  out.output = program.output();
  return out;
}

std::string http_of(const Keyferry& link) {
  return "127.0.0.1:" + std::to_string(link.http_port());
}

// Counts up one counter per client until the source refuses or closes; knows what was acknowledged.
class Counters {
 public:
  Counters(const RedisServer& source, int clients, int per_s) {
    for (int i = 0; i < clients; ++i) {
      acknowledged_.push_back(std::make_unique<std::atomic<std::int64_t>>(0));
      threads_.emplace_back(
          [this, &source, i, pause = std::chrono::microseconds(50'000'000LL * clients / per_s)] {
            try {
              RespClient client = source.client(Millis{30000});
              while (!stopping_) {
                for (int n = 0; n < 50; ++n)
                  client.append({"INCR", "counter:" + std::to_string(i)});
                client.flush();
                for (int n = 0; n < 50; ++n) {
                  const Reply reply = client.read();
                  if (reply.is_error()) return;
                  *acknowledged_[static_cast<std::size_t>(i)] = reply.integer;
                }
                std::this_thread::sleep_for(pause);
              }
            } catch (const std::runtime_error&) {
              // its connection was ended
            }
          });
    }
  }
  ~Counters() { stop(); }
  void stop() {
    stopping_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  std::int64_t acknowledged(std::size_t i) const { return *acknowledged_[i]; }
  std::size_t size() const { return acknowledged_.size(); }

 private:
  std::atomic<bool> stopping_ = false;
  std::vector<std::unique_ptr<std::atomic<std::int64_t>>> acknowledged_;
  std::vector<std::thread> threads_;
};

// A write on a connection of its own: its answer, or "no answer" after a second.
std::string write_to(const RedisServer& server) {
  try {
    return server.client(Millis{1000}).command({"SET", "probe", "1"}).text;
  } catch (const std::runtime_error&) {
    return "no answer";
  }
}

TEST(Cutover, UnderLoadLosesNothing) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  const std::string note = link.directory().file("switched");
  link.run(source.uri(), target.uri(), {"--set", "cutover.on_switch=echo now > " + note});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  Counters counters(source, 4, 20'000);
  std::this_thread::sleep_for(Millis{1500});

  const Outcome done = command({"cutover", "--http", http_of(link)});

  EXPECT_EQ(done.code, 0) << done.output << link.output();
  EXPECT_EQ(link.wait_exit(Millis{10000}), 0) << link.output();
  counters.stop();
  const std::size_t at = done.output.find("held back for ");
  ASSERT_NE(at, std::string::npos) << done.output;
  const int pause_ms = std::atoi(done.output.c_str() + at + 14);
  RecordProperty("pause_ms", pause_ms);
  std::printf("pause: %d ms\n", pause_ms);
  EXPECT_LT(pause_ms, 2000);
  EXPECT_EQ(read_file(note), "now\n");
  EXPECT_EQ(describe(compare(source, target)), "");
  for (std::size_t i = 0; i < counters.size(); ++i) {
    const std::string key = "counter:" + std::to_string(i);
    EXPECT_GT(counters.acknowledged(i), 1000);
    EXPECT_GE(std::stoll(target.command({"GET", key}).text), counters.acknowledged(i)) << key;
  }
  EXPECT_EQ(write_to(source).rfind("NOREPLICAS", 0), 0U) << write_to(source);
  EXPECT_EQ(write_to(target), "OK");

  const Outcome undone =
      command({"cutover", "--undo-fence", "--source", source.uri(), "--target", target.uri()});
  EXPECT_EQ(undone.code, 0) << undone.output;
  EXPECT_EQ(write_to(source), "OK");
}

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
  EXPECT_EQ(
      command({"cutover", "--undo-fence", "--source", source.uri(), "--target", target.uri()}).code,
      0);
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
