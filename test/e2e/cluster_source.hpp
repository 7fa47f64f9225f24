// What the tests of a source that is a cluster share: its shape, its data, and slots that move.
#pragma once

#include <csignal>

#include "e2e/start.hpp"

namespace keyferry::test {

inline LiveOptions busy(std::uint64_t seed) {
  LiveOptions live;
  live.dataset.keys = 3000;
  live.dataset.seed = seed;
  live.dataset.cluster_safe = true;
  live.seed = seed + 1;
  live.commands_per_s = 3000;
  return live;
}

inline ClusterOptions nodes(std::size_t masters, std::size_t replicas = 0) {
  ClusterOptions options;
  options.masters = masters;
  options.replicas = replicas;
  options.server.args = {"--repl-backlog-size",
                         "64mb",
                         "--repl-diskless-sync",
                         "yes",
                         "--repl-diskless-sync-delay",
                         "0",
                         "--cluster-replica-validity-factor",
                         "0"};
  return options;
}

inline const std::vector<std::string>& quick = quick_lease;

template <class Target>
void expect_equal(RedisCluster& source, const Target& target, Keyferry& link) {
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

// Until a node other than `was` leads the slots of node 0.
inline void wait_leader(RedisCluster& source, std::size_t node) {
  const auto leads = [&source, node] {
    return source.node(node).info("role") == "master" &&
           source.node(1).command({"CLUSTER", "INFO"}).text.find("cluster_state:ok") !=
               std::string::npos;
  };
  ASSERT_TRUE(wait_for(Millis{30000}, leads)) << source.node(node).log();
}

// Blocks of the data set share a slot each: every 7th block's slot goes to the next master.
inline void move_some(RedisCluster& source, int first, std::size_t masters) {
  for (int block = first; block < first + 70; block += 7) {
    const int slot = key_slot("{t" + std::to_string(block) + "}");
    source.move_slot(slot, (source.owner(slot) + 1) % masters);
  }
}

template <class Target>
void play_moves(std::uint64_t seed, Target& target, bool kills) {
  RedisCluster source(nodes(3));
  LiveOptions live = busy(seed);
  live.dataset.keys = 4000;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);

  for (int round = 0; round < 3; ++round) {
    move_some(source, round, 3);
    if (kills) {
      link.process().kill9();
      move_some(source, round + 3, 3);
      start(link, source, target);
    }
  }
  std::this_thread::sleep_for(Millis{500});
  writer.stop();
  drain(link);

  EXPECT_GT(writer.commands(), 1000u);
  EXPECT_EQ(count_of(link.output(), "full sync begins"), 3u);
  EXPECT_NE(link.output().find("slots changed hands"), std::string::npos) << link.output();
  expect_equal(source, target, link);
}

}  // namespace keyferry::test
