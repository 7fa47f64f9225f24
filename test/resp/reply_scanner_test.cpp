#include "keyferry/resp/reply_scanner.hpp"

#include <memory>

#include <gtest/gtest.h>

#include "support/split.hpp"

namespace keyferry {
namespace {

using Status = ReplyScanner::Status;

struct Verdict {
  std::string error;
  bool is_top_level = false;
  bool is_null = false;
  bool operator==(const Verdict&) const = default;
};
void PrintTo(const Verdict& verdict, std::ostream* out) {
  *out << "{\"" << verdict.error << "\" top=" << verdict.is_top_level << " null=" << verdict.is_null
       << "}";
}

Verdict verdict_of(const ReplyScanner& scanner) {
  return {scanner.error(), scanner.is_top_level_error(), scanner.is_null()};
}

// Everything the scanner says about the replies in `pieces`; each piece lies in a buffer of its
// own.
std::vector<Verdict> scan(const std::vector<ByteView>& pieces) {
  std::vector<Verdict> out;
  ReplyScanner scanner;
  for (const ByteView piece : pieces) {
    const std::unique_ptr<char[]> exact(new char[piece.size()]);
    piece.copy(exact.get(), piece.size());
    ByteView bytes(exact.get(), piece.size());
    while (!bytes.empty()) {
      const Status status = scanner.next(bytes);
      EXPECT_NE(status, Status::corrupt);
      if (status == Status::corrupt) return out;
      if (status == Status::done) out.push_back(verdict_of(scanner));
      EXPECT_TRUE(status != Status::need_more || bytes.empty());
    }
  }
  return out;
}

TEST(ReplyScanner, JudgesEveryKindForEverySplit) {
  const struct {
    ByteView bytes;
    Verdict verdict;
  } rows[] = {
      {"+OK\r\n", {}},
      {"+QUEUED\r\n", {}},
      {":123\r\n", {}},
      {"$5\r\nhello\r\n", {}},
      {"$0\r\n\r\n", {}},
      {"$9\r\n-ERR no\r\n\r\n", {}},  // what looks like an error inside a bulk
      {"$-1\r\n", {"", false, true}},
      {"*-1\r\n", {"", false, true}},
      {"*0\r\n", {}},
      {"-OOM command not allowed\r\n", {"OOM command not allowed", true, false}},
      {"*3\r\n+OK\r\n:1\r\n$2\r\nab\r\n", {}},
      {"*2\r\n$-1\r\n*-1\r\n", {}},  // nulls inside are not a null reply
      {"*3\r\n:1\r\n-WRONGTYPE x\r\n-ERR y\r\n", {"WRONGTYPE x", false, false}},
      {"*2\r\n*2\r\n*1\r\n-ERR deep\r\n:1\r\n*0\r\n", {"ERR deep", false, false}},
      {"+OK\r\n", {}},  // nothing of the errors before is left
      {"-LOADING\r\n", {"LOADING", true, false}},
      {":0\r\n", {}},
  };
  Bytes all;
  std::vector<Verdict> expected;
  for (const auto& row : rows) {
    all += row.bytes;
    expected.push_back(row.verdict);
  }

  test::for_each_split(
      all, [&](const std::vector<ByteView>& pieces) { EXPECT_EQ(scan(pieces), expected); });
}

TEST(ReplyScanner, StopsBehindEachReply) {
  ReplyScanner scanner;
  ByteView bytes = "$3\r\nabc\r\n+OK\r\n-ERR x\r\nrest";

  EXPECT_EQ(scanner.next(bytes), Status::done);
  EXPECT_EQ(bytes, "+OK\r\n-ERR x\r\nrest");
  EXPECT_EQ(scanner.next(bytes), Status::done);
  EXPECT_EQ(bytes, "-ERR x\r\nrest");
  EXPECT_EQ(scanner.next(bytes), Status::done);
  EXPECT_EQ(bytes, "rest");
}

TEST(ReplyScanner, StepsOverHugeBulksWithoutKeepingThem) {
  ReplyScanner scanner;
  const Bytes block(1024 * 1024, '\n');
  const std::int64_t blocks = 3000;  // 3 GB by announcement
  ByteView head = "*2\r\n$3145728000\r\n";

  ASSERT_EQ(scanner.next(head), Status::need_more);
  for (std::int64_t i = 0; i < blocks; ++i) {
    ByteView bytes = block;
    ASSERT_EQ(scanner.next(bytes), Status::need_more);
    ASSERT_TRUE(bytes.empty());
  }
  ByteView tail = "\r\n-ERR behind\r\n+OK\r\n";

  EXPECT_EQ(scanner.next(tail), Status::done);
  EXPECT_EQ(scanner.error(), "ERR behind");
  EXPECT_EQ(tail, "+OK\r\n");
}

TEST(ReplyScanner, RefusesWhatIsNoReplyForEverySplit) {
  const ByteView rows[] = {
      "\r\n",
      "\n",
      "hello\r\n",
      "+OK\n",
      "$x\r\n",
      "$-2\r\n",
      "*-2\r\n",
      "*1x\r\n",
      "*1\r\n?1\r\n",
      "$9223372036854775807\r\n",  // no value is that long; and 2 more would overflow
      "*99999999999999999999\r\n",
  };
  for (const ByteView row : rows) {
    SCOPED_TRACE(escaped(row));
    test::for_each_split(row, [&](const std::vector<ByteView>& pieces) {
      ReplyScanner scanner;
      bool is_corrupt = false;
      for (ByteView piece : pieces)
        is_corrupt = is_corrupt || scanner.next(piece) == Status::corrupt;
      EXPECT_TRUE(is_corrupt);
    });
  }
}

TEST(ReplyScanner, LimitsNestingAndTheLengthOfALine) {
  ReplyScanner scanner;
  Bytes deep;
  for (int i = 0; i < 33; ++i)
    deep += "*1\r\n";
  ByteView bytes = deep;
  EXPECT_EQ(scanner.next(bytes), Status::corrupt);

  scanner = ReplyScanner();
  const Bytes block(40 * 1024, 'x');
  bytes = block;
  EXPECT_EQ(scanner.next(bytes), Status::need_more);
  bytes = block;
  EXPECT_EQ(scanner.next(bytes), Status::corrupt);
}

TEST(ReplyScanner, TakesAnErrorWithoutWordsForAnError) {
  ReplyScanner scanner;
  ByteView bytes = "-\r\n";

  EXPECT_EQ(scanner.next(bytes), Status::done);
  EXPECT_NE(scanner.error(), "");
}

// What next_element tells about the replies in `pieces`, a word each.
std::vector<std::string> scan_elements(const std::vector<ByteView>& pieces) {
  std::vector<std::string> out;
  ReplyScanner scanner;
  for (const ByteView piece : pieces) {
    ByteView bytes = piece;
    while (!bytes.empty() || scanner.owes_done()) {
      const Status status = scanner.next_element(bytes);
      if (status == Status::need_more) break;
      std::string word = status == Status::done ? "done" : "element";
      if (!scanner.error().empty()) word += " -" + scanner.error();
      if (scanner.is_null()) word += " null";
      if (scanner.lowest_integer() != ReplyScanner::no_integer)
        word += " " + std::to_string(scanner.lowest_integer());
      out.push_back(word);
    }
  }
  return out;
}

TEST(ReplyScanner, TellsAboutEachElementOfAnExecForEverySplit) {
  const ByteView bytes =
      "*5\r\n+OK\r\n:0\r\n-WRONGTYPE no\r\n*3\r\n:1\r\n:-2\r\n$2\r\n:7\r\n*0\r\n"
      "*-1\r\n-EXECABORT x\r\n*0\r\n*1\r\n$1\r\na\r\n"
      "*6\r\n:12\r\n:34\r\n:-5\r\n:9223372036854775807\r\n:1000000000000000000\r\n:0\r\n"
      "*4\r\n+OK\r\n:7\r\n+OK\r\n+OK\r\n";
  std::vector<std::string> expected = {
      "element", "element 0", "element -WRONGTYPE no", "element -2", "element",
      "done",    "done null", "done -EXECABORT x",     "done",       "element",
      "done"};
  const std::vector<std::string> integers = {
      "element 12", "element 34", "element -5", "element",   "element 1000000000000000000",
      "element 0",  "done",       "element",    "element 7", "element",
      "element",    "done"};
  expected.insert(expected.end(), integers.begin(), integers.end());

  test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
    EXPECT_EQ(scan_elements(pieces), expected);
  });
}

TEST(ReplyScanner, StepsOverWholeQueuedRepliesOnly) {
  ReplyScanner scanner;
  ByteView bytes = "+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n-ERR no\r\n";
  EXPECT_EQ(scanner.skip_queued(bytes, 2), 2u);
  EXPECT_EQ(scanner.skip_queued(bytes, 9), 1u);
  EXPECT_EQ(scanner.skip_queued(bytes, 9), 0u);
  EXPECT_EQ(scanner.next(bytes), Status::done);
  EXPECT_EQ(scanner.error(), "ERR no");

  ByteView first = "+QUE";
  ByteView rest = "UED\r\n+QUEUED\r\n";
  EXPECT_EQ(scanner.skip_queued(first, 9), 0u);
  EXPECT_EQ(scanner.next(first), Status::need_more);
  EXPECT_EQ(scanner.error(), "");
  EXPECT_EQ(scanner.skip_queued(rest, 9), 0u) << "in the middle of one";
  EXPECT_EQ(scanner.next(rest), Status::done);
  EXPECT_EQ(scanner.skip_queued(rest, 9), 1u);
}

}  // namespace
}  // namespace keyferry
