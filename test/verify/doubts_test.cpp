#include "keyferry/verify/doubts.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

using Verdict = Doubts::Verdict;

Reading here(std::uint64_t hash) {
  Reading out;
  out.state = Reading::State::here;
  out.digest.hash = hash;
  return out;
}

Doubt key(ByteView name, std::uint64_t source = 1) {
  Doubt out;
  out.key = name;
  out.source = here(source);
  return out;
}

class DoubtsTest : public testing::Test {
 protected:
  Verdict look(Doubt& doubt, std::uint64_t target, std::uint64_t source) const {
    return doubts_.settle(doubt, here(target), here(source), rules_, 0);
  }

  JudgeRules rules_;
  Doubts doubts_{Doubts::Schedule{Millis(100), 3, 4}, 1 << 20};
  TimePoint now_ = TimePoint() + Millis(1'000'000);
};

TEST_F(DoubtsTest, WhatDiffersAgainAndAgainIsDifferent) {
  Doubt doubt = key("a");

  EXPECT_EQ(look(doubt, 2, 1), Verdict::again);
  EXPECT_EQ(look(doubt, 2, 1), Verdict::again);
  EXPECT_EQ(look(doubt, 2, 1), Verdict::different);
  EXPECT_EQ(doubt.finding, KeyFinding::value);
}

TEST_F(DoubtsTest, ATargetThatHasComeToWhatTheSourceHadIsEqual) {
  Doubt doubt = key("a", 7);
  doubt.target = here(6);

  EXPECT_EQ(look(doubt, 7, 8), Verdict::equal);
}

TEST_F(DoubtsTest, ATargetThatStaysAtWhatTheSourceHadProvesNothing) {
  Doubt doubt = key("a", 7);
  doubt.target = here(7);

  EXPECT_EQ(look(doubt, 7, 8), Verdict::again);
  EXPECT_EQ(look(doubt, 7, 8), Verdict::again);
  EXPECT_EQ(doubt.strikes, 1) << "the source did not change this time";
}

TEST_F(DoubtsTest, WhatTheSourceHasNowIsEqual) {
  Doubt doubt = key("a", 7);

  EXPECT_EQ(look(doubt, 8, 8), Verdict::equal);
}

TEST_F(DoubtsTest, ASourceThatChangesProvesNothing) {
  Doubt doubt = key("a", 1);

  EXPECT_EQ(look(doubt, 9, 1), Verdict::again);
  EXPECT_EQ(look(doubt, 9, 2), Verdict::again);
  EXPECT_EQ(doubt.strikes, 0);
  EXPECT_EQ(look(doubt, 9, 3), Verdict::again);
  EXPECT_EQ(look(doubt, 9, 4), Verdict::again);
  EXPECT_EQ(look(doubt, 9, 5), Verdict::changing);
}

TEST_F(DoubtsTest, WaitsAtLeastForTheLagAndThenLonger) {
  doubts_.add(key("a"), now_, Millis(250));

  EXPECT_TRUE(doubts_.take_due(now_ + Millis(249), 10).empty());
  auto due = doubts_.take_due(now_ + Millis(250), 10);
  ASSERT_EQ(due.size(), 1U);
  due[0].strikes = 2;
  doubts_.put_back(std::move(due[0]), now_, Millis(0));
  EXPECT_TRUE(doubts_.take_due(now_ + Millis(399), 10).empty());
  EXPECT_EQ(doubts_.take_due(now_ + Millis(400), 10).size(), 1U);
}

TEST_F(DoubtsTest, IsNotLookedAtBeforeTheTargetCanHaveWhatTheSourceHad) {
  doubts_.add(key("a"), now_, Millis(0));

  EXPECT_TRUE(doubts_.take_due(now_ + Millis(5000), 10, Millis(5001)).empty());
  EXPECT_FALSE(doubts_.empty());
  EXPECT_EQ(doubts_.take_due(now_ + Millis(6000), 10, Millis(900)).size(), 1U);
}

TEST_F(DoubtsTest, AKeyIsDoubtedOnceAndNeverAfterItWasCounted) {
  doubts_.add(key("a"), now_, Millis(0));
  doubts_.add(key("a"), now_, Millis(0));
  EXPECT_EQ(doubts_.size(), 1U);
  auto due = doubts_.take_due(now_ + Millis(1000), 10);
  ASSERT_EQ(due.size(), 1U);
  doubts_.remember(due[0]);
  doubts_.add(key("a"), now_, Millis(0));

  EXPECT_TRUE(doubts_.empty());
}

TEST_F(DoubtsTest, AKeyThatWasEqualMayBeDoubtedAgain) {
  doubts_.add(key("a"), now_, Millis(0));
  const auto due = doubts_.take_due(now_ + Millis(1000), 10);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_FALSE(doubts_.empty()) << "it may come back";
  doubts_.let_go(due[0]);
  EXPECT_TRUE(doubts_.empty());
  doubts_.add(key("a"), now_, Millis(0));

  EXPECT_EQ(doubts_.size(), 1U);
}

TEST_F(DoubtsTest, IsFullWhenItsMemoryIs) {
  Doubts small(Doubts::Schedule(), 2000);
  for (int i = 0; i < 100 && !small.is_full(); ++i)
    small.add(key("key " + std::to_string(i)), now_, Millis(0));

  EXPECT_TRUE(small.is_full());
  EXPECT_LT(small.size(), 100U);
  for (const Doubt& one : small.take_due(now_ + Millis(10'000), 100))
    small.let_go(one);
  EXPECT_FALSE(small.is_full());
}

TEST_F(DoubtsTest, LargeOnesComeAlone) {
  Doubt big = key("big");
  big.is_big = true;
  doubts_.add(key("a"), now_, Millis(0));
  doubts_.add(std::move(big), now_, Millis(1));
  doubts_.add(key("c"), now_, Millis(200));

  EXPECT_EQ(doubts_.take_due(now_ + Millis(1000), 10).size(), 1U);
  EXPECT_TRUE(doubts_.take_due(now_ + Millis(1000), 10).front().is_big);
  EXPECT_EQ(doubts_.take_due(now_ + Millis(1000), 10).front().key, "c");
}

}  // namespace
}  // namespace keyferry
