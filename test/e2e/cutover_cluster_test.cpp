// Handing over a whole cluster: all masters or none, nothing lost under a cluster client's writes,
// and nothing stays held back when the cluster changes its shape or we are killed on the way.
#include <atomic>
#include <set>
#include <thread>

#include <unistd.h>

#include "e2e/cluster_source.hpp"
#include "e2e/cutover.hpp"
#include "support/keyspace.hpp"

namespace keyferry::test {
namespace {

// A key of a slot that the node serves.
std::string key_at(const RedisCluster& cluster, std::size_t node) {
  for (int i = 0;; ++i) {
    const std::string key = "probe:" + std::to_string(i);
    if (cluster.owner(key_slot(key)) == node) return key;
  }
}

// A write to each of the first `masters` nodes: their answers, as far as they differ.
std::string write_to_all(const RedisCluster& cluster, std::size_t masters) {
  std::set<std::string> answers;
  for (std::size_t i = 0; i < masters; ++i) {
    const std::string key = key_at(cluster, i);
    try {
      const Reply reply = cluster.node(i).client(Millis{400}).command({"SET", key, "1"});
      answers.insert(reply.text.substr(0, reply.text.find(' ')));
    } catch (const std::runtime_error&) {
      answers.insert("no answer");
    }
  }
  std::string out;
  for (const std::string& answer : answers)
    out += (out.empty() ? "" : ", ") + answer;
  return out;
}

// Clients of the cluster that count up until they are refused or cut off; each knows what was
// acknowledged to it.
class ClusterCounters {
 public:
  ClusterCounters(const RedisCluster& source, std::size_t clients) : acknowledged_(clients) {
    for (std::size_t i = 0; i < clients; ++i)
      threads_.emplace_back([this, i, end = Endpoint(source)] { count(i, end); });
  }
  ~ClusterCounters() { stop(); }
  void stop() {
    stopping_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  static std::string key(std::size_t client, std::size_t n) {
    return "counter:" + std::to_string(client) + ":" + std::to_string(n);
  }
  std::size_t clients() const { return acknowledged_.size(); }
  const std::map<std::size_t, std::int64_t>& acknowledged(std::size_t client) const {
    return acknowledged_[client];
  }
  std::uint64_t writes() const { return writes_; }

 private:
  static constexpr std::size_t keys = 60;  // per client, over all masters

  void count(std::size_t client, const Endpoint& end) {
    try {
      Keyspace source(end);
      for (std::size_t n = 0; !stopping_; n = (n + 1) % keys) {
        const Reply reply = source.command({"INCR", key(client, n)});
        if (reply.is_error() || source.command({"RPUSH", "log:" + key(client, n), "x"}).is_error())
          return;
        acknowledged_[client][n] = reply.integer;
        ++writes_;
      }
    } catch (const std::runtime_error&) {
      // its connection was ended
    }
  }

  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> writes_ = 0;
  std::vector<std::map<std::size_t, std::int64_t>> acknowledged_;
  std::vector<std::thread> threads_;
};

void expect_nothing_lost(const ClusterCounters& counters, const Endpoint& target) {
  Keyspace there(target);
  for (std::size_t i = 0; i < counters.clients(); ++i) {
    EXPECT_GT(counters.acknowledged(i).size(), 30U);
    for (const auto& [n, count] : counters.acknowledged(i)) {
      const std::string key = ClusterCounters::key(i, n);
      EXPECT_GE(std::stoll("0" + there.command({"GET", key}).text), count) << key;
      EXPECT_GE(there.command({"LLEN", "log:" + key}).integer, count) << key;
    }
  }
}

// Until every node knows what the others are: a new replica looks like a master at first.
void wait_replicas(const RedisCluster& cluster, std::size_t replicas) {
  EXPECT_TRUE(wait_for(Millis{20000}, [&] {
    for (std::size_t i = 0; i < cluster.size(); ++i) {
      const std::string text = cluster.node(i).command({"CLUSTER", "NODES"}).text;
      if (count_of(text, "slave ") != replicas) return false;
    }
    return true;
  }));
}

// Every node's min-replicas-to-write, as far as they differ.
std::string fences(const RedisCluster& cluster) {
  std::set<std::string> values;
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    const Reply reply = cluster.node(i).command({"CONFIG", "GET", "min-replicas-to-write"});
    values.insert(reply.items.at(1).text);
  }
  return values.size() == 1 ? *values.begin() : "different";
}

template <class Target>
void play_cutover(RedisCluster& source, const Target& target) {
  LiveOptions live = busy(701);
  live.dataset.keys = 1000;
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.node(1).uri(), target.uri(), quick_lease);
  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  ClusterCounters counters(source, 4);
  std::this_thread::sleep_for(Millis{1500});
  const std::uint64_t before = counters.writes();

  const Outcome done = command({"cutover", "--http", http_of(link), "--verify", "sample"});

  EXPECT_EQ(done.code, 0) << done.output << link.output();
  EXPECT_EQ(link.wait_exit(Millis{15000}), 0) << link.output();
  counters.stop();
  const std::size_t at = done.output.find("held back for ");
  ASSERT_NE(at, std::string::npos) << done.output;
  const int pause_ms = std::atoi(done.output.c_str() + at + 14);
  std::printf("cutover of a cluster at %d writes/s: held back for %d ms\n",
              static_cast<int>(static_cast<double>(before) / 1.5), pause_ms);
  EXPECT_LE(pause_ms, 1000);
  EXPECT_GT(before, 1000U);
  EXPECT_EQ(write_to_all(source, 3), "NOREPLICAS");
  EXPECT_EQ(fences(source), "1000000");
  expect_nothing_lost(counters, target);
  expect_equal(source, target, link);

  const Outcome undone = command(
      {"cutover", "--undo-fence", "--source", source.node(2).uri(), "--target", target.uri()});
  EXPECT_EQ(undone.code, 0) << undone.output;
  EXPECT_EQ(write_to_all(source, 3), "OK");
  EXPECT_EQ(fences(source), "0");
}

TEST(ClusterCutover, IntoAClusterLosesNothing) {
  RedisCluster source(nodes(3, 3));
  wait_replicas(source, 3);
  ClusterOptions size;
  size.masters = 2;
  RedisCluster target(size);
  play_cutover(source, target);
}

TEST(ClusterCutover, IntoAStandaloneTargetLosesNothing) {
  RedisCluster source(nodes(3));
  const RedisServer target = source_server();
  play_cutover(source, target);
}

// A link into a target that does not answer, so that a cutover stays where it is.
class ClusterCutoverHeld : public testing::Test {
 protected:
  void begin(const std::vector<std::string>& more = {}) {
    wait_replicas(source_, 1);
    link_.run(source_.uri(), target_.uri(), with(more));
    ASSERT_TRUE(link_.wait_synced(Millis{20000})) << link_.output();
  }
  void write_everywhere() {
    for (std::size_t i = 0; i < 3; ++i) {
      if (source_.node(i).info("role") == "master")
        Keyspace(source_).command({"SET", key_at(source_, i), "1"});
    }
  }
  // Writes are held back, and the target is behind.
  void hold() {
    target_.sigstop();
    write_everywhere();
    EXPECT_EQ(link_.http_post("/cutover").status, 202);
    ASSERT_TRUE(link_.wait_status("cutover.state", "paused", Millis{5000})) << link_.output();
    EXPECT_EQ(write_to_all(source_, 3), "no answer");
  }
  void expect_given_up(const std::string& why) {
    target_.sigcont();
    ASSERT_TRUE(link_.wait_status("cutover.state", "failed", Millis{10000})) << link_.output();
    EXPECT_NE(link_.status("cutover.problem").find(why), std::string::npos)
        << link_.status("cutover.problem");
    EXPECT_EQ(fences(source_), "0");
  }
  // And it can be tried again.
  void expect_second_attempt() {
    ASSERT_TRUE(wait_for(Millis{20000}, [this] {
      return link_.status("synced") == "true" &&
             command({"cutover", "--http", http_of(link_)}).code == 0;
    })) << link_.output();
    EXPECT_EQ(link_.wait_exit(Millis{15000}), 0) << link_.output();
    expect_equal(source_, target_, link_);
  }

  RedisCluster source_{nodes(3, 1)};
  RedisServer target_ = source_server();
  Keyferry link_{KEYFERRY_BINARY};
};

TEST_F(ClusterCutoverHeld, ASlotThatMovesGivesItUp) {
  begin({"--set", "cutover.pause_timeout_ms=8000"});
  const int slot = key_slot("nobody has this key");
  const std::size_t to = (source_.owner(slot) + 1) % 3;
  source_.begin_move(slot, to);
  hold();
  source_.finish_move(slot, to);
  expect_given_up("moved");
  EXPECT_EQ(write_to_all(source_, 3), "OK");
  expect_second_attempt();
}

TEST_F(ClusterCutoverHeld, AMasterThatJoinsGivesItUp) {
  begin({"--set", "cutover.pause_timeout_ms=8000"});
  ServerOptions options;
  options.args = {"--cluster-enabled", "yes"};
  const RedisServer newcomer(options);
  hold();
  source_.node(0).command({"CLUSTER", "MEET", "127.0.0.1", std::to_string(newcomer.port())});
  const std::string address = newcomer.address() + "@";
  ASSERT_TRUE(wait_for(Millis{5000}, [&] {
    const std::string text = source_.node(0).command({"CLUSTER", "NODES"}).text;
    const std::size_t at = text.find(address);
    return at != std::string::npos &&
           text.substr(at, text.find('\n', at) - at).find("handshake") == std::string::npos;
  }));
  expect_given_up("master");
  EXPECT_EQ(write_to_all(source_, 3), "OK");
}

TEST_F(ClusterCutoverHeld, AShardThatFailsOverGivesItUp) {
  begin({"--set", "cutover.pause_timeout_ms=8000"});
  hold();
  source_.node(3).command({"CLUSTER", "FAILOVER", "TAKEOVER"});
  wait_leader(source_, 3);
  expect_given_up("source");
  EXPECT_EQ(Keyspace(source_).command({"SET", "after", "1"}).text, "OK");
  expect_second_attempt();
}

// What was paused ends by itself, what was fenced stays fenced until undone.
TEST_F(ClusterCutoverHeld, KilledAtAnyStepItLeavesNothingPaused) {
  begin({"--set", "cutover.max_lag_bytes=0"});
  target_.sigstop();
  write_everywhere();
  ASSERT_TRUE(link_.wait_until(
      [](const std::string& json) { return json_field(json, "lag.bytes") != "0"; }, Millis{5000}));
  EXPECT_EQ(link_.http_post("/cutover").status, 202);
  ASSERT_TRUE(link_.wait_status("cutover.state", "waiting", Millis{5000}));
  link_.process().kill9();
  target_.sigcont();
  EXPECT_EQ(write_to_all(source_, 3), "OK");

  begin({"--set", "cutover.pause_timeout_ms=3000"});
  hold();
  const auto begun = std::chrono::steady_clock::now();
  link_.process().kill9();
  target_.sigcont();
  EXPECT_TRUE(wait_for(Millis{4000}, [&] { return write_to_all(source_, 3) == "OK"; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));

  const std::string note = link_.directory().file("switching");
  begin({"--set", "cutover.pause_timeout_ms=3000", "--set",
         "cutover.on_switch=touch " + note + " && sleep 2"});
  EXPECT_EQ(link_.http_post("/cutover").status, 202);
  ASSERT_TRUE(wait_for(Millis{5000}, [&] { return access(note.c_str(), F_OK) == 0; }));
  link_.process().kill9();
  EXPECT_TRUE(wait_for(Millis{5000}, [&] { return write_to_all(source_, 3) == "NOREPLICAS"; }));
  EXPECT_EQ(
      command({"cutover", "--undo-fence", "--source", source_.uri(), "--target", target_.uri()})
          .code,
      0);
  EXPECT_TRUE(wait_for(Millis{4000}, [&] { return write_to_all(source_, 3) == "OK"; }));
  begin();
  drain(link_);
  expect_equal(source_, target_, link_);
}

}  // namespace
}  // namespace keyferry::test
