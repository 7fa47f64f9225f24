#include "keyferry/rdb/dump.hpp"

#include <gtest/gtest.h>

#include "builder.hpp"

namespace keyferry::rdb {
namespace {

using test::length;
using test::raw;
using test::string;

Bytes payload(const Bytes& body, unsigned version) {
  const Bytes covered = body + test::little_endian(version, 2);
  return covered + test::little_endian(crc64(0, covered), 8);
}

TEST(Dump, GivesTypeValueAndDialect) {
  const Bytes redis = payload(raw("\x00") + string("v"), 11);
  const Bytes valkey = payload(raw("\x16") + length(0), 80);

  const auto first = parse_dump(redis);
  const auto second = parse_dump(valkey);

  ASSERT_TRUE(first);
  EXPECT_EQ(first->type, 0);
  EXPECT_EQ(first->value, string("v"));
  EXPECT_EQ(first->dialect.family, Family::redis);
  EXPECT_EQ(first->dialect.version, 11);
  EXPECT_FALSE(first->checksum_disabled);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->dialect.family, Family::valkey);
}

TEST(Dump, TakesTheMetadataOff) {
  const Bytes meta = length(1) + "spec" + length(5) + string("m") + length(0);
  const Bytes bytes = payload(raw("\xf3") + meta + raw("\x00") + string("v"), 13);

  const auto dump = parse_dump(bytes);

  ASSERT_TRUE(dump);
  EXPECT_EQ(dump->key_meta, meta);
  EXPECT_EQ(dump->type, 0);
  EXPECT_EQ(dump->value, string("v"));
}

TEST(Dump, AcceptsAChecksumThatWasNotComputed) {
  Bytes bytes = payload(raw("\x00") + string("v"), 13);
  bytes.replace(bytes.size() - 8, 8, 8, '\0');

  const auto dump = parse_dump(bytes);

  ASSERT_TRUE(dump);
  EXPECT_TRUE(dump->checksum_disabled);
}

TEST(Dump, RefusesDamage) {
  const Bytes good = payload(raw("\x00") + string("v"), 11);
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    EXPECT_FALSE(parse_dump(bad)) << at;
  }
  EXPECT_FALSE(parse_dump(good.substr(0, 10)));
  EXPECT_FALSE(parse_dump(""));
  EXPECT_FALSE(parse_dump(payload(raw("\xf3") + length(1) + "cut", 13)));
}

}  // namespace
}  // namespace keyferry::rdb
