#include "keyferry/verify/canonical.hpp"

#include <gtest/gtest.h>

#include "dumps.hpp"

namespace keyferry {
namespace {

using rdb::test::int8;
using rdb::test::length;
using rdb::test::listpack;
using rdb::test::lp_text;
using test::dump;
using test::dump_of;
using test::dump_of_field;

constexpr std::int64_t now_ms = 1'700'000'000'000;

bool same(const Bytes& a, const Bytes& b) {
  return is_same(digest_of_dump(a, now_ms), digest_of_dump(b, now_ms));
}

TEST(Canonical, EncodingsOfOneValueAreTheSame) {
  const Bytes packed_set = dump(20, rdb::test::string(listpack({lp_text("b"), lp_text("a")})));
  const Bytes packed_hash = dump(
      16, rdb::test::string(listpack({lp_text("f"), lp_text("1"), lp_text("g"), lp_text("2")})));

  EXPECT_TRUE(same(dump_of(2, {"a", "b"}), packed_set));
  EXPECT_TRUE(same(dump_of(4, {"g", "2", "f", "1"}), packed_hash));
  EXPECT_TRUE(same(dump(0, rdb::test::string("7")), dump(0, int8(7))));
  EXPECT_TRUE(same(dump(0, rdb::test::string(Bytes(40, 'x'))), dump(0, rdb::test::lzf('x', 40))));
  EXPECT_TRUE(same(dump_of(1, {"a"}, 9), dump_of(1, {"a"}, 11)));
}

TEST(Canonical, EveryElementCounts) {
  const Bytes list = dump_of(1, {"a", "b", "c"});
  struct Case {
    const char* what;
    Bytes other;
  };
  const Case cases[] = {
      {"head", dump_of(1, {"x", "b", "c"})},           {"middle", dump_of(1, {"a", "x", "c"})},
      {"tail", dump_of(1, {"a", "b", "x"})},           {"one less", dump_of(1, {"a", "b"})},
      {"one more", dump_of(1, {"a", "b", "c", "c"})},  {"order", dump_of(1, {"b", "a", "c"})},
      {"where one ends", dump_of(1, {"ab", "", "c"})}, {"type", dump_of(2, {"a", "b", "c"})}};

  for (const Case& one : cases)
    EXPECT_FALSE(same(list, one.other)) << one.what;
}

TEST(Canonical, PairsAreNotTwoSets) {
  EXPECT_FALSE(same(dump_of(4, {"a", "1", "b", "2"}), dump_of(4, {"a", "2", "b", "1"})));
  EXPECT_FALSE(same(dump_of(4, {"a", "b"}), dump_of(4, {"b", "a"})));
}

TEST(Canonical, ScoresCountAndZeroHasNoSign) {
  const auto zset = [](double score) {
    const auto bits = std::bit_cast<std::uint64_t>(score);
    return dump(5, length(1) + rdb::test::string("m") + rdb::test::little_endian(bits, 8));
  };

  EXPECT_TRUE(same(zset(0.0), zset(-0.0)));
  EXPECT_FALSE(same(zset(1.5), zset(1.25)));
}

TEST(Canonical, FieldExpiriesCountUntilTheyHavePassed) {
  const Bytes forever = dump_of_field("f", "v", 0);
  const Bytes later = dump_of_field("f", "v", now_ms + 1000);
  const Bytes past = dump_of_field("f", "v", now_ms - 1000);

  EXPECT_FALSE(same(forever, later));
  EXPECT_TRUE(same(later, dump_of_field("f", "v", now_ms + 1000)));
  EXPECT_FALSE(same(later, dump_of_field("f", "v", now_ms + 1001)));
  EXPECT_TRUE(same(past, dump_of_field("other", "v", now_ms - 5)));
}

TEST(Canonical, WhatCannotBeTakenApartStandsForItsBytes) {
  EXPECT_TRUE(same("\xf0garbage of some length", "\xf0garbage of some length"));
  EXPECT_FALSE(same("\xf0garbage of some length", "\xf0garbagE of some length"));
}

TEST(Canonical, PiecesOfAnySizeMakeOneText) {
  rdb::Element part;
  part.kind = rdb::Element::Kind::text;
  ValueDigester pieces(ValueKind::string, now_ms);
  for (const char* text : {"ab", "", "cde"}) {
    part.value = text;
    pieces.add(part);
  }

  const ValueDigest whole = digest_of_dump(dump(0, rdb::test::string("abcde")), now_ms);

  EXPECT_TRUE(is_same(pieces.digest(), whole));
}

TEST(SameDump, LooksPastTheReleaseThatWroteIt) {
  EXPECT_TRUE(is_same_dump(dump_of(1, {"a"}, 10), dump_of(1, {"a"}, 11)));
  EXPECT_FALSE(is_same_dump(dump_of(1, {"a"}), dump_of(1, {"b"})));
  EXPECT_FALSE(is_same_dump(dump_of(1, {"a"}), dump_of(2, {"a"})));
  // 22 is one type in Redis and another one in Valkey.
  EXPECT_FALSE(is_same_dump(dump(22, length(0), 12), dump(22, length(0), 80)));
}

}  // namespace
}  // namespace keyferry
