#include "keyferry/base/number.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

TEST(Number, IsTheWholeText) {
  std::int64_t number = 0;
  EXPECT_TRUE(read_number("-42", number));
  EXPECT_EQ(number, -42);
  for (const ByteView text : {"", "+1", " 1", "1 ", "1.5", "x", "-", "9223372036854775808"})
    EXPECT_FALSE(read_number(text, number)) << text;
  std::uint16_t port = 0;
  EXPECT_TRUE(read_number("65535", port));
  EXPECT_FALSE(read_number("65536", port));
  EXPECT_FALSE(read_number("-1", port));
  EXPECT_FALSE(read_number(ByteView(), port));
}

TEST(Number, IsWhatATextBeginsWith) {
  EXPECT_EQ(leading_number("7.0.15"), 7);
  EXPECT_EQ(leading_number("-3,expires=1"), -3);
  EXPECT_EQ(leading_number<std::uint64_t>("18446744073709551615"), 18446744073709551615U);
  for (const ByteView text : {"", "x1", " 1", "9223372036854775808"})
    EXPECT_EQ(leading_number(text), 0) << text;
}

}  // namespace
}  // namespace keyferry
