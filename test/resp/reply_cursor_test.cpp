#include "keyferry/resp/reply_cursor.hpp"

#include <gtest/gtest.h>

#include "keyferry/resp/resp.hpp"
#include "support/split.hpp"

namespace keyferry {
namespace {

using Kind = ReplyToken::Kind;
using Status = ReplyCursor::Status;

std::string text_of(const ReplyToken& token) {
  const char kinds[] = "+-:$_*";
  const std::string number = std::to_string(token.integer);
  const bool has_number = token.kind == Kind::integer || token.kind == Kind::array;
  return kinds[static_cast<std::size_t>(token.kind)] +
         (has_number ? number : std::string(token.text)) + " ";
}

// All tokens, as text, when the bytes come in these pieces.
std::string read_all(const std::vector<ByteView>& pieces) {
  std::string out;
  Bytes unread;
  for (const ByteView piece : pieces) {
    unread.append(piece);
    ReplyToken token;
    while (true) {
      ReplyCursor cursor(unread);
      const Status status = cursor.next(token);
      if (status == Status::corrupt) return out + "corrupt";
      if (status == Status::need_more) break;
      out += text_of(token);
      unread.erase(0, cursor.consumed());
    }
  }
  return unread.empty() ? out : out + "left " + std::to_string(unread.size());
}

TEST(ReplyCursor, ReadsEveryKindAtEverySplit) {
  const Bytes bytes =
      "+OK\r\n-ERR "
      "no\r\n:-12\r\n$5\r\na\r\nbc\r\n$0\r\n\r\n$-1\r\n*-1\r\n*2\r\n:1\r\n$1\r\nx\r\n*0\r\n";
  test::for_each_split(bytes, [](const std::vector<ByteView>& pieces) {
    EXPECT_EQ(read_all(pieces), "+OK -ERR no :-12 $a\r\nbc $ _ _ *2 :1 $x *0 ");
  });
}

TEST(ReplyCursor, RefusesWhatNoServerSends) {
  for (const char* bytes : {"?x\r\n", ":x\r\n", ":\r\n", "$-2\r\n", "$1x\r\n", "$536870913\r\n",
                            "*-2\r\n", "*9999999999\r\n", "$1\r\nabc"}) {
    EXPECT_EQ(read_all({bytes}), "corrupt") << bytes;
  }
}

TEST(ReplyCursor, RefusesALineWithoutEnd) {
  EXPECT_EQ(read_all({"+" + Bytes(64 * 1024, 'a')}), "corrupt");
}

}  // namespace
}  // namespace keyferry
