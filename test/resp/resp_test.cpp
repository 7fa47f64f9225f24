#include "keyferry/resp/resp.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

using namespace std::string_literals;

TEST(Resp, AppendsHeadersAndBulksBehindWhatIsThere) {
  Bytes out = "x";

  append_array_header(out, 12);
  append_bulk(out, "a\r\n\0"s);
  append_bulk(out, "");

  EXPECT_EQ(out, "x*12\r\n$4\r\na\r\n\0\r\n$0\r\n\r\n"s);
}

TEST(Resp, WritesLargestNumbersWhole) {
  Bytes out;

  append_array_header(out, 18446744073709551615u);

  EXPECT_EQ(out, "*18446744073709551615\r\n");
}

TEST(Resp, MakesTheSameCommandFromListAndSpan) {
  const std::vector<ByteView> args{"SET", "key", "value"};
  Bytes from_span;
  append_command(from_span, args);

  EXPECT_EQ(from_span, "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n");
  EXPECT_EQ(make_command({"SET", "key", "value"}), from_span);
}

TEST(RespValue, KnowsItsKind) {
  RespValue value;
  EXPECT_EQ(value.kind, RespValue::Kind::null);
  value.kind = RespValue::Kind::simple;
  EXPECT_TRUE(value.is_string());
  value.kind = RespValue::Kind::bulk;
  EXPECT_TRUE(value.is_string());
  value.kind = RespValue::Kind::error;
  EXPECT_TRUE(value.is_error());
  EXPECT_FALSE(value.is_string());
}

}  // namespace
}  // namespace keyferry
