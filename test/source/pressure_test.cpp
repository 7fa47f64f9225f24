#include <gtest/gtest.h>

#include "keyferry/source/intake.hpp"

namespace keyferry {
namespace {

TEST(SourcePressure, SaysWhenReadingMustGoOnToDisk) {
  const struct {
    const char* why;
    SourcePressure pressure;
    bool must;
    std::optional<std::int64_t> left;
  } rows[] = {
      {"the source does not say", {{}, 1000, 10}, true, {}},
      {"nothing held back", {0, 1000, 10}, false, 100},
      {"just below a quarter of the limit", {249, 1000, 10}, false, 75},
      {"a quarter of the limit", {250, 1000, 10}, true, 75},
      {"at the limit", {1000, 1000, 10}, true, 0},
      {"over the limit", {5000, 1000, 10}, true, 0},
      {"no limit", {5000, 0, 10}, false, {}},
      {"not growing", {500, 1000, 0}, true, {}},
      {"shrinking", {100, 1000, -5}, false, {}},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(must_spool(row.pressure), row.must) << row.why;
    EXPECT_EQ(seconds_left(row.pressure), row.left) << row.why;
  }
}

}  // namespace
}  // namespace keyferry
