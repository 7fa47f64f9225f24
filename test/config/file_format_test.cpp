#include "keyferry/config/file_format.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

TEST(FileFormat, FollowsTheNameUnderItsCompression) {
  EXPECT_EQ(file_format_of("/a/dump.rdb"), FileFormat::rdb);
  EXPECT_EQ(file_format_of("/a/dump.rdb.zst"), FileFormat::rdb);
  EXPECT_EQ(file_format_of("/a/x.resp.gz"), FileFormat::resp);
  EXPECT_EQ(file_format_of("/a/x.jsonl"), FileFormat::json);
  EXPECT_EQ(file_format_of("/a/appendonly.aof.manifest"), FileFormat::append_only);
  EXPECT_EQ(file_format_of("/a/x.manifest.gz"), FileFormat::unknown);
  EXPECT_EQ(file_format_of("/a/x.json"), FileFormat::unknown);
  EXPECT_EQ(file_format_of("-"), FileFormat::unknown);
}

TEST(Release, IsFamilyMajorAndMinor) {
  const auto redis = parse_release("redis-7.2");
  const auto valkey = parse_release("valkey-9.0");

  ASSERT_TRUE(redis && valkey);
  EXPECT_FALSE(redis->is_valkey);
  EXPECT_EQ(redis->major * 100 + redis->minor, 702);
  EXPECT_TRUE(valkey->is_valkey);
  EXPECT_EQ(valkey->major, 9);
  EXPECT_EQ(parse_release("redis-8.10")->minor, 10);
  for (const char* text : {"", "7.2", "redis-7", "redis-.2", "redis-7.", "redis-7.2.1", "redis-x.1",
                           "redis-7.123", "keydb-6.3", "redis-2.8"}) {
    EXPECT_FALSE(parse_release(text).has_value()) << text;
  }
}

TEST(Time, IsSecondsOrUtc) {
  EXPECT_EQ(parse_time("0"), 0);
  EXPECT_EQ(parse_time("1706702400"), 1706702400);
  EXPECT_EQ(parse_time("2024-01-31T12:00:00Z"), 1706702400);
  EXPECT_EQ(parse_time("2024-01-31 12:00:00"), 1706702400);
  EXPECT_EQ(parse_time("2024-02-29T23:59:59"), 1709251199);
  for (const char* text : {"", "-1", "2024-02-30T00:00:00", "2024-1-31T12:00:00", "noon",
                           "2024-01-31", "2024-01-31T24:00:00", "2024x01-31T12:00:00"}) {
    EXPECT_FALSE(parse_time(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace keyferry
