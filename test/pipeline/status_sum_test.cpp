#include <gtest/gtest.h>

#include "keyferry/pipeline/status.hpp"

namespace keyferry {
namespace {

Status shard(Phase phase, std::int64_t lag_bytes, std::int64_t lag_ms) {
  Status out;
  out.phase = phase;
  out.synced = out.is_streaming = out.source_link_up = true;
  out.lag_bytes = lag_bytes;
  out.lag_ms = lag_ms;
  out.applied = 5;
  out.applied_offset = 100;
  out.snapshot_keys_total = 10;
  out.redirects = {{"MOVED", 2}};
  return out;
}

TEST(StatusSum, AddsCountsAndTakesTheWorstOfTheRest) {
  const Status sum = sum_of({shard(Phase::steady, 10, 7), shard(Phase::catch_up, 20, 3)});

  EXPECT_EQ(sum.phase, Phase::catch_up);
  EXPECT_TRUE(sum.synced);
  EXPECT_EQ(sum.lag_bytes, 30);
  EXPECT_EQ(sum.lag_ms, 7);
  EXPECT_EQ(sum.applied, 10u);
  EXPECT_EQ(sum.applied_offset, 200);
  EXPECT_EQ(sum.snapshot_keys_total, 20u);
  ASSERT_EQ(sum.redirects.size(), 1u);
  EXPECT_EQ(sum.redirects[0].count, 4u);
  EXPECT_EQ(sum.shards.size(), 2u);
}

TEST(StatusSum, WhatOneDoesNotKnowIsUnknown) {
  Status blind = shard(Phase::connecting, 0, 0);
  blind.lag_bytes.reset();
  blind.lag_ms.reset();
  blind.synced = false;
  blind.last_error = "away";

  const Status sum = sum_of({shard(Phase::steady, 10, 7), blind});

  EXPECT_EQ(sum.phase, Phase::connecting);
  EXPECT_FALSE(sum.synced);
  EXPECT_FALSE(sum.lag_bytes.has_value());
  EXPECT_FALSE(sum.lag_ms.has_value());
  EXPECT_EQ(sum.last_error, "away");
}

TEST(StatusSum, OneThatFailedIsTheWholesFailure) {
  EXPECT_EQ(sum_of({shard(Phase::failed, 0, 0), shard(Phase::draining, 0, 0)}).phase,
            Phase::failed);
  EXPECT_EQ(sum_of({shard(Phase::stopped, 0, 0)}).phase, Phase::stopped);
  EXPECT_FALSE(sum_of({}).synced);
}

}  // namespace
}  // namespace keyferry
