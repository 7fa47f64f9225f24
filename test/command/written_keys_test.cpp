#include "keyferry/command/written_keys.hpp"

#include <string>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

// "db:key" of each, in order.
std::string written(const std::vector<ByteView>& args, std::int32_t db = 0) {
  std::string out;
  for (const WrittenKey& key : written_keys(*find_command(args[0]), args, db)) {
    if (!out.empty()) out += ' ';
    out += std::to_string(key.db) + ":" + std::string(key.key);
  }
  return out;
}

TEST(WrittenKeys, AreBothEndsOfWhatMovesAValue) {
  for (const char* name : {"RENAME", "renamenx", "SMOVE", "LMOVE", "RPOPLPUSH", "BLMOVE"})
    EXPECT_EQ(written({name, "a", "b", "x", "y"}), "0:a 0:b") << name;
}

TEST(WrittenKeys, AreTheDestinationOfWhatOnlyReadsTheOthers) {
  for (const char* name : {"SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE", "PFMERGE"})
    EXPECT_EQ(written({name, "to", "a", "b"}), "0:to") << name;
  for (const char* name : {"ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"})
    EXPECT_EQ(written({name, "to", "2", "a", "b", "WEIGHTS", "1", "2"}), "0:to") << name;
  EXPECT_EQ(written({"ZRANGESTORE", "to", "a", "0", "-1"}), "0:to");
  EXPECT_EQ(written({"GEOSEARCHSTORE", "to", "a", "BYRADIUS", "1", "m"}), "0:to");
  EXPECT_EQ(written({"BITOP", "AND", "to", "a", "b"}), "0:to");
  EXPECT_EQ(written({"SORT", "a", "ALPHA", "STORE", "to"}), "0:to");
  EXPECT_EQ(written({"GEORADIUS", "a", "1", "2", "3", "m", "STOREDIST", "to"}), "0:to");
}

TEST(WrittenKeys, AreWhereTheDatabaseOfTheCommandSays) {
  EXPECT_EQ(written({"COPY", "a", "b"}, 3), "3:b");
  EXPECT_EQ(written({"COPY", "a", "b", "REPLACE", "DB", "5"}, 3), "5:b");
  EXPECT_EQ(written({"MOVE", "a", "5"}, 3), "3:a 5:a");
}

TEST(WrittenKeys, AreAllWhereNothingMoreIsKnown) {
  EXPECT_EQ(written({"EVAL", "return 1", "2", "a", "b", "c"}), "0:a 0:b");
  EXPECT_EQ(written({"FCALL", "f", "2", "a", "b"}), "0:a 0:b");
  EXPECT_EQ(written({"LMPOP", "2", "a", "b", "LEFT"}), "0:a 0:b");
  EXPECT_EQ(written({"MSETEX", "2", "a", "1", "b", "2"}), "0:a 0:b");
}

TEST(WrittenKeys, OfMalformedCommandsAreInsideTheirArguments) {
  EXPECT_EQ(written({"COPY", "a"}), "");
  EXPECT_EQ(written({"BITOP"}), "");
  EXPECT_EQ(written({"COPY", "a", "b", "DB"}), "0:b");
  EXPECT_EQ(written({"COPY", "a", "b", "DB", "x"}, 2), "2:b");
  EXPECT_EQ(written({"SORT", "a", "STORE"}), "0:a");
}

TEST(ReadsKeysByPattern, OnlySortWithByOrGet) {
  const auto reads = [](const std::vector<ByteView>& args) {
    return reads_keys_by_pattern(*find_command(args[0]), args);
  };
  EXPECT_TRUE(reads({"SORT", "a", "BY", "w_*", "STORE", "b"}));
  EXPECT_TRUE(reads({"sort", "a", "LIMIT", "0", "9", "get", "#", "STORE", "b"}));
  EXPECT_FALSE(reads({"SORT", "a", "BY", "nosort", "STORE", "b"}));
  EXPECT_FALSE(reads({"SORT", "a", "STORE", "GET"}));
  EXPECT_FALSE(reads({"SET", "a", "BY", "*"}));
}

}  // namespace
}  // namespace keyferry
