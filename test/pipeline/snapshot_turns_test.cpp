#include "keyferry/pipeline/snapshot_turns.hpp"

#include <gtest/gtest.h>

namespace keyferry::test {
namespace {

TEST(SnapshotTurns, AsManyAsAllowedHaveOne) {
  SnapshotTurns turns(2);

  EXPECT_TRUE(turns.take(0, "a", false));
  EXPECT_TRUE(turns.take(1, "a", false));
  EXPECT_FALSE(turns.take(2, "a", false));
}

TEST(SnapshotTurns, WhoeverHasOneKeepsIt) {
  SnapshotTurns turns(1);
  EXPECT_TRUE(turns.take(0, "a", false));

  EXPECT_TRUE(turns.take(0, "a", false));
}

TEST(SnapshotTurns, OneThatIsGivenBackIsForAnother) {
  SnapshotTurns turns(1);
  EXPECT_TRUE(turns.take(0, "a", false));
  turns.give_back(1);
  EXPECT_FALSE(turns.take(1, "a", false)) << "only one's own is given back";
  turns.give_back(0);

  EXPECT_TRUE(turns.take(1, "a", false));
}

TEST(SnapshotTurns, HostsAreCountedApart) {
  SnapshotTurns turns(1);

  EXPECT_TRUE(turns.take(0, "a", false));
  EXPECT_TRUE(turns.take(1, "b", false));
}

TEST(SnapshotTurns, AnotherHostIsAnotherTurn) {
  SnapshotTurns turns(1);
  EXPECT_TRUE(turns.take(0, "a", false));
  EXPECT_TRUE(turns.take(1, "b", false));

  EXPECT_FALSE(turns.take(0, "b", false));
  EXPECT_TRUE(turns.take(2, "a", false)) << "it is not there any more";
}

TEST(SnapshotTurns, WhoeverMustIsLetThrough) {
  SnapshotTurns turns(1);
  EXPECT_TRUE(turns.take(0, "a", false));

  EXPECT_TRUE(turns.take(1, "a", true));
  turns.give_back(0);
  EXPECT_FALSE(turns.take(2, "a", false)) << "and counts";
}

TEST(SnapshotTurns, ZeroIsNoLimit) {
  SnapshotTurns turns(0);
  for (std::size_t shard = 0; shard < 100; ++shard)
    EXPECT_TRUE(turns.take(shard, "a", false));
}

}  // namespace
}  // namespace keyferry::test
