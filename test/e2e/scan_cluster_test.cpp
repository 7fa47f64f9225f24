// Scan mode with a cluster as the source: every master, or a replica of each; slots that move.
#include "e2e/scan_source.hpp"

namespace keyferry::test {
namespace {

TEST(ScanCluster, ConvergesUnderAWriterOfAllTypes) {
  RedisCluster source(events_cluster());
  const RedisServer target = source_server();
  const LiveOptions live = cluster_data();
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), scanning());
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{1000});
  writer.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(ScanCluster, ReadsFromReplicas) {
  RedisCluster source(events_cluster(3));
  RedisCluster target;
  const LiveOptions live = cluster_data();
  fill(source, live.dataset);
  const auto knows_replicas = [&source] {
    const Reply slots = source.node(0).command({"CLUSTER", "SLOTS"});
    for (const Reply& range : slots.items) {
      if (range.items.size() < 4) return false;
    }
    return true;
  };
  ASSERT_TRUE(wait_for(Millis{20000}, knows_replicas));
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), scanning({"--set", "source.prefer_replica=true"}));
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{500});
  writer.stop();
  const auto scans = [&source](std::size_t node) {
    const std::string stats = source.node(node).command({"INFO", "commandstats"}).text;
    return stats.find("cmdstat_dump:") != std::string::npos;
  };
  for (std::size_t node = 0; node < 6; ++node)
    EXPECT_EQ(scans(node), node >= 3) << node;
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(ScanCluster, KeysOfSlotsThatMoveArrive) {
  RedisCluster source(events_cluster());
  const RedisServer target = source_server();
  const LiveOptions live = cluster_data();
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), scanning({"--set", "source.scan.count=50"}));

  for (int block = 0; block < 40; ++block) {
    const int slot = key_slot("{t" + std::to_string(block) + "}");
    source.move_slot(slot, (source.owner(slot) + 1) % 3);
  }
  wait_streaming(link);
  writer.stop();
  // Half-way: its keys are on both sides.
  const int slot = key_slot("{t50}");
  const std::size_t to = (source.owner(slot) + 1) % 3;
  source.begin_move(slot, to);
  source.migrate_keys(slot, to, 8);
  std::this_thread::sleep_for(Millis{300});
  source.migrate_keys(slot, to);
  source.finish_move(slot, to);
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(ScanCluster, AProbeKeyTellsForEveryMaster) {
  RedisCluster source(events_cluster());
  const RedisServer target = source_server();
  const LiveOptions live = cluster_data();
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(),
           scanning({"--set", "source.scan.probe=always", "--stop-when", "lag-zero"}));

  EXPECT_EQ(link.wait_exit(Millis{30000}), 0) << link.output();
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(ScanCluster, ANewMasterIsTakenUp) {
  RedisCluster source(events_cluster(3));
  const RedisServer target = source_server();
  LiveOptions live = cluster_data();
  live.dataset.keys = 2000;
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), scanning());
  wait_streaming(link);

  // The others do not always vote in time; then the server gives it up after 5 s.
  const auto leads = [&source] { return source.node(3).info("role") == "master"; };
  for (int attempt = 0; attempt < 5 && !leads(); ++attempt) {
    source.node(3).command({"CLUSTER", "FAILOVER"});
    wait_for(Millis{6000}, leads);
  }
  ASSERT_TRUE(leads());
  LiveWriter writer(source, live);
  const auto is_taken_up = [&link](const std::string&) {
    return link.output().find("source node taken up") != std::string::npos;
  };
  EXPECT_TRUE(link.wait_until(is_taken_up, Millis{30000})) << link.output();
  writer.stop();
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

}  // namespace
}  // namespace keyferry::test
