#include "keyferry/resp/reply_parser.hpp"

#include <memory>

#include <gtest/gtest.h>

#include "support/split.hpp"

namespace keyferry {
namespace {

using Status = ReplyParse::Status;
using Kind = RespValue::Kind;

RespValue parsed(ByteView bytes) {
  RespValue value;
  const ReplyParse parse = parse_reply(bytes, value);
  EXPECT_EQ(parse.status, Status::value) << escaped(bytes);
  EXPECT_EQ(parse.size, bytes.size()) << escaped(bytes);
  return value;
}

TEST(ReplyParser, ReadsEveryKind) {
  EXPECT_EQ(parsed("+OK\r\n").kind, Kind::simple);
  EXPECT_EQ(parsed("+OK\r\n").text, "OK");
  EXPECT_EQ(parsed("-ERR no\r\n").kind, Kind::error);
  EXPECT_EQ(parsed("-ERR no\r\n").text, "ERR no");
  EXPECT_EQ(parsed(":-42\r\n").kind, Kind::integer);
  EXPECT_EQ(parsed(":-42\r\n").integer, -42);
  EXPECT_EQ(parsed("$4\r\na\r\nb\r\n").kind, Kind::bulk);
  EXPECT_EQ(parsed("$4\r\na\r\nb\r\n").text, "a\r\nb");
  EXPECT_EQ(parsed("$0\r\n\r\n").kind, Kind::bulk);
  EXPECT_EQ(parsed("$-1\r\n").kind, Kind::null);
  EXPECT_EQ(parsed("*-1\r\n").kind, Kind::null);
  EXPECT_EQ(parsed("*0\r\n").kind, Kind::array);
}

TEST(ReplyParser, ReadsNestedArraysAndLeavesWhatFollows) {
  const Bytes reply = "*3\r\n*2\r\n:1\r\n$-1\r\n-ERR x\r\n*1\r\n*0\r\n";
  RespValue value;

  const ReplyParse parse = parse_reply(reply + "+NEXT\r\n", value);

  EXPECT_EQ(parse.size, reply.size());
  ASSERT_EQ(value.items.size(), 3u);
  EXPECT_EQ(value.items[0].items[0].integer, 1);
  EXPECT_EQ(value.items[0].items[1].kind, Kind::null);
  EXPECT_TRUE(value.items[1].is_error());
  EXPECT_TRUE(value.items[2].items[0].is_array());
}

TEST(ReplyParser, NeedsMoreForEveryPrefixAndForgetsTheLastTry) {
  const Bytes reply = "*4\r\n$3\r\na\r\n\r\n+x\r\n:7\r\n*1\r\n$-1\r\n";
  RespValue value;

  for (std::size_t n = 0; n < reply.size(); ++n) {
    const std::unique_ptr<char[]> exact(new char[n]);
    reply.copy(exact.get(), n);
    const ReplyParse parse = parse_reply(ByteView(exact.get(), n), value);
    ASSERT_EQ(parse.status, Status::need_more) << n;
    ASSERT_EQ(parse.size, 0u);
  }
  parse_reply(reply, value);

  EXPECT_EQ(value.items.size(), 4u);
  EXPECT_EQ(value.items[0].text, "a\r\n");
}

TEST(ReplyParser, RefusesWhatIsNoReply) {
  const ByteView rows[] = {
      "\r\n",
      "OK\r\n",
      ":\r\n",
      ":1x\r\n",
      ":+1\r\n",
      "$-2\r\n",
      "$x\r\n",
      "*-2\r\n",
      "*1\r\n?\r\n",
      "$2\r\nabc\r\n",
      "$536870913\r\n",
      "*1048577\r\n",
      "$99999999999999999999\r\n",
  };
  for (const ByteView row : rows) {
    RespValue value;
    EXPECT_EQ(parse_reply(row, value).status, Status::corrupt) << escaped(row);
  }
}

TEST(ReplyParser, LimitsDepthAndLineLength) {
  Bytes eight, nine;
  for (int i = 0; i < 8; ++i)
    eight += "*1\r\n";
  nine = eight + "*1\r\n:1\r\n";
  eight += ":1\r\n";
  RespValue value;

  EXPECT_EQ(parse_reply(eight, value).status, Status::value);
  EXPECT_EQ(parse_reply(nine, value).status, Status::corrupt);
  EXPECT_EQ(parse_reply("+" + Bytes(60 * 1024, 'x'), value).status, Status::need_more);
  EXPECT_EQ(parse_reply("+" + Bytes(70 * 1024, 'x'), value).status, Status::corrupt);
}

TEST(InfoField, FindsWholeNamesOnly) {
  const ByteView info =
      "# Replication\r\nmaster_replid2:b\r\nrole:master\r\nmaster_replid:a:c\r\nempty:\r\nlast:1";

  EXPECT_EQ(info_field(info, "role"), "master");
  EXPECT_EQ(info_field(info, "master_replid"), "a:c");
  EXPECT_EQ(info_field(info, "last"), "1");
  EXPECT_EQ(info_field(info, "empty"), "");
  EXPECT_EQ(info_field(info, "replid"), "");
  EXPECT_EQ(info_field(info, "rol"), "");
  EXPECT_EQ(info_field("", "role"), "");
}

TEST(Keyspace, IsOneEntryForEachDatabaseLine) {
  const auto shown = [](ByteView info) {
    std::string out;
    for (const DatabaseKeys& one : read_keyspace(info))
      out += std::to_string(one.db) + ":" + std::to_string(one.keys) + "/" +
             std::to_string(one.expires) + " ";
    return out;
  };

  EXPECT_EQ(shown("# Keyspace\r\ndb0:keys=12,expires=3,avg_ttl=7,subexpiry=1\r\n"
                  "db15:keys=4000000000,expires=0,avg_ttl=0\r\n"),
            "0:12/3 15:4000000000/0 ");
  EXPECT_EQ(shown("db3:keys=1,expires=1"), "3:1/1 ") << "without a heading, and cut off";
  EXPECT_EQ(shown("# Keyspace\r\n"), "");
  EXPECT_EQ(shown(""), "");
  EXPECT_EQ(shown("# Keysizes\r\ndb0_distrib_strings_sizes:1=3,keys=4\r\n"
                  "dbx:keys=1,expires=0\r\ndb:keys=1,expires=0\r\ndb1:1=3,expires=1\r\n"
                  "mydb0:keys=1,expires=0\r\ndb-1:keys=1,expires=0\r\ndb7\r\n"),
            "")
      << "of other sections, and nonsense";
}

TEST(TimeMs, IsWhatTimeAnswers) {
  const auto of = [](ByteView wire) {
    RespValue reply;
    parse_reply(wire, reply);
    return time_ms(reply);
  };

  EXPECT_EQ(of("*2\r\n$10\r\n1700000001\r\n$6\r\n250999\r\n"), 1700000001250);
  EXPECT_EQ(of("-NOPERM no permission\r\n"), std::nullopt);
  EXPECT_EQ(of("*1\r\n$1\r\n1\r\n"), std::nullopt);
}

}  // namespace
}  // namespace keyferry
