#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "keyferry/command/keys.hpp"

namespace keyferry {
namespace {

using Args = std::vector<ByteView>;

std::vector<SplitPart> split(const Args& args) {
  return split_by_slot(*find_command(args[0]), args);
}

TEST(SplitBySlot, CutsKeysInFirstKeyOrder) {
  const std::vector<SplitPart> parts = split({"del", "a{1}", "b{2}", "c{1}", "d{3}", "e{2}"});

  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0].args, (Args{"del", "a{1}", "c{1}"}));
  EXPECT_EQ(parts[1].args, (Args{"del", "b{2}", "e{2}"}));
  EXPECT_EQ(parts[2].args, (Args{"del", "d{3}"}));
  EXPECT_EQ(parts[0].slot, slot_of("1"));
  EXPECT_EQ(parts[1].slot, slot_of("2"));
  EXPECT_EQ(parts[2].slot, slot_of("3"));
}

TEST(SplitBySlot, KeepsValuesWithTheirKeys) {
  const std::vector<SplitPart> parts = split({"MSET", "a{1}", "1", "b{2}", "2", "a{1}", "3"});

  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].args, (Args{"MSET", "a{1}", "1", "a{1}", "3"}));
  EXPECT_EQ(parts[1].args, (Args{"MSET", "b{2}", "2"}));
}

TEST(SplitBySlot, MakesMsetOfMsetnx) {
  const std::vector<SplitPart> parts = split({"msetnx", "a{1}", "1", "b{2}", "2"});

  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].args, (Args{"MSET", "a{1}", "1"}));
  EXPECT_EQ(parts[1].args, (Args{"MSET", "b{2}", "2"}));
}

TEST(SplitBySlot, GivesOnePartWhenEverythingIsInOneSlot) {
  const std::vector<SplitPart> parts = split({"UNLINK", "a{1}", "b{1}"});

  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].args, (Args{"UNLINK", "a{1}", "b{1}"}));
}

TEST(SplitBySlot, GivesNothingForWhatCannotBeCut) {
  EXPECT_TRUE(split({"RENAME", "a", "b"}).empty());
  EXPECT_TRUE(split({"SUNIONSTORE", "a", "b"}).empty());
  EXPECT_TRUE(split({"DEL"}).empty());
  EXPECT_TRUE(split({"MSET", "a", "1", "b"}).empty());
}

TEST(SplitBySlot, LosesAndReordersNothing) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::vector<std::string> texts;
    for (int i = 0; i < 400; ++i)
      texts.push_back("{" + std::to_string(random() % 37) + "}" + std::to_string(i));
    Args args = {"DEL"};
    args.insert(args.end(), texts.begin(), texts.end());
    std::map<Slot, Args> expected;
    for (std::size_t i = 1; i < args.size(); ++i)
      expected[slot_of(args[i])].push_back(args[i]);

    const std::vector<SplitPart> parts = split(args);

    EXPECT_EQ(parts.size(), expected.size());
    for (const SplitPart& part : parts) {
      EXPECT_EQ(Args(part.args.begin() + 1, part.args.end()), expected[part.slot]);
    }
  }
}

}  // namespace
}  // namespace keyferry
