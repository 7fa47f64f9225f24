#include "keyferry/sink/topology.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

RespValue bulk(const char* text) {
  RespValue value;
  value.kind = RespValue::Kind::bulk;
  value.text = text;
  return value;
}

RespValue time_reply(const char* seconds, const char* microseconds) {
  RespValue reply;
  reply.kind = RespValue::Kind::array;
  reply.items = {bulk(seconds), bulk(microseconds)};
  return reply;
}

TEST(ClockAhead, TakesTheMiddleOfTheRoundTrip) {
  const RespValue reply = time_reply("1700000001", "250999");

  EXPECT_EQ(read_clock_ahead(reply, 1700000001000, 1700000001100), 200);
  EXPECT_EQ(read_clock_ahead(reply, 1700000002000, 1700000002000), -750);
}

TEST(ClockAhead, IsUnknownWhereTimeIsRefused) {
  RespValue refused;
  refused.kind = RespValue::Kind::error;
  refused.text = "NOPERM";

  EXPECT_EQ(read_clock_ahead(refused, 0, 0), std::nullopt);
}

}  // namespace
}  // namespace keyferry
