// A cluster as the source, the longer rounds.
#include "cluster_source.hpp"

namespace keyferry::test {
namespace {

TEST(ClusterSource, ATargetOfOneServerIsGoneOnWithAsWell) {
  RedisCluster source(nodes(2));
  const RedisServer target = source_server();
  const LiveOptions live = busy(304);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  std::this_thread::sleep_for(Millis{500});
  kill_and_start(link, source, target);
  std::this_thread::sleep_for(Millis{300});
  writer.stop();
  drain(link);

  EXPECT_EQ(count_of(link.output(), "full sync begins"), 2u);
  expect_equal(source, target, link);
}

TEST(ClusterSource, SlotsThatMoveUnderWritesArriveInACluster) {
  RedisCluster target;
  play_moves(330, target, false);
}

TEST(ClusterSource, SlotsThatMoveWhileWeAreDeadArrive) {
  RedisCluster target;
  play_moves(332, target, true);
}

}  // namespace
}  // namespace keyferry::test
