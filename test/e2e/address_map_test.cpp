// Clusters whose nodes name addresses that cannot be reached from here, as behind NAT or in
// containers: `address_map` says where they are.
#include "cluster_source.hpp"

namespace keyferry::test {
namespace {

// Nothing listens there.
std::string named_port(std::size_t node) {
  return std::to_string(1 + node);
}

// Each node tells clients another port than its own (0: its own); among themselves nodes use the
// bus.
void name_ports(RedisCluster& cluster, const std::function<std::string(std::size_t node)>& port) {
  for (std::size_t i = 0; i < cluster.size(); ++i)
    cluster.node(i).command({"CONFIG", "SET", "cluster-announce-port", port(i)});
  const auto all_know = [&] {
    for (std::size_t asked = 0; asked < cluster.size(); ++asked) {
      const std::string nodes = cluster.node(asked).command({"CLUSTER", "NODES"}).text;
      for (std::size_t i = 0; i < cluster.size(); ++i) {
        const std::string seen = port(i) == "0" ? std::to_string(cluster.node(i).port()) : port(i);
        if (nodes.find("127.0.0.1:" + seen + "@") == std::string::npos) return false;
      }
    }
    return true;
  };
  ASSERT_TRUE(wait_for(Millis{20000}, all_know));
}

std::string map_of(const std::string& end, const RedisCluster& cluster) {
  std::string map;
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    map += (i == 0 ? "" : ", ") + ("'127.0.0.1:" + named_port(i)) +
           "': '127.0.0.1:" + std::to_string(cluster.node(i).port()) + "'";
  }
  return end + ".address_map={" + map + "}";
}

// A counter in each of 30 slots.
void increment(RedisCluster& cluster) {
  for (int i = 0; i < 30; ++i) {
    const std::string key = "n" + std::to_string(i);
    cluster.node(cluster.owner(key_slot(key))).command({"INCR", key});
  }
}

TEST(AddressMap, LeadsToTheNodesOfBothClusters) {
  RedisCluster source(nodes(3));
  RedisCluster target(nodes(2));
  fill(source, busy(951).dataset);
  increment(source);
  name_ports(source, named_port);
  name_ports(target, named_port);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target,
        with_settings({map_of("source", source), map_of("target", target)}, quick_lease));
  increment(source);
  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  for (int i = 0; i < 30; i += 3) {
    const int slot = key_slot("n" + std::to_string(i));
    target.move_slot(slot, 1 - target.owner(slot));
  }
  increment(source);
  drain(link);

  const auto own = [](std::size_t) { return std::string("0"); };
  name_ports(source, own);
  name_ports(target, own);
  expect_equal(source, target, link);
}

// Nothing else can be tried, and which address was meant is said.
TEST(AddressMap, WithoutItTheAddressThatCannotBeReachedIsNamed) {
  const RedisServer source;
  RedisCluster target(nodes(2));
  name_ports(target, named_port);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), with({"--set", "target.reconnect_max_s=1"}));

  EXPECT_EQ(link.wait_exit(Millis{20000}), 3) << link.output();
  const bool is_named = link.output().find("target 127.0.0.1:1: ") != std::string::npos ||
                        link.output().find("target 127.0.0.1:2: ") != std::string::npos;
  EXPECT_TRUE(is_named) << link.output();
}

}  // namespace
}  // namespace keyferry::test
