#include "keyferry/command/keys.hpp"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "keyferry/base/checksum.hpp"

namespace keyferry {
namespace {

using Args = std::vector<ByteView>;
using Positions = std::vector<std::size_t>;

Positions positions(const Args& args) {
  Positions found;
  for_each_key(*find_command(args[0]), args, [&](std::size_t at) { found.push_back(at); });
  return found;
}

// Slots of the cluster specification's example and of CLUSTER KEYSLOT, Redis 7.0.15.
TEST(SlotOf, AgreesWithTheServer) {
  EXPECT_EQ(slot_of("123456789"), 12739);
  EXPECT_EQ(slot_of("foo"), 12182);
  EXPECT_EQ(slot_of("bar"), 5061);
  EXPECT_EQ(slot_of("{user1000}.following"), slot_of("user1000"));
  EXPECT_EQ(slot_of(""), 0);
}

TEST(SlotOf, HashesTheTagOnlyWhenItIsOne) {
  struct Case {
    ByteView key;
    ByteView hashed;
  };
  const Case cases[] = {
      {"{a}x", "a"},  {"x{a}", "a"},      {"x{a}y{b}", "a"},
      {"{}x", "{}x"}, {"{}{a}", "{}{a}"}, {"{a", "{a"},
      {"a}{b}", "b"}, {"a}b", "a}b"},     {"foo{{bar}}zap", "{bar"},
      {"{{a}", "{a"}, {"{", "{"},         {"}", "}"},
      {"{}", "{}"},   {"{ }", " "},
  };

  for (const Case& c : cases)
    EXPECT_EQ(slot_of(c.key), crc16(c.hashed) % 16384) << c.key;
}

TEST(ForEachKey, FindsTheKeysOfEveryShape) {
  struct Case {
    Args args;
    Positions keys;
  };
  const Case cases[] = {
      {{"SET", "k", "v"}, {1}},
      {{"DEL", "a", "b", "c"}, {1, 2, 3}},
      {{"MSET", "a", "1", "b", "2"}, {1, 3}},
      {{"RENAME", "a", "b"}, {1, 2}},
      {{"BLPOP", "a", "b", "0"}, {1, 2}},
      {{"BITOP", "NOT", "d", "a"}, {2, 3}},
      {{"XGROUP", "CREATE", "s", "g", "$"}, {2}},
      {{"PFDEBUG", "TODENSE", "h"}, {2}},
      {{"FLUSHALL"}, {}},
      {{"PUBLISH", "channel", "text"}, {}},
      // Counted.
      {{"ZUNIONSTORE", "d", "2", "a", "b", "WEIGHTS", "1", "2"}, {1, 3, 4}},
      {{"LMPOP", "2", "a", "b", "LEFT"}, {2, 3}},
      {{"BZMPOP", "0", "1", "a", "MIN"}, {3}},
      {{"MSETEX", "2", "a", "1", "b", "2", "EX", "9"}, {2, 4}},
      {{"EVAL", "return 1", "0", "arg"}, {}},
      {{"EVALSHA", "ffff", "1", "a", "arg"}, {3}},
      // XREADGROUP: the names may look like options.
      {{"XREADGROUP", "GROUP", "g", "c", "STREAMS", "a", "b", ">", ">"}, {5, 6}},
      {{"xreadgroup", "group", "streams", "streams", "count", "1", "noack", "streams", "a", "0"},
       {8}},
      {{"XREADGROUP", "GROUP", "g", "c", "BLOCK", "9", "CLAIM", "7", "STREAMS", "a", ">"}, {9}},
      // MIGRATE.
      {{"MIGRATE", "h", "1", "k", "0", "9"}, {3}},
      {{"MIGRATE", "h", "1", "", "0", "9", "AUTH", "KEYS", "COPY", "KEYS", "a", "b"}, {10, 11}},
      // SORT and GEORADIUS.
      {{"SORT", "k"}, {1}},
      {{"SORT", "k", "BY", "STORE", "GET", "x", "STORE", "d"}, {1, 7}},
      {{"sort", "k", "limit", "0", "1", "alpha", "store", "d", "STORE", "e"}, {1, 9}},
      {{"GEORADIUS", "k", "15", "37", "200", "km", "STORE", "d"}, {1, 7}},
      {{"GEORADIUSBYMEMBER", "k", "store", "200", "km", "COUNT", "3", "ANY", "STOREDIST", "d"},
       {1, 9}},
      {{"GEORADIUS", "k", "15", "37", "200", "km", "STORE", "d", "STOREDIST", "e"}, {1, 9}},
  };

  for (const Case& c : cases)
    EXPECT_EQ(positions(c.args), c.keys) << testing::PrintToString(c.args);
}

TEST(ForEachKey, GivesFewerKeysForMalformedCommands) {
  struct Case {
    Args args;
    Positions keys;
  };
  const Case cases[] = {
      {{"SET"}, {}},
      {{"RENAME", "a"}, {1}},
      {{"BLPOP"}, {}},
      {{"BLPOP", "0"}, {}},
      {{"XGROUP", "CREATE"}, {}},
      {{"ZUNIONSTORE", "d"}, {}},
      {{"ZUNIONSTORE", "d", "3", "a"}, {1, 3}},
      {{"ZUNIONSTORE", "d", "99999999999999999999", "a"}, {1}},
      {{"ZUNIONSTORE", "d", "-1", "a"}, {1}},
      {{"EVAL", "x", "1x", "a"}, {}},
      {{"XREADGROUP"}, {}},
      {{"XREADGROUP", "GROUP", "g", "c", "STREAMS"}, {}},
      {{"XREADGROUP", "GROUP", "g", "c", "WHAT", "STREAMS", "a", ">"}, {}},
      {{"XREADGROUP", "GROUP"}, {}},
      {{"MIGRATE", "h", "1"}, {}},
      {{"MIGRATE", "h", "1", "", "0", "9", "KEYS"}, {}},
      {{"SORT"}, {}},
      {{"SORT", "k", "STORE"}, {1}},
      {{"GEORADIUS", "k"}, {1}},
  };

  for (const Case& c : cases)
    EXPECT_EQ(positions(c.args), c.keys) << testing::PrintToString(c.args);
}

// Random words of the commands' own vocabulary: whatever comes out is inside the command; ASan
// watches the accesses.
TEST(ForEachKey, NeverLeavesTheArguments) {
  const unsigned seed = 20250611;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const Args words = {"",   "0",    "1",     "2",     "3",     "STREAMS", "GROUP", "KEYS", "STORE",
                      "BY", "AUTH", "LIMIT", "COUNT", "BLOCK", "k",       "-1",    "200"};

  for (const CommandInfo& row : all_commands()) {
    for (int round = 0; round < 200; ++round) {
      Args args = {row.name};
      for (std::size_t n = random() % 12; n > 0; --n)
        args.push_back(words[random() % words.size()]);
      for_each_key(row, args, [&](std::size_t at) {
        ASSERT_GT(at, 0U) << testing::PrintToString(args);
        ASSERT_LT(at, args.size()) << testing::PrintToString(args);
      });
    }
  }
}

KeySlots slots(const Args& args) {
  return key_slots(*find_command(args[0]), args);
}

TEST(KeySlots, TellsWhereTheKeysLive) {
  using Span = KeySlots::Span;
  struct Case {
    Args args;
    Span span;
    ByteView first_key;
  };
  const Case cases[] = {
      {{"SET", "foo", "v"}, Span::one_slot, "foo"},
      {{"DEL", "{foo}1", "foo", "a{foo}"}, Span::one_slot, "foo"},
      {{"DEL", "foo", "bar"}, Span::many_slots, "foo"},
      {{"MSET", "foo", "bar", "{foo}", "x"}, Span::one_slot, "foo"},
      {{"ZUNIONSTORE", "bar", "1", "foo"}, Span::many_slots, "bar"},
  };

  for (const Case& c : cases) {
    const KeySlots found = slots(c.args);
    EXPECT_EQ(found.span, c.span) << testing::PrintToString(c.args);
    EXPECT_EQ(found.slot, slot_of(c.first_key)) << testing::PrintToString(c.args);
    EXPECT_FALSE(found.own_key);
  }
  EXPECT_EQ(slots({"EVAL", "return 1", "0"}).span, Span::no_key);
  EXPECT_EQ(slots({"PUBLISH", "keyferry:x", "y"}).span, Span::no_key);
  EXPECT_EQ(slots({"DEL"}).span, Span::no_key);
}

TEST(KeySlots, SeesOurOwnKeysWhereverTheyStand) {
  struct Case {
    Args args;
    bool own;
  };
  const Case cases[] = {
      {{"SET", "keyferry:{a}:link", "v"}, true},
      {{"DEL", "a", "b", "c", "keyferry:x"}, true},
      {{"ZUNIONSTORE", "d", "2", "a", "keyferry:x"}, true},
      {{"SET", "a", "keyferry:x"}, false},
      {{"MSET", "a", "keyferry:x"}, false},
      {{"SET", "Keyferry:x", "v"}, false},
      {{"SET", "keyferry", "v"}, false},
      {{"PUBLISH", "keyferry:x", "y"}, false},
  };

  for (const Case& c : cases) {
    EXPECT_EQ(slots(c.args).own_key, c.own) << testing::PrintToString(c.args);
    EXPECT_EQ(touches_own_key(*find_command(c.args[0]), c.args), c.own);
  }
}

}  // namespace
}  // namespace keyferry
