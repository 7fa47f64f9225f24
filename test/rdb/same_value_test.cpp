#include "keyferry/rdb/same_value.hpp"

#include <gtest/gtest.h>

#include "builder.hpp"
#include "packed_builder.hpp"

namespace keyferry::rdb {
namespace {

using test::length;
using test::raw;
using test::string;

Bytes payload(const char* type, const Bytes& value, unsigned version = 11) {
  const Bytes covered = Bytes(type, 1) + value + test::little_endian(version, 2);
  return covered + test::little_endian(crc64(0, covered), 8);
}

bool same(const Bytes& a, const Bytes& b) {
  bool is_same = false;
  const Error error = same_value(a, b, is_same);
  EXPECT_FALSE(error) << error.what;
  return is_same;
}

const Bytes list_ab = length(2) + string("a") + string("b");
const Bytes list_ba = length(2) + string("b") + string("a");

TEST(SameValue, LooksAtBytesFirst) {
  EXPECT_TRUE(same(payload("\x00", string("v")), payload("\x00", string("v"), 9)));
  EXPECT_FALSE(same(payload("\x00", string("v")), payload("\x00", string("w"))));
}

TEST(SameValue, TellsTypesApart) {
  EXPECT_FALSE(same(payload("\x01", list_ab), payload("\x02", list_ab)));
  EXPECT_FALSE(same(payload("\x00", string("a")), payload("\x01", length(1) + string("a"))));
}

TEST(SameValue, KnowsWhereOrderCounts) {
  EXPECT_FALSE(same(payload("\x01", list_ab), payload("\x01", list_ba)));
  EXPECT_TRUE(same(payload("\x02", list_ab), payload("\x02", list_ba)));
}

TEST(SameValue, LooksThroughEncodings) {
  // An integer as a string, and a compact form of the same number.
  EXPECT_TRUE(same(payload("\x00", string("7")), payload("\x00", raw("\xc0\x07"))));
  const Bytes hash = length(2) + string("f") + string("1") + string("g") + string("2");
  const Bytes listpack = test::listpack(
      {test::lp_text("g"), test::lp_text("2"), test::lp_text("f"), test::lp_text("1")});
  EXPECT_TRUE(same(payload("\x04", hash), payload("\x10", string(listpack))));
  const Bytes other = test::listpack(
      {test::lp_text("g"), test::lp_text("1"), test::lp_text("f"), test::lp_text("2")});
  EXPECT_FALSE(same(payload("\x04", hash), payload("\x10", string(other))));
}

TEST(SameValue, DoesNotMixElementsUp) {
  const Bytes a = length(2) + string("a") + string("1b");
  const Bytes b = length(2) + string("a1") + string("b");
  EXPECT_FALSE(same(payload("\x01", a), payload("\x01", b)));
}

TEST(SameValue, RefusesWhatIsNoPayload) {
  bool is_same = true;
  EXPECT_TRUE(same_value("rubbish", payload("\x00", string("v")), is_same));
  EXPECT_TRUE(same_value(payload("\x00", string("v")), "", is_same));
  const Bytes cut = payload("\x01", length(3) + string("a"));
  EXPECT_TRUE(same_value(cut, payload("\x01", list_ab), is_same));
}

}  // namespace
}  // namespace keyferry::rdb
