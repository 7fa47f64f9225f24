// Data equality under a writer of all core types: both targets, both forms of the snapshot. The
// long tier plays 20 rounds of each (equality_long_test).
#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

void play_standalone(bool diskless, std::uint64_t seed) {
  RedisServer target = source_server();
  play({.cluster = false, .diskless = diskless, .seed = seed}, target);
}

void play_cluster(bool diskless, std::uint64_t seed) {
  RedisCluster target;
  play({.cluster = true, .diskless = diskless, .seed = seed}, target);
}

TEST(Equality, StandaloneDiskless) {
  play_standalone(true, 1);
}
TEST(Equality, StandaloneDisklessSecondSeed) {
  play_standalone(true, 2);
}
TEST(Equality, StandaloneFromFile) {
  play_standalone(false, 3);
}
TEST(Equality, ClusterDiskless) {
  play_cluster(true, 4);
}
TEST(Equality, ClusterDisklessSecondSeed) {
  play_cluster(true, 5);
}
TEST(Equality, ClusterFromFile) {
  play_cluster(false, 6);
}

TEST(Equality, LruAndLfuHintsDoNotChangeData) {
  RedisServer source = source_server({"--maxmemory", "500mb", "--maxmemory-policy", "allkeys-lfu"});
  RedisServer target = source_server({"--maxmemory", "500mb", "--maxmemory-policy", "allkeys-lfu"});
  fill(source, {.keys = 2000, .seed = 9});
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), {"--stop-when", "snapshot"});

  ASSERT_EQ(link.wait_exit(Millis{30000}), 0) << link.output();
  EXPECT_EQ(describe(compare(source, target)), "");
}

}  // namespace
}  // namespace keyferry::test
