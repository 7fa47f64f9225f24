#include "keyferry/base/rate.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

const TimePoint begin{std::chrono::hours(1)};

TEST(RateLimit, WithoutALimitNeverWaits) {
  RateLimit limit;
  limit.spend(1'000'000'000, begin);

  EXPECT_EQ(limit.wait(begin), Millis(0));
}

TEST(RateLimit, LetsThroughAndThenWaitsForItsShare) {
  RateLimit limit(1000);
  limit.spend(1100, begin);  // a tenth of a second's share was saved

  EXPECT_EQ(limit.wait(begin), Millis(1000));
  EXPECT_EQ(limit.wait(begin + Millis(400)), Millis(600));
  EXPECT_EQ(limit.wait(begin + Millis(1000)), Millis(0));
}

TEST(RateLimit, HoldsTheRateOverTime) {
  RateLimit limit(500);
  TimePoint now = begin;
  for (int i = 0; i < 1000; ++i) {
    now += limit.wait(now);
    limit.spend(7, now);
  }

  EXPECT_NEAR(static_cast<double>(elapsed_ms(begin, now)), 7000.0 / 500 * 1000, 300);
}

TEST(RateLimit, SavesNoMoreThanATenthOfASecond) {
  RateLimit limit(1000);
  limit.spend(1, begin);
  limit.spend(1100, begin + std::chrono::hours(1));

  EXPECT_EQ(limit.wait(begin + std::chrono::hours(1)), Millis(1000));
}

TEST(RateLimit, ANewLimitForgivesWhatWasOverspent) {
  RateLimit limit(10);
  limit.spend(1000, begin);
  limit.set(100);

  EXPECT_EQ(limit.wait(begin), Millis(0));
}

}  // namespace
}  // namespace keyferry
