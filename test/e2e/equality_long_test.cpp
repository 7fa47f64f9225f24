// 20 seeded rounds of data equality for each target and each form of the snapshot.
#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

constexpr std::uint64_t rounds = 20;

void play_standalone(bool diskless) {
  for (std::uint64_t seed = 100; seed < 100 + rounds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RedisServer target = source_server();
    play({.cluster = false, .diskless = diskless, .seed = seed}, target);
  }
}

void play_cluster(bool diskless) {
  RedisCluster target;
  for (std::uint64_t seed = 200; seed < 200 + rounds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    for (std::size_t i = 0; i < target.size(); ++i) {
      target.node(i).command({"FLUSHALL"});
      target.node(i).command({"FUNCTION", "FLUSH"});
    }
    play({.cluster = true, .diskless = diskless, .seed = seed}, target);
  }
}

TEST(EqualityLong, StandaloneDiskless) {
  play_standalone(true);
}
TEST(EqualityLong, StandaloneFromFile) {
  play_standalone(false);
}
TEST(EqualityLong, ClusterDiskless) {
  play_cluster(true);
}
TEST(EqualityLong, ClusterFromFile) {
  play_cluster(false);
}

}  // namespace
}  // namespace keyferry::test
