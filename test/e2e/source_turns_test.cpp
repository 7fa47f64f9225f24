// source.max_parallel_snapshots: shards wait for each other's full syncs, whatever happens to them
// meanwhile, and nothing gets stuck.
#include "cluster_source.hpp"

namespace keyferry::test {
namespace {

const std::vector<std::string> one_at_a_time = with({"--set", "source.max_parallel_snapshots=1"});

// Snapshots that take a while: about a thousand keys each.
void slow_snapshots(RedisCluster& source, const char* key_delay_us) {
  for (std::size_t i = 0; i < source.size(); ++i) {
    source.node(i).command({"CONFIG", "SET", "rdb-key-save-delay", key_delay_us});
    source.node(i).command({"CONFIG", "SET", "hz", "500"});  // sees soon that its child has ended
  }
}

bool is_sending_snapshot(RedisServer& node) {
  const std::string text = node.command({"INFO", "replication"}).text;
  return text.find("state=wait_bgsave") != std::string::npos ||
         text.find("state=send_bulk") != std::string::npos;
}

// How many masters are in a full sync at once: the most of five looks in a row, since one ends
// between two looks at different nodes.
class FullSyncWatch {
 public:
  explicit FullSyncWatch(RedisCluster& source) : thread_([this, &source] { run(source); }) {}
  ~FullSyncWatch() {
    stopping_ = true;
    thread_.join();
  }
  int most() const { return most_; }

 private:
  void run(RedisCluster& source) {
    std::vector<int> last;
    while (!stopping_) {
      int now = 0;
      for (std::size_t i = 0; i < 3; ++i)
        now += is_sending_snapshot(source.node(i)) ? 1 : 0;
      last.push_back(now);
      if (last.size() > 5) last.erase(last.begin());
      const int steady = last.size() < 5 ? 0 : *std::min_element(last.begin(), last.end());
      most_ = std::max<int>(most_, steady);
      std::this_thread::sleep_for(Millis{3});
    }
  }

  std::atomic<bool> stopping_ = false;
  std::atomic<int> most_ = 0;
  std::thread thread_;
};

int most_at_once(std::uint64_t seed, std::vector<std::string> options) {
  RedisCluster source(nodes(3));
  RedisCluster target;
  const LiveOptions live = busy(seed);
  fill(source, live.dataset);
  slow_snapshots(source, "300");
  Keyferry link(KEYFERRY_BINARY);
  options.insert(options.end(), {"--stop-when", "snapshot"});
  const FullSyncWatch watch(source);

  link.run(source.uri(), target.uri(), options);

  EXPECT_EQ(link.wait_exit(Millis{30000}), 0) << "the goal is that of all\n" << link.output();
  EXPECT_EQ(count_of(link.output(), "full sync begins"), 3u) << link.output();
  expect_equal(source, target, link);
  return watch.most();
}

TEST(FullSyncTurns, OneAtATimeWhereThatIsAsked) {
  EXPECT_EQ(most_at_once(381, one_at_a_time), 1);
}

TEST(FullSyncTurns, AllAtOnceOtherwise) {
  EXPECT_EQ(most_at_once(382, quick_lease), 3);
}

// The nodes whose shards wait, when there are two of them.
std::vector<std::size_t> wait_for_two_waiting(Keyferry& link, RedisCluster& source) {
  std::vector<std::size_t> waiting;
  const auto have_begun = [&](const std::string& json) {
    waiting.clear();
    for (int shard = 0; shard < 3; ++shard) {
      const std::string at = "shards." + std::to_string(shard);
      const std::string master = json_field(json, at + ".source");
      for (std::size_t i = 0; i < 3; ++i) {
        if (json_field(json, at + ".waits_for_turn") == "true" &&
            master == "127.0.0.1:" + std::to_string(source.node(i).port()))
          waiting.push_back(i);
      }
    }
    return waiting.size() == 2;
  };
  EXPECT_TRUE(link.wait_until(have_begun, Millis{10000})) << link.output();
  return waiting;
}

// Something happens while two of three shards wait; the end must be equal.
template <class Happening>
void play_while_two_wait(std::uint64_t seed, std::size_t replicas, Happening happening) {
  RedisCluster source(nodes(3, replicas));
  RedisCluster target;
  const LiveOptions live = busy(seed);
  fill(source, live.dataset);
  slow_snapshots(source, "1000");
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), one_at_a_time);
  const std::vector<std::size_t> waiting = wait_for_two_waiting(link, source);
  if (waiting.size() == 2) happening(source, waiting);
  EXPECT_NE(link.output().find("waiting for its turn"), std::string::npos);
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{500});
  writer.stop();
  drain(link);

  expect_equal(source, target, link);
}

TEST(FullSyncTurns, AMasterIsReplacedWhileItsShardWaits) {
  play_while_two_wait(383, 3, [](RedisCluster& source, const std::vector<std::size_t>& waiting) {
    const std::size_t replica = waiting.front() + 3;
    source.node(replica).command({"CLUSTER", "FAILOVER"});
    wait_leader(source, replica);
  });
}

// Each holds keys of the other's slots in its snapshot: one has the turn, and waits for the other.
TEST(FullSyncTurns, WhoeverIsWaitedForGoesFirst) {
  play_while_two_wait(385, 0, [](RedisCluster& source, const std::vector<std::size_t>& waiting) {
    for (int block = 0; block < 40; ++block) {
      const int slot = key_slot("{t" + std::to_string(block) + "}");
      const std::size_t owner = source.owner(slot);
      if (owner == waiting[0]) source.move_slot(slot, waiting[1]);
      if (owner == waiting[1]) source.move_slot(slot, waiting[0]);
    }
    move_some(source, 50, 3);
  });
}

TEST(FullSyncTurns, ASignalEndsThoseThatWaitAtOnce) {
  RedisCluster source(nodes(3));
  RedisCluster target;
  const LiveOptions live = busy(386);
  fill(source, live.dataset);
  slow_snapshots(source, "3000");
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), one_at_a_time);
  wait_for_two_waiting(link, source);

  link.process().send_signal(SIGTERM);

  EXPECT_EQ(link.wait_exit(Millis{3000}), 0) << link.output();
  slow_snapshots(source, "0");
  link.run(source.uri(), target.uri(),
           with({"--set", "source.max_parallel_snapshots=1", "--stop-when", "lag-zero"}));
  EXPECT_EQ(link.wait_exit(Millis{30000}), 0) << link.output();
  expect_equal(source, target, link);
}

}  // namespace
}  // namespace keyferry::test
