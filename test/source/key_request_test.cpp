#include "keyferry/source/key_request.hpp"

#include <gtest/gtest.h>

#include "keyferry/resp/resp.hpp"
#include "support/split.hpp"

namespace keyferry {
namespace {

using Status = KeyRequest::Status;

KeyList keys_of(std::vector<std::pair<std::int32_t, std::string>> names) {
  KeyList keys;
  KeyList::Entry entry;
  for (const auto& [db, name] : names) {
    entry.db = db;
    entry.value_bytes = name == "huge" ? 5000 : 10;
    entry.asking = name == "moving";
    keys.add(name, entry);
  }
  return keys;
}

std::string text_of(const ReadKey& key) {
  const char* const kinds[] = {"value", "gone", "big", "moved", "refused"};
  return std::string(kinds[static_cast<std::size_t>(key.kind)]) + " " + std::to_string(key.db) +
         ":" + std::string(key.key) + " " + std::string(key.payload) + std::string(key.text) + " " +
         std::to_string(key.expire_ms) + "; ";
}

std::string read_all(KeyRequest request, const std::vector<ByteView>& pieces) {
  std::string out;
  Bytes unread;
  for (const ByteView piece : pieces) {
    unread.append(piece);
    while (true) {
      ReadKey key;
      std::size_t consumed = 0;
      const Status status = request.next(unread, consumed, key);
      if (status == Status::key) out += text_of(key);
      unread.erase(0, consumed);
      if (status == Status::need_more) break;
      if (status == Status::page) {
        out += "page " + request.scan_cursor();
        for (std::size_t i = 0; i < request.page().size(); ++i)
          out += " " + std::string(request.page().name(i));
        out += "; ";
      }
      if (status == Status::head_done) {
        out += "sizes";
        for (std::size_t i = 0; i < request.sizes().size(); ++i)
          out += " " + std::to_string(request.sizes()[i].value_bytes);
        out += "; ";
      }
      if (status == Status::corrupt) return out + "corrupt";
      if (status == Status::refused) return out + "refused " + request.error();
      if (status == Status::done) return out + (unread.empty() ? "done" : "left");
    }
  }
  return out + "unfinished";
}

KeyRequest request_of(ReadWays ways, bool scans, KeyList sizes, KeyList values) {
  KeyRequest::Limits limits;
  limits.big_bytes = 1000;
  KeyRequest request(ways, limits);
  std::int32_t selected = 0;
  if (scans) request.scan(2, "17", 100, "", selected);
  request.ask_sizes(std::move(sizes), selected);
  request.read(std::move(values), selected);
  return request;
}

TEST(KeyRequest, AsksForPageSizesAndValuesInOneGo) {
  const KeyRequest request = request_of({}, true, keys_of({{2, "s"}, {0, "t"}}),
                                        keys_of({{0, "a"}, {3, "b"}, {3, "huge"}, {3, "moving"}}));

  Bytes expected = make_command({"SELECT", "2"});
  append_command(expected, {"SCAN", "17", "COUNT", "100"});
  append_command(expected, {"MEMORY", "USAGE", "s"});
  append_command(expected, {"SELECT", "0"});
  append_command(expected, {"MEMORY", "USAGE", "t"});
  append_command(expected, {"DUMP", "a"});
  append_command(expected, {"PEXPIRETIME", "a"});
  append_command(expected, {"SELECT", "3"});
  append_command(expected, {"DUMP", "b"});
  append_command(expected, {"PEXPIRETIME", "b"});
  append_command(expected, {"ASKING"});
  append_command(expected, {"DUMP", "moving"});
  append_command(expected, {"ASKING"});
  append_command(expected, {"PEXPIRETIME", "moving"});
  EXPECT_EQ(request.wire(), expected);
}

TEST(KeyRequest, TakesTheRepliesApartAtEverySplit) {
  const Bytes bytes =
      "+OK\r\n*2\r\n$2\r\n42\r\n*3\r\n$1\r\nx\r\n$12\r\nkeyferry:own\r\n$1\r\ny\r\n"
      ":77\r\n+OK\r\n$-1\r\n"
      "$4\r\nD\r\na\r\n:-1\r\n"
      "+OK\r\n$1\r\nb\r\n:1234\r\n"
      "+OK\r\n-MOVED 1 h:2\r\n+OK\r\n-MOVED 1 h:2\r\n"
      "$-1\r\n:-2\r\n-NOPERM no\r\n:-1\r\n$1\r\nf\r\n:-2\r\n";
  const KeyRequest request = request_of(
      {}, true, keys_of({{2, "s"}, {0, "t"}}),
      keys_of({{0, "a"}, {3, "b"}, {3, "huge"}, {3, "moving"}, {3, "c"}, {3, "e"}, {3, "f"}}));
  test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
    EXPECT_EQ(read_all(request, pieces),
              "page 42 x y; sizes 77 0; value 0:a D\r\na 0; value 3:b b 1234; big 3:huge  0; "
              "moved 3:moving MOVED 1 h:2 0; gone 3:c  0; refused 3:e NOPERM no 0; gone 3:f  0; "
              "done");
  });
}

// Before Redis 7.0 expiries are relative; before 4.0, and in some services, there is no MEMORY.
TEST(KeyRequest, OldServersAreAskedDifferently) {
  ReadWays ways;
  ways.memory_usage = ways.pexpiretime = false;
  const KeyRequest request = request_of(ways, false, keys_of({{0, "l"}}), keys_of({{0, "a"}}));

  Bytes expected;
  for (const char* length : {"STRLEN", "LLEN", "HLEN", "SCARD", "ZCARD", "XLEN"})
    append_command(expected, {length, "l"});
  append_command(expected, {"TIME"});
  append_command(expected, {"DUMP", "a"});
  append_command(expected, {"PTTL", "a"});
  EXPECT_EQ(request.wire(), expected);
  const Bytes wrong = "-WRONGTYPE no\r\n";
  const Bytes bytes = wrong + ":7\r\n" + wrong + wrong + wrong + wrong +
                      "*2\r\n$4\r\n1000\r\n$6\r\n500000\r\n$1\r\na\r\n:250\r\n";
  test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
    EXPECT_EQ(read_all(request, pieces), "sizes 448; value 0:a a 1000750; done");
  });
}

TEST(KeyRequest, ACommandThatIsNotToBeHadIsTold) {
  struct Row {
    const char* replies;
    const char* expected;
  };
  const Row rows[] = {
      {"-NOPERM x\r\n", "refused SELECT: NOPERM x"},
      {"+OK\r\n-NOPERM x\r\n", "refused SCAN: NOPERM x"},
      {"+OK\r\n*2\r\n$1\r\n0\r\n*0\r\n-ERR unknown command 'memory'\r\n",
       "page 0; refused MEMORY USAGE: ERR unknown command 'memory'"},
      {"+OK\r\n*2\r\n$1\r\n0\r\n*0\r\n:1\r\n+OK\r\n$1\r\na\r\n-ERR unknown command\r\n",
       "page 0; sizes 1; refused PEXPIRETIME: ERR unknown command"},
      {"+OK\r\n*1\r\n:1\r\n", "corrupt"},
      {"+OK\r\n*2\r\n:1\r\n*0\r\n", "corrupt"},
      {"+OK\r\n*2\r\n$1\r\n0\r\n*1\r\n:1\r\n", "corrupt"},
  };
  for (const Row& row : rows) {
    const KeyRequest request = request_of({}, true, keys_of({{2, "s"}}), keys_of({{0, "a"}}));
    EXPECT_EQ(read_all(request, {row.replies}), row.expected) << row.replies;
  }
}

}  // namespace
}  // namespace keyferry
