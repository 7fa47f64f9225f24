#include "keyferry/config/rules.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

TEST(Shard, ReadsItsNumberAndHowManyThereAre) {
  const auto shard = parse_shard("2/5");

  ASSERT_TRUE(shard);
  EXPECT_EQ(shard->number, 2);
  EXPECT_EQ(shard->of, 5);
  for (const char* text :
       {"", "3", "3/3", "-1/3", "0/0", "1/", "/3", "a/3", "0/3x", "0/1001", "1 /3"})
    EXPECT_FALSE(parse_shard(text)) << text;
}

// What redis-cli --cluster create gives to three masters: 0-5460, 5461-10922, 10923-16383.
TEST(Shard, HasTheSlotsOfAMasterOfANewCluster) {
  const Shard thirds[] = {{0, 3}, {1, 3}, {2, 3}};

  EXPECT_EQ(thirds[0].slots().first, 0);
  EXPECT_EQ(thirds[0].slots().last, 5460);
  EXPECT_EQ(thirds[1].slots().first, 5461);
  EXPECT_EQ(thirds[1].slots().last, 10922);
  EXPECT_EQ(thirds[2].slots().first, 10923);
  EXPECT_EQ(thirds[2].slots().last, 16383);
}

TEST(Shard, EachSlotBelongsToOne) {
  for (std::uint16_t of = 1; of <= 1000; ++of) {
    int next = 0;
    for (std::uint16_t number = 0; number < of; ++number) {
      const SlotRange slots = Shard{number, of}.slots();
      ASSERT_EQ(slots.first, next) << number << "/" << of;
      ASSERT_GE(slots.last, slots.first) << number << "/" << of;
      next = slots.last + 1;
    }
    ASSERT_EQ(next, 16384) << of;
  }
}

}  // namespace
}  // namespace keyferry
