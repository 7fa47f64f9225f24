#include "keyferry/command/expiry.hpp"

#include <vector>

#include <gtest/gtest.h>

#include "keyferry/resp/command_parser.hpp"

namespace keyferry {
namespace {

// The command afterwards, its words joined; "" when it stays as it is.
std::string put_off(std::vector<ByteView> args) {
  Bytes wire;
  if (!put_off_expiry(args, wire)) return wire.empty() ? "" : "appended something";
  std::vector<ByteView> out;
  EXPECT_EQ(parse_command(wire, out).status, CommandParse::Status::command);
  std::string text;
  for (const ByteView arg : out)
    text += (text.empty() ? "" : " ") + std::string(arg);
  return text;
}

const std::string later = std::to_string(1700000000000 + expiry_put_off_ms);
const std::string later_s = std::to_string(1700000000 + expiry_put_off_ms / 1000);

TEST(PutOffExpiry, MovesEveryAbsoluteTime) {
  EXPECT_EQ(put_off({"PEXPIREAT", "k", "1700000000000"}), "PEXPIREAT k " + later);
  EXPECT_EQ(put_off({"pexpireat", "k", "1700000000000", "GT"}), "pexpireat k " + later + " GT");
  EXPECT_EQ(put_off({"EXPIREAT", "k", "1700000000"}), "EXPIREAT k " + later_s);
  EXPECT_EQ(put_off({"SET", "k", "v", "PXAT", "1700000000000"}), "SET k v PXAT " + later);
  EXPECT_EQ(put_off({"SET", "k", "v", "KEEPTTL"}), "");
  EXPECT_EQ(put_off({"set", "k", "v", "xx", "exat", "1700000000"}), "set k v xx exat " + later_s);
  EXPECT_EQ(put_off({"GETEX", "k", "PXAT", "1700000000000"}), "GETEX k PXAT " + later);
  EXPECT_EQ(put_off({"RESTORE", "k", "1700000000000", "x", "REPLACE", "ABSTTL"}),
            "RESTORE k " + later + " x REPLACE ABSTTL");
}

TEST(PutOffExpiry, LeavesTheRestAlone) {
  EXPECT_EQ(put_off({"SET", "PXAT", "1700000000000"}), "");
  EXPECT_EQ(put_off({"SET", "k", "PXAT", "1"}), "");
  EXPECT_EQ(put_off({"EXPIRE", "k", "10"}), "");
  EXPECT_EQ(put_off({"PEXPIREAT", "k"}), "");
  EXPECT_EQ(put_off({"PEXPIREAT", "k", "soon"}), "");
  EXPECT_EQ(put_off({"RESTORE", "k", "0", "x", "ABSTTL"}), "");
  EXPECT_EQ(put_off({"RESTORE", "k", "1000", "x", "REPLACE"}), "");
  EXPECT_EQ(put_off({"PEXPIREAT", "k", later}), "") << "once is enough";
  EXPECT_EQ(put_off({}), "");
}

}  // namespace
}  // namespace keyferry
