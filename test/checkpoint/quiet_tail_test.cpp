#include "keyferry/checkpoint/quiet_tail.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

TimePoint at_s(int s) {
  return TimePoint() + std::chrono::seconds(s);
}

TEST(QuietTail, IsNothingWhereTheLastCommandHasAnEffect) {
  QuietTail tail;

  EXPECT_EQ(tail.recordable({100, 0}, {100, 0}, at_s(0)).offset, 100);
  EXPECT_EQ(tail.recordable({200, 3}, {200, 3}, at_s(1)).offset, 200);
  EXPECT_EQ(tail.recordable({200, 3}, {200, 3}, at_s(1)).db, 3);
}

TEST(QuietTail, IsNotRecordedWhileItIsYoung) {
  QuietTail tail;
  tail.recordable({100, 0}, {100, 0}, at_s(0));

  EXPECT_EQ(tail.recordable({100, 0}, {114, 0}, at_s(1)).offset, 100);
  EXPECT_EQ(tail.recordable({100, 0}, {128, 0}, at_s(60)).offset, 100);
}

TEST(QuietTail, IsRecordedAsFarAsItIsOld) {
  QuietTail tail;
  tail.recordable({100, 0}, {114, 5}, at_s(0));
  tail.recordable({100, 0}, {128, 5}, at_s(10));

  const StreamPoint old = tail.recordable({100, 0}, {300, 5}, at_s(60));
  EXPECT_EQ(old.offset, 114);
  EXPECT_EQ(old.db, 5);
  EXPECT_EQ(tail.recordable({100, 0}, {310, 5}, at_s(119)).offset, 114);
  EXPECT_EQ(tail.recordable({100, 0}, {320, 5}, at_s(120)).offset, 300);
}

TEST(QuietTail, BeginsAnewBehindAnEffect) {
  QuietTail tail;
  tail.recordable({100, 0}, {114, 0}, at_s(0));

  EXPECT_EQ(tail.recordable({150, 0}, {164, 0}, at_s(59)).offset, 150);
  EXPECT_EQ(tail.recordable({150, 0}, {178, 0}, at_s(61)).offset, 150);
  EXPECT_EQ(tail.recordable({150, 0}, {178, 0}, at_s(119)).offset, 164);
}

}  // namespace
}  // namespace keyferry
