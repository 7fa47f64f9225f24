#include "keyferry/base/present.hpp"

#include <limits>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

TEST(Present, GroupsCounts) {
  EXPECT_EQ(shown_count(0), "0");
  EXPECT_EQ(shown_count(999), "999");
  EXPECT_EQ(shown_count(1000), "1,000");
  EXPECT_EQ(shown_count(1234567), "1,234,567");
}

TEST(Present, ChoosesTheUnitOfBytes) {
  EXPECT_EQ(shown_bytes(1023), "1023 B");
  EXPECT_EQ(shown_bytes(1024), "1.0 KiB");
  EXPECT_EQ(shown_bytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(shown_bytes(std::uint64_t{3} << 30), "3.0 GiB");
  EXPECT_EQ(shown_bytes(std::numeric_limits<std::uint64_t>::max()), "16384.0 PiB");
}

TEST(Present, ShortensRates) {
  EXPECT_EQ(shown_rate(0), "0");
  EXPECT_EQ(shown_rate(999.4), "999");
  EXPECT_EQ(shown_rate(999.6), "1.0k");
  EXPECT_EQ(shown_rate(1234567), "1.2M");
  EXPECT_EQ(shown_rate(-1), "0");
}

TEST(Present, ChoosesTheUnitsOfDurations) {
  EXPECT_EQ(shown_duration(0), "0 ms");
  EXPECT_EQ(shown_duration(0.85), "850 ms");
  EXPECT_EQ(shown_duration(0.9999), "1 s");
  EXPECT_EQ(shown_duration(59.6), "1 min 00 s");
  EXPECT_EQ(shown_duration(200), "3 min 20 s");
  EXPECT_EQ(shown_duration(7500), "2 h 05 min");
}

TEST(Present, DrawsBars) {
  EXPECT_EQ(shown_bar(0, 4), "[----]");
  EXPECT_EQ(shown_bar(0.5, 4), "[##--]");
  EXPECT_EQ(shown_bar(7, 4), "[####]");
  EXPECT_EQ(shown_bar(-1, 4), "[----]");
  EXPECT_EQ(shown_bar(std::numeric_limits<double>::quiet_NaN(), 4), "[----]");
}

}  // namespace
}  // namespace keyferry
