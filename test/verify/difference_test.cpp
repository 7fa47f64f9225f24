#include "keyferry/verify/difference.hpp"

#include <gtest/gtest.h>

#include "dumps.hpp"

namespace keyferry {
namespace {

using test::dump;
using test::dump_of;

std::string told(const Bytes& source, const Bytes& target) {
  const auto found = first_difference(source, target, 0);
  if (!found) return "none";
  return found->element + ": " + found->source.value_or("-") + " | " + found->target.value_or("-");
}

TEST(FirstDifference, NamesTheElement) {
  EXPECT_EQ(told(dump_of(1, {"a", "b"}), dump_of(1, {"a", "c"})), "item 1: b | c");
  EXPECT_EQ(told(dump_of(1, {"a", "b"}), dump_of(1, {"a"})), "item 1: b | -");
  EXPECT_EQ(told(dump_of(1, {"a"}), dump_of(1, {"a", "b"})), "item 1: - | b");
  EXPECT_EQ(told(dump_of(4, {"f", "1", "g", "2"}), dump_of(4, {"g", "3", "f", "1"})),
            "field \"g\": 2 | 3");
  EXPECT_EQ(told(dump_of(2, {"a", "b"}), dump_of(2, {"c", "b"})), "member \"a\":  | -");
  EXPECT_EQ(told(dump(0, rdb::test::string("hello")), dump(0, rdb::test::string("help"))),
            "byte 3: lo | p");
}

TEST(FirstDifference, FindsNoneWhereThereIsNone) {
  EXPECT_EQ(told(dump_of(2, {"a", "b"}), dump_of(2, {"b", "a"})), "none");
  EXPECT_EQ(told("\xf0 no dump at all", dump_of(1, {"a"})), "none");
}

}  // namespace
}  // namespace keyferry
