#include "keyferry/sink/late.hpp"

#include <gtest/gtest.h>

#include "keyferry/resp/resp.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {
namespace {

bool is_late_after(std::int64_t waited_ms, std::initializer_list<ByteView> command) {
  const Bytes wire = make_command(command);
  Unit unit;
  unit.wire = wire;
  const TimePoint now = Clock::now();
  return is_late(unit, now - Millis(waited_ms), now);
}

bool renewal_is_late_after(std::int64_t waited_ms, std::int64_t lives_ms) {
  const std::string at = std::to_string(unix_now_ms() + lives_ms);
  return is_late_after(waited_ms, {"PEXPIREAT", "k", at});
}

TEST(Late, TheShorterAKeyLivesTheShorterItMayWait) {
  EXPECT_FALSE(renewal_is_late_after(5, 100));
  EXPECT_TRUE(renewal_is_late_after(60, 5000));
  EXPECT_FALSE(renewal_is_late_after(40, 5000));
  EXPECT_TRUE(renewal_is_late_after(900, 60'000));
  EXPECT_FALSE(renewal_is_late_after(500, 60'000));
  EXPECT_TRUE(renewal_is_late_after(1100, 86'400'000));
  EXPECT_TRUE(renewal_is_late_after(20, -1000));
}

TEST(Late, OtherTimesAreReadAsWell) {
  const std::string soon_s = std::to_string(unix_now_ms() / 1000 + 5);
  EXPECT_TRUE(is_late_after(200, {"EXPIREAT", "k", soon_s}));
  EXPECT_TRUE(is_late_after(200, {"HPEXPIREAT", "k", soon_s + "000", "FIELDS", "1", "f"}));
  EXPECT_FALSE(is_late_after(200, {"PERSIST", "k"}));
  EXPECT_TRUE(is_late_after(1100, {"PERSIST", "k"}));
  EXPECT_TRUE(is_late_after(200, {"EXPIREAT", "k", "-9223372036854775808"}));
}

TEST(Late, WhatWasLateWhenItCameStaysLate) {
  Unit unit;
  unit.is_late = true;
  EXPECT_TRUE(is_late(unit, Clock::now(), Clock::now()));
}

}  // namespace
}  // namespace keyferry
