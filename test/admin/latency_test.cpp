// LatencyHistogram and the phase names: parts of the published Status.
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "keyferry/pipeline/status.hpp"

namespace keyferry {
namespace {

TEST(LatencyHistogram, CountsAValueOnABoundInThatBucket) {
  LatencyHistogram histogram;

  histogram.observe(0.0001, 2);
  histogram.observe(0.00011, 3);

  EXPECT_EQ(histogram.counts[0], 2U);
  EXPECT_EQ(histogram.counts[1], 3U);
}

TEST(LatencyHistogram, PutsWhatIsAboveAllBoundsInTheLastBucket) {
  LatencyHistogram histogram;

  histogram.observe(31, 5);

  EXPECT_EQ(histogram.counts.back(), 5U);
  EXPECT_EQ(histogram.count, 5U);
}

TEST(LatencyHistogram, WeighsTheSumByCommands) {
  LatencyHistogram histogram;

  histogram.observe(0.5, 4);
  histogram.observe(2, 1);

  EXPECT_DOUBLE_EQ(histogram.sum_s, 4.0);
  EXPECT_EQ(histogram.count, 5U);
}

TEST(Phase, HasADifferentNameForEach) {
  std::set<std::string> names;
  for (const Phase phase : all_phases)
    names.insert(to_string(phase));

  EXPECT_EQ(names.size(), all_phases.size());
  EXPECT_TRUE(names.contains("catch_up"));
}

}  // namespace
}  // namespace keyferry
