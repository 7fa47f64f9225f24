#include "keyferry/command/scratch_command.hpp"

#include <string>

#include <gtest/gtest.h>

#include "keyferry/resp/command_parser.hpp"

namespace keyferry {
namespace {

using Words = std::vector<ByteView>;

// The command with x0, x1, ... for its keys.
std::string renamed(const Words& args) {
  const ScratchCommand command = scratch_command(*find_command(args[0]), args);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < command.keys.size(); ++i)
    names.push_back("x" + std::to_string(i));
  const Bytes wire = under_names(command, names);
  std::vector<ByteView> words;
  parse_command(wire, words);
  std::string out;
  for (const ByteView word : words)
    out += (out.empty() ? "" : " ") + std::string(word);
  return out;
}

// Its keys, those that it writes with a star.
std::string keys_of(const Words& args) {
  std::string out;
  for (const auto& key : scratch_command(*find_command(args[0]), args).keys)
    out += (out.empty() ? "" : " ") + std::string(key.name) + (key.is_written ? "*" : "");
  return out;
}

bool can_run(const Words& args) {
  return can_run_on_copies(*find_command(args[0]), args);
}

TEST(ScratchCommand, HasOtherNamesForItsKeysAndNothingElse) {
  EXPECT_EQ(renamed({"RENAME", "a", "b"}), "RENAME x0 x1");
  EXPECT_EQ(renamed({"copy", "a", "b", "REPLACE"}), "copy x0 x1 REPLACE");
  EXPECT_EQ(renamed({"SMOVE", "a", "b", "a"}), "SMOVE x0 x1 a");
  EXPECT_EQ(renamed({"LMOVE", "LEFT", "b", "LEFT", "RIGHT"}), "LMOVE x0 x1 LEFT RIGHT");
  EXPECT_EQ(renamed({"BITOP", "AND", "AND", "a", "b"}), "BITOP AND x0 x1 x2");
  EXPECT_EQ(renamed({"ZUNIONSTORE", "2", "2", "a", "b", "WEIGHTS", "2", "a"}),
            "ZUNIONSTORE x0 2 x1 x2 WEIGHTS 2 a");
  EXPECT_EQ(renamed({"SORT", "a", "LIMIT", "0", "9", "STORE", "b"}), "SORT x0 LIMIT 0 9 STORE x1");
  EXPECT_EQ(renamed({"GEORADIUS", "a", "1", "2", "3", "km", "STOREDIST", "b"}),
            "GEORADIUS x0 1 2 3 km STOREDIST x1");
  EXPECT_EQ(renamed({"GEOSEARCHSTORE", "a", "b", "FROMMEMBER", "b", "BYRADIUS", "1", "m"}),
            "GEOSEARCHSTORE x0 x1 FROMMEMBER b BYRADIUS 1 m");
}

TEST(ScratchCommand, HasEachKeyOnce) {
  EXPECT_EQ(renamed({"SUNIONSTORE", "a", "b", "a", "b"}), "SUNIONSTORE x0 x1 x0 x1");
  EXPECT_EQ(keys_of({"SUNIONSTORE", "a", "b", "a", "b"}), "a* b");
}

TEST(ScratchCommand, KnowsWhatItWrites) {
  EXPECT_EQ(keys_of({"RENAME", "a", "b"}), "a* b*");
  EXPECT_EQ(keys_of({"RENAMENX", "a", "b"}), "a* b*");
  EXPECT_EQ(keys_of({"COPY", "a", "b"}), "a b*");
  EXPECT_EQ(keys_of({"SMOVE", "a", "b", "x"}), "a* b*");
  EXPECT_EQ(keys_of({"RPOPLPUSH", "a", "b"}), "a* b*");
  EXPECT_EQ(keys_of({"PFMERGE", "to", "a", "b"}), "to* a b");
  EXPECT_EQ(keys_of({"ZRANGESTORE", "to", "a", "0", "-1"}), "to* a");
  EXPECT_EQ(keys_of({"SORT", "a", "STORE", "to"}), "a to*");
}

TEST(ScratchCommand, OfAMalformedCommandTouchesNothingOutside) {
  EXPECT_EQ(renamed({"RENAME", "a"}), "RENAME x0");
  EXPECT_EQ(renamed({"ZUNIONSTORE", "to"}), "ZUNIONSTORE to");
  EXPECT_EQ(renamed({"BITOP"}), "BITOP");
}

TEST(RunsOnCopies, WhatNamesAllThatItLooksAt) {
  EXPECT_TRUE(can_run({"RENAME", "a", "b"}));
  EXPECT_TRUE(can_run({"SORT", "a", "STORE", "b"}));
  EXPECT_TRUE(can_run({"SORT", "a", "BY", "nosort", "STORE", "b"}));
  EXPECT_TRUE(can_run({"COPY", "a", "b", "DB", "0"}));
}

TEST(RunsOnCopies, NotWhatLooksElsewhere) {
  EXPECT_FALSE(can_run({"SORT", "a", "BY", "w_*", "STORE", "b"}));
  EXPECT_FALSE(can_run({"SORT", "a", "GET", "#", "STORE", "b"}));
  EXPECT_FALSE(can_run({"EVAL", "return 1", "2", "a", "b"}));
  EXPECT_FALSE(can_run({"EVALSHA", "0", "2", "a", "b"}));
  EXPECT_FALSE(can_run({"FCALL", "f", "2", "a", "b"}));
  EXPECT_FALSE(can_run({"COPY", "a", "b", "DB", "1"}));
  EXPECT_FALSE(can_run({"FLUSHALL"}));
}

TEST(RunsOnCopies, NotACommandThatOnlyTheTargetKnows) {
  CommandInfo learnt;
  learnt.name = "MY.MOVE";
  learnt.last = 2;
  const Words args = {"MY.MOVE", "a", "b"};

  EXPECT_FALSE(can_run_on_copies(learnt, args));
}

}  // namespace
}  // namespace keyferry
