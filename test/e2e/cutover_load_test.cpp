// A cutover under load: nothing is lost, and writes are hardly held back. Measures, so it runs
// alone.
#include <atomic>
#include <thread>

#include "e2e/cutover.hpp"

namespace keyferry::test {
namespace {

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
              auto next = std::chrono::steady_clock::now();
              while (!stopping_) {
                for (int n = 0; n < 50; ++n)
                  client.append({"INCR", "counter:" + std::to_string(i)});
                client.flush();
                for (int n = 0; n < 50; ++n) {
                  const Reply reply = client.read();
                  if (reply.is_error()) return;
                  *acknowledged_[static_cast<std::size_t>(i)] = reply.integer;
                }
                std::this_thread::sleep_until(next += pause);
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
  std::int64_t all() const {
    std::int64_t sum = 0;
    for (const auto& one : acknowledged_)
      sum += *one;
    return sum;
  }
  std::size_t size() const { return acknowledged_.size(); }

 private:
  std::atomic<bool> stopping_ = false;
  std::vector<std::unique_ptr<std::atomic<std::int64_t>>> acknowledged_;
  std::vector<std::thread> threads_;
};

TEST(Cutover, UnderLoadLosesNothing) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  const std::string note = link.directory().file("switched");
  link.run(source.uri(), target.uri(), {"--set", "cutover.on_switch=echo now > " + note});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  Counters counters(source, 4, 20'000);
  std::this_thread::sleep_for(Millis{1000});
  const std::int64_t before = counters.all();
  std::this_thread::sleep_for(Millis{1000});
  const std::int64_t per_s = counters.all() - before;

  const Outcome done = command({"cutover", "--http", http_of(link)});

  EXPECT_EQ(done.code, 0) << done.output << link.output();
  EXPECT_EQ(link.wait_exit(Millis{10000}), 0) << link.output();
  counters.stop();
  const std::size_t at = done.output.find("held back for ");
  ASSERT_NE(at, std::string::npos) << done.output;
  const int pause_ms = std::atoi(done.output.c_str() + at + 14);
  RecordProperty("pause_ms", pause_ms);
  RecordProperty("writes_per_s", static_cast<int>(per_s));
  std::printf("cutover at %d writes/s: held back for %d ms\n", static_cast<int>(per_s), pause_ms);
  EXPECT_GT(per_s, 15'000);
  EXPECT_LE(pause_ms, 250);
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

}  // namespace
}  // namespace keyferry::test
