#include <vector>

#include <gtest/gtest.h>

#include "keyferry/command/command_table.hpp"

namespace keyferry {
namespace {

bool absolute(const std::vector<ByteView>& args) {
  return is_absolute(*find_command(args[0]), args);
}

TEST(IsAbsolute, HoldsForPlainFormsThatLeaveNothingToChance) {
  const std::vector<std::vector<ByteView>> cases = {
      {"SET", "k", "v"},
      {"set", "k", "nx"},  // the value, not an option
      {"SET", "k", "v", "PXAT", "4102444800000"},
      {"SETEX", "k", "10", "v"},
      {"GETSET", "k", "v"},
      {"DEL", "k", "NX"},
      {"UNLINK", "k"},
      {"MSET", "a", "1", "b", "2"},
      {"MSETEX", "2", "a", "1", "xx", "nx", "PXAT", "4102444800000"},
      {"HSET", "h", "f", "v"},
      {"SADD", "s", "m"},
      {"ZADD", "z", "1", "a"},
      {"zadd", "z", "CH", "1", "NX"},  // a member called NX
      {"GEOADD", "g", "13", "38", "P"},
      {"SETRANGE", "k", "0", "v"},
      {"SETBIT", "k", "7", "1"},
      {"PEXPIREAT", "k", "4102444800000"},
      {"PERSIST", "k"},
      {"RESTORE", "k", "0", "payload", "REPLACE"},
      {"RESTORE", "k", "4102444800000", "payload", "absttl", "replace"},
  };

  for (const auto& args : cases)
    EXPECT_TRUE(absolute(args)) << testing::PrintToString(args);
}

TEST(IsAbsolute, FailsWhenAnOptionLooksAtWhatIsThere) {
  const std::vector<std::vector<ByteView>> cases = {
      {"SET", "k", "v", "NX"},
      {"SET", "k", "v", "PX", "10", "xx"},
      {"SET", "k", "v", "GET"},
      {"SET", "k", "v", "KEEPTTL"},
      {"SET", "k", "v", "IFEQ", "w"},
      {"MSETEX", "1", "a", "1", "NX"},
      {"MSETEX", "2", "a", "1", "KEEPTTL"},
      {"MSETEX", "x", "a", "1"},
      {"ZADD", "z", "NX", "1", "a"},
      {"ZADD", "z", "CH", "gt", "1", "a"},
      {"ZADD", "z", "INCR", "1", "a"},
      {"GEOADD", "g", "XX", "13", "38", "P"},
      {"PEXPIREAT", "k", "4102444800000", "GT"},
      {"RESTORE", "k", "0", "payload"},
      {"RESTORE", "k", "1000", "payload", "REPLACE"},
      {"RESTORE", "k", "1000", "REPLACE", "ABSTTL"},
  };

  for (const auto& args : cases)
    EXPECT_FALSE(absolute(args)) << testing::PrintToString(args);
}

TEST(IsAbsolute, FailsForRelativeCommands) {
  const std::vector<ByteView> names = {"INCR",   "APPEND", "LPUSH", "RPOP",   "HINCRBY", "XADD",
                                       "RENAME", "HDEL",   "SREM",  "ZREM",   "SETNX",   "MSETNX",
                                       "HSETNX", "LSET",   "COPY",  "EXPIRE", "SPOP",    "SWAPDB"};

  for (ByteView name : names)
    EXPECT_FALSE(absolute({name, "k", "v", "w"})) << name;
}

TEST(IsAbsolute, FailsForCommandsWithoutArguments) {
  for (const CommandInfo& row : all_commands()) {
    const ByteView alone[] = {row.name};
    EXPECT_FALSE(is_absolute(row, alone)) << row.name;
  }
}

}  // namespace
}  // namespace keyferry
