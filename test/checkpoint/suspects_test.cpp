#include "keyferry/checkpoint/suspects.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

using Key = Suspects::Key;

TEST(Suspects, AreGivenOutOnceAndForgottenWhenHealed) {
  Suspects suspects(10000);
  suspects.add(0, "a");
  suspects.add(1, "a");
  suspects.add(0, "a");

  EXPECT_EQ(suspects.take(10), (std::vector<Key>{{0, "a"}, {1, "a"}}));
  EXPECT_TRUE(suspects.take(10).empty());
  EXPECT_TRUE(suspects.healed(0, "a"));
  EXPECT_FALSE(suspects.contains(0, "a"));
  EXPECT_TRUE(suspects.contains(1, "a"));
  EXPECT_EQ(suspects.size(), 1U);
}

TEST(Suspects, OfOneSlotAreGivenOutTogether) {
  Suspects suspects(10000);
  for (const char* key : {"{b}1", "{a}1", "{b}2", "{a}2", "{a}3"})
    suspects.add(0, key);

  EXPECT_EQ(suspects.take_of_one_slot(2), (std::vector<Key>{{0, "{a}1"}, {0, "{a}2"}}));
  EXPECT_EQ(suspects.take_of_one_slot(2), (std::vector<Key>{{0, "{a}3"}}));
  EXPECT_EQ(suspects.take_of_one_slot(9), (std::vector<Key>{{0, "{b}1"}, {0, "{b}2"}}));
  EXPECT_TRUE(suspects.take_of_one_slot(9).empty());
}

TEST(Suspects, StaySuspectWhenSomethingHappensWhileTheyAreHealed) {
  Suspects suspects(10000);
  suspects.add(0, "a");
  suspects.take(1);
  suspects.add(0, "a");

  EXPECT_FALSE(suspects.healed(0, "a"));
  EXPECT_EQ(suspects.take(1), (std::vector<Key>{{0, "a"}}));
}

TEST(Suspects, AreMendedByACopyThatIsMadeBehindWhatHappened) {
  Suspects suspects(10000);
  suspects.add(0, "a", 100);
  suspects.take(1);
  suspects.add(0, "a", 150);  // while the copy is being asked for
  suspects.copied(0, "a", 200);
  suspects.add(0, "a", 200);

  EXPECT_EQ(suspects.waiting(), 0U);
  EXPECT_TRUE(suspects.healed(0, "a", 200));
}

TEST(Suspects, AreNotMendedByACopyFromBeforeWhatHappened) {
  Suspects suspects(10000);
  suspects.add(0, "a", 100);
  suspects.take(1);
  suspects.copied(0, "a", 200);
  suspects.add(0, "a", 201);

  EXPECT_EQ(suspects.waiting(), 1U);
  EXPECT_FALSE(suspects.healed(0, "a", 200));
  EXPECT_TRUE(suspects.contains(0, "a"));
}

TEST(Suspects, AreNotMendedByAnOlderCopyThanTheOneAskedForLast) {
  Suspects suspects(10000);
  suspects.add(0, "a", 100);
  suspects.take(1);
  suspects.copied(0, "a", 200);
  suspects.add(0, "a", 201);
  suspects.take(1);

  EXPECT_FALSE(suspects.healed(0, "a", 200));
  suspects.copied(0, "a", 300);
  EXPECT_TRUE(suspects.healed(0, "a", 300));
  EXPECT_TRUE(suspects.empty());
}

TEST(Suspects, KnowSinceWhenTheOldestIsSuspect) {
  Suspects suspects(10000);
  EXPECT_EQ(suspects.oldest(), Suspects::whenever);
  suspects.add(0, "a", 100, 90);
  suspects.add(0, "b", 120, 110);
  suspects.add(0, "a", 140, 130);
  EXPECT_EQ(suspects.oldest(), 90);

  suspects.take(1);
  suspects.copied(0, "a", 200);
  suspects.add(0, "a", 220, 210);
  suspects.add(0, "a", 240, 230);
  suspects.healed(0, "a", 200);
  EXPECT_EQ(suspects.oldest(), 110);

  suspects.take(1);
  suspects.healed(0, "b");
  EXPECT_EQ(suspects.oldest(), 210) << "what the copy did not mend";
}

TEST(Suspects, TakeTurns) {
  Suspects suspects(10000);
  for (const char* key : {"a", "b", "c"})
    suspects.add(0, key);
  std::vector<Key> taken;
  for (int i = 0; i < 3; ++i) {
    const auto one = suspects.take(1);
    taken.insert(taken.end(), one.begin(), one.end());
    suspects.add(0, one.front().second);  // again and again
  }

  EXPECT_EQ(taken, (std::vector<Key>{{0, "a"}, {0, "b"}, {0, "c"}}));
}

TEST(Suspects, ComeBackWhenTheyCouldNotBeFetched) {
  Suspects suspects(10000);
  suspects.add(0, "a");
  const auto taken = suspects.take(1);
  suspects.give_back(taken);
  suspects.give_back(taken);

  EXPECT_EQ(suspects.take(5).size(), 1U);
}

TEST(Suspects, AreForgottenDatabaseByDatabase) {
  Suspects suspects(10000);
  suspects.add(0, "a", Suspects::whenever, 70);
  suspects.add(1, "a", Suspects::whenever, 50);
  suspects.add(1, "b", Suspects::whenever, 60);
  suspects.add(2, "a", Suspects::whenever, 80);
  EXPECT_EQ(suspects.take(2).size(), 2U);  // one of database 1 is being healed

  suspects.clear_database(1);

  EXPECT_EQ(suspects.size(), 2U);
  EXPECT_EQ(suspects.waiting(), 1U);
  EXPECT_EQ(suspects.oldest(), 70);
  EXPECT_FALSE(suspects.contains(1, "b"));
  EXPECT_TRUE(suspects.contains(2, "a"));
}

TEST(Suspects, SayWhenOneDidNotFit) {
  Suspects suspects(400);
  for (char c = 'a'; c < 'f'; ++c)
    suspects.add(0, std::string(1, c));

  EXPECT_TRUE(suspects.overflowed());
  EXPECT_EQ(suspects.size(), 3U);
  suspects.clear();
  EXPECT_FALSE(suspects.overflowed());
  EXPECT_TRUE(suspects.empty());
}

}  // namespace
}  // namespace keyferry
