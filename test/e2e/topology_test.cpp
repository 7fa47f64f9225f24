// Clusters of other sizes, targets that lose a node, slots that move at full load, and a target
// master that says nothing for a while: the link goes on, and both ends are equal in the end.
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "cluster_source.hpp"

namespace keyferry::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int counter_keys = 300;

// INCR, SET and RPUSH over `counter_keys` keys each, 200 per flush, until stopped.
class FastWriter {
 public:
  FastWriter(const RedisServer& source, int per_s) {
    const auto pause = std::chrono::microseconds(200'000'000LL / per_s);
    thread_ = std::thread([this, client = source.client(), pause]() mutable {
      auto next = Clock::now();
      for (int i = 0; !stopping_; i += 200) {
        for (int n = i; n < i + 200; ++n)
          client.append(command(n));
        client.flush();
        for (int n = 0; n < 200; ++n)
          errors_ += client.read().is_error() ? 1 : 0;
        written_ += 200;
        std::this_thread::sleep_until(next += pause);
      }
    });
  }
  ~FastWriter() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int written() const { return written_; }
  int errors() const { return errors_; }

 private:
  static Args command(int n) {
    const std::string key = std::to_string(n / 3 % counter_keys);
    if (n % 3 == 0) return {"INCR", "n:" + key};
    if (n % 3 == 1) return {"SET", "s:" + key, std::to_string(n)};
    return {"RPUSH", "l:" + key, std::to_string(n)};
  }

  std::atomic<bool> stopping_ = false;
  std::atomic<int> written_ = 0;
  std::atomic<int> errors_ = 0;
  std::thread thread_;
};

RedisServer roomy_source() {
  return source_server({"--repl-backlog-size", "64mb"});
}

ClusterOptions masters(std::size_t count) {
  ClusterOptions options;
  options.masters = count;
  return options;
}

void play_sizes(std::uint64_t seed, std::size_t from, std::size_t to) {
  RedisCluster source(nodes(from));
  RedisCluster target(masters(to));
  const LiveOptions live = busy(seed);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);

  start(link, source, target);
  std::this_thread::sleep_for(Millis{1500});
  writer.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();
  drain(link);

  EXPECT_GT(writer.commands(), 1000u);
  EXPECT_EQ(count_of(link.output(), "full sync begins"), from) << link.output();
  for (std::size_t i = 0; i < to; ++i) {
    EXPECT_GT(target.node(i).command({"DBSIZE"}).integer, 0);
  }
  expect_equal(source, target, link);
}

TEST(Topology, ThreeMastersArriveInFive) {
  play_sizes(701, 3, 5);
}

TEST(Topology, FiveMastersArriveInThree) {
  play_sizes(702, 5, 3);
}

std::vector<int> slots_of(const RedisCluster& cluster, std::size_t node) {
  std::vector<int> out;
  for (const Reply& range : cluster.node(0).command({"CLUSTER", "SLOTS"}).items) {
    if (range.items.at(2).items.at(2).text != cluster.node_id(node)) continue;
    for (auto slot = range.items.at(0).integer; slot <= range.items.at(1).integer; ++slot)
      out.push_back(static_cast<int>(slot));
  }
  return out;
}

// One by one, a third to each of the others. The first gives its new owner the highest epoch; from
// then on an empty one is simply named to everyone, the former owner first: it refuses as long as
// it has keys.
void move_all_slots_away(RedisCluster& target, std::size_t leaver) {
  std::vector<RespClient> clients;
  for (std::size_t i = 0; i < target.size(); ++i)
    clients.push_back(target.node(i).client());
  const std::vector<int> slots = slots_of(target, leaver);
  std::size_t last_to = leaver;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const std::size_t to = 3 * i / slots.size();
    const Args given = {"CLUSTER", "SETSLOT", std::to_string(slots[i]), "NODE", target.node_id(to)};
    if (to != last_to || clients[leaver].command(given).is_error()) {
      target.move_slot(slots[i], to);
    } else {
      for (RespClient& client : clients)
        client.must(given);
    }
    last_to = to;
  }
}

void forget(RedisCluster& target, std::size_t leaver) {
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (i != leaver) target.node(i).command({"CLUSTER", "FORGET", target.node_id(leaver)});
  }
}

TEST(Topology, ATargetNodeIsRemovedUnderAStream) {
  RedisServer source = roomy_source();
  ClusterOptions four = masters(4);
  // A master that has lost all of its slots would become a replica.
  four.server.args = {"--cluster-allow-replica-migration", "no"};
  RedisCluster target(four);
  LiveOptions live = busy(703);
  live.dataset.keys = 300;
  live.commands_per_s = 500;
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target.node(3));  // it knows the others from the node that leaves
  LiveWriter writer(source, live);
  FastWriter fast(source, 1000);
  std::this_thread::sleep_for(Millis{1000});
  EXPECT_GT(target.node(3).command({"DBSIZE"}).integer, 0);

  move_all_slots_away(target, 3);
  EXPECT_EQ(target.node(3).command({"DBSIZE"}).integer, 0);
  forget(target, 3);
  target.node(3).stop();
  std::this_thread::sleep_for(Millis{1500});
  writer.stop();
  fast.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();
  EXPECT_EQ(fast.errors(), 0);
  EXPECT_NE(link.status("counters.redirected"), "0");
  EXPECT_EQ(link.status("counters.full_resyncs"), "0");
  drain(link);

  CompareOptions options;
  options.were_moved = true;
  EXPECT_EQ(describe(compare(source, target, options)), "") << link.output();
}

// All of them are half moved at once.
void move_in_bulk(RedisCluster& target, const std::vector<int>& slots) {
  std::vector<std::size_t> to;
  for (const int slot : slots) {
    to.push_back((target.owner(slot) + 1) % 3);
    target.begin_move(slot, to.back());
  }
  for (std::size_t i = 0; i < slots.size(); ++i) {
    while (target.migrate_keys(slots[i], to[i], 2) > 0) {
    }
  }
  for (std::size_t i = 0; i < slots.size(); ++i)
    target.finish_move(slots[i], to[i]);
}

TEST(Topology, SlotsAreMovedAtTwentyThousandCommandsPerSecond) {
  RedisServer source = roomy_source();
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  FastWriter writer(source, 25'000);
  std::this_thread::sleep_for(Millis{500});
  const int written_before = writer.written();
  const auto began = Clock::now();

  for (int key = 0; key < 60; ++key) {
    const int slot = key_slot("n:" + std::to_string(key));
    target.move_slot(slot, (target.owner(slot) + 1) % 3);
  }
  for (int first = 0; first < counter_keys; first += 100) {
    std::set<int> slots;
    for (int key = first; key < first + 100; ++key)
      slots.insert(key_slot("l:" + std::to_string(key)));
    move_in_bulk(target, {slots.begin(), slots.end()});
  }
  const double took_s = std::chrono::duration<double>(Clock::now() - began).count();
  const double per_s = (writer.written() - written_before) / took_s;
  EXPECT_GE(per_s, 20'000) << "over " << took_s << " s";
  writer.stop();
  EXPECT_EQ(writer.errors(), 0);
  EXPECT_NE(link.status("counters.redirected"), "0");
  EXPECT_EQ(link.status("counters.full_resyncs"), "0");
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

// Nobody can take its place: after two seconds the others say CLUSTERDOWN.
TEST(Topology, ATargetMasterSaysNothingForTenSeconds) {
  RedisServer source = roomy_source();
  RedisCluster target;
  LiveOptions live = busy(704);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  LiveWriter writer(source, live);
  FastWriter fast(source, 2000);
  std::this_thread::sleep_for(Millis{1000});

  target.node(1).sigstop();
  std::this_thread::sleep_for(Millis{10000});
  EXPECT_TRUE(link.is_running()) << link.output();
  target.node(1).sigcont();
  target.wait_ok();
  std::this_thread::sleep_for(Millis{1000});
  writer.stop();
  fast.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();
  EXPECT_EQ(fast.errors(), 0);
  EXPECT_EQ(link.status("counters.full_resyncs"), "0");
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

}  // namespace
}  // namespace keyferry::test
