// Every type and encoding, element by element, through every split.
#include <cmath>

#include <gtest/gtest.h>

#include "packed_builder.hpp"
#include "read_elements.hpp"
#include "support/split.hpp"

namespace keyferry::rdb {
namespace {

using test::Elements;
using test::length;
using test::raw;
using test::read_elements;
using test::string;
using Lines = std::vector<std::string>;
using Status = ElementReader::Status;

constexpr Dialect newest{Family::redis, 15};
constexpr Dialect valkey{Family::valkey, 80};

struct Case {
  const char* name;
  std::uint8_t type;
  Bytes value;
  Lines lines;
  Dialect dialect = newest;
};

void expect_lines(const std::vector<Case>& cases, const HashTemplates* templates = nullptr) {
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    keyferry::test::for_each_split(row.value + "next", [&](const std::vector<ByteView>& pieces) {
      const Elements got = read_elements(pieces, row.type, row.dialect, templates);
      EXPECT_EQ(got.status, Status::end) << got.problem;
      EXPECT_EQ(got.lines, row.lines);
      EXPECT_EQ(got.consumed, row.value.size());

      const Elements in_parts =
          read_elements(pieces, row.type, row.dialect, templates, {.part_bytes = 10});
      EXPECT_EQ(in_parts.status, Status::end) << in_parts.problem;
      EXPECT_EQ(in_parts.lines, row.lines);
      EXPECT_EQ(in_parts.consumed, row.value.size());
    });
  }
}

TEST(ElementReader, ReadsStrings) {
  expect_lines({
      {"plain", 0, string("hello"), {"text hello"}},
      {"empty", 0, string(""), {"text "}},
      {"8 bit", 0, test::int8(-7), {"text -7"}},
      {"16 bit", 0, test::int16(-300), {"text -300"}},
      {"32 bit", 0, test::int32(123456), {"text 123456"}},
      {"LZF", 0, test::lzf('z', 100), {"text " + std::string(100, 'z')}},
      {"long", 0, string(Bytes(300, 'x')), {"text " + std::string(300, 'x')}},
  });
}

TEST(ElementReader, ReadsCountedElements) {
  const Bytes a = string("a");
  const Bytes b = test::int16(-300);
  const Bytes z = test::lzf('z', 20);
  const std::string zs(20, 'z');
  const Bytes half = test::little_endian(0x3fe0000000000000, 8);
  const Bytes minus_infinity = test::little_endian(0xfff0000000000000, 8);
  expect_lines({
      {"list", 1, length(3) + a + b + z, {"item a", "item -300", "item " + zs}},
      {"set", 2, length(2) + a + b, {"member a", "member -300"}},
      {"old zset",
       3,
       length(3) + a + raw("\x03") + "1.5" + b + "\xfe" + z + "\xff",
       {"1.5 a", "inf -300", "-inf " + zs}},
      {"zset", 5, length(2) + a + half + b + minus_infinity, {"0.5 a", "-inf -300"}},
      {"hash", 4, length(2) + a + b + z + z, {"a = -300", zs + " = " + zs}},
      {"empty", 4, length(0), {}},
  });
}

TEST(ElementReader, ReadsFieldsWithExpiry) {
  const Bytes a = string("a");
  const Bytes b = string("b");
  const Lines lines = {"a = b", "b = a until 1700000000098"};
  const auto now = test::little_endian(1700000000000, 8);
  const std::int64_t expiry = 1700000000098;
  expect_lines({
      {"7.4-rc1", 22, length(2) + length(0) + a + b + length(1700000000098) + b + a, lines},
      {"7.4-rc1 listpack", 23,
       string(test::listpack({test::lp_text("a"), test::lp_text("b"), test::lp_number(0),
                              test::lp_text("b"), test::lp_text("a"), test::lp_number(expiry)})),
       lines},
      {"7.4", 24, now + length(2) + length(0) + a + b + length(99) + b + a, lines},
      {"7.4 listpack", 25,
       now + string(
                 test::listpack({test::lp_text("a"), test::lp_text("b"), test::lp_number(0),
                                 test::lp_text("b"), test::lp_text("a"), test::lp_number(expiry)})),
       lines},
      {"Valkey 9", 22,
       length(2) + a + b + test::little_endian(~0ULL, 8) + b + a +
           test::little_endian(1700000000098, 8),
       lines, valkey},
  });
}

TEST(ElementReader, ReadsPackedValues) {
  using test::lp_number;
  using test::lp_text;
  using test::zl_text;
  const std::string text(70, 't');
  const Bytes pairs_lp = test::listpack({lp_text("a"), lp_number(-5), lp_text(text), lp_text("x")});
  const Bytes scores_zl = test::ziplist(
      {zl_text("a"), test::zl_number(0xf1 + 3, 0, 0), zl_text(text), zl_text("1.25")});
  const Bytes zipmap = raw("\x02\x01") + "a" + raw("\x03\x02") + "bcd" + "??" + raw("\x02") + "ee" +
                       raw("\x00") + raw("\x00\xff");
  expect_lines({
      {"zipmap", 9, string(zipmap), {"a = bcd", "ee = "}},
      {"list ziplist",
       10,
       string(test::ziplist({zl_text("a"), zl_text(text), test::zl_number(0xf0, -70000, 3)})),
       {"item a", "item " + text, "item -70000"}},
      {"intset",
       11,
       string(test::intset(4, {-9, 0, 70000})),
       {"member -9", "member 0", "member 70000"}},
      {"zset ziplist", 12, string(scores_zl), {"3 a", "1.25 " + text}},
      {"hash ziplist", 13, string(scores_zl), {"a = 3", text + " = 1.25"}},
      {"hash listpack", 16, string(pairs_lp), {"a = -5", text + " = x"}},
      {"zset listpack", 17, string(test::listpack({lp_text("a"), lp_text("-inf")})), {"-inf a"}},
      {"set listpack",
       20,
       string(test::listpack({lp_text("a"), lp_number(4096)})),
       {"member a", "member 4096"}},
      {"empty listpack", 20, string(test::listpack({})), {}},
  });
}

TEST(ElementReader, ReadsLists) {
  const Bytes node = string(test::ziplist({test::zl_text("a"), test::zl_text("b")}));
  const Bytes packed = string(test::listpack({test::lp_text("a"), test::lp_number(1)}));
  expect_lines({
      {"quicklist", 14, length(2) + node + node, {"item a", "item b", "item a", "item b"}},
      {"quicklist 2",
       18,
       length(3) + length(2) + packed + length(1) + string("plain") + length(2) + packed,
       {"item a", "item 1", "item plain", "item a", "item 1"}},
  });
}

// A listpack in one LZF literal run per 32 bytes: compressed in form, not in size.
Bytes stored_lzf(const Bytes& bytes) {
  Bytes blob;
  for (std::size_t at = 0; at < bytes.size(); at += 32) {
    const Bytes run = bytes.substr(at, 32);
    blob += static_cast<char>(run.size() - 1);
    blob += run;
  }
  return raw("\xc3") + length(blob.size()) + length(bytes.size()) + blob;
}

TEST(ElementReader, ReadsPackedValuesThatAreCompressed) {
  const Bytes blob = test::listpack({test::lp_text("abc"), test::lp_text("def")});
  expect_lines({
      {"hash", 16, stored_lzf(blob), {"abc = def"}},
      {"list",
       18,
       length(2) + length(2) + stored_lzf(blob) + length(2) + string(blob),
       {"item abc", "item def", "item abc", "item def"}},
  });
}

// Two nodes: entries of the node's fields, an own set of fields, a deleted one.
Bytes stream_nodes() {
  using test::lp_number;
  using test::lp_text;
  const std::vector<Bytes> first = {lp_number(2),    lp_number(1), lp_number(2), lp_text("f"),
                                    lp_number(17),   lp_number(0),  //
                                    lp_number(2),    lp_number(0), lp_number(0), lp_text("v"),
                                    lp_number(-1),   lp_number(5),  //
                                    lp_number(3),    lp_number(1), lp_number(5), lp_text("gone"),
                                    lp_text("gone"), lp_number(5), lp_number(0), lp_number(200),
                                    lp_number(-1),   lp_number(1), lp_text("g"), lp_text("w"),
                                    lp_number(6)};
  const std::vector<Bytes> second = {lp_number(1), lp_number(0), lp_number(1), lp_text("f"),
                                     lp_number(0), lp_number(2), lp_number(0), lp_number(0),
                                     lp_text("z"), lp_number(4)};
  return length(2) + test::stream_node(1000, 1, first) + test::stream_node(5000, 0, second);
}

Bytes id16(std::uint64_t ms, std::uint64_t seq) {
  return test::big_endian(ms, 8) + test::big_endian(seq, 8);
}

// Everything behind the entries, as `version` (1 to 5) of the stream types writes it.
Bytes stream_rest(int version) {
  const Bytes ids =
      version >= 2 ? length(1000) + length(1) + length(1001) + length(6) + length(4) : Bytes{};
  const Bytes pending = id16(1000, 1) + test::little_endian(1700, 8) + length(2);
  const Bytes unowned =
      version >= 5 ? id16(5000, 0) + test::little_endian(1800, 8) + length(1) : Bytes{};
  const Bytes active = version >= 3 ? test::little_endian(1702, 8) : Bytes{};
  const Bytes consumers = length(2) + string("alice") + test::little_endian(1701, 8) + active +
                          length(1) + id16(1000, 1) + string("bob") + test::little_endian(1701, 8) +
                          active + length(0);
  const Bytes group = string("g") + length(1000) + length(1) +
                      (version >= 2 ? length(~0ULL) : Bytes{}) + length(version >= 5 ? 2 : 1) +
                      pending + unowned + consumers +
                      (version >= 5 ? length(1) + id16(5000, 0) : Bytes{});
  const Bytes idmp = length(60) + length(100) + length(1) + string("p") + length(2) + string("i") +
                     length(1000) + length(1) + string("j") + length(5000) + length(0) + length(9) +
                     length(1);
  return length(3) + length(5000) + length(0) + ids + length(1) + group +
         (version >= 4 ? idmp : Bytes{});
}

Lines stream_lines(int version) {
  const std::string active = version >= 3 ? "1702" : "-1";
  Lines lines = {"entry 1000-1 \"f\" \"v\" \"17\" \"-1\"",
                 "entry 1200-0 \"g\" \"w\"",
                 "entry 5000-0 \"f\" \"z\"",
                 version >= 2
                     ? "stream length 3 last 5000-0 first 1000-1 max_deleted 1001-6 added 4"
                     : "stream length 3 last 5000-0 first 1000-1 max_deleted 0-0 added 3",
                 "group \"g\" last 1000-1 read -1",
                 "pending 1000-1 delivered 1700 times 2"};
  if (version >= 5) lines.push_back("pending 5000-0 delivered 1800 times 1");
  lines.push_back("consumer \"alice\" seen 1701 active " + active);
  lines.push_back("owned 1000-1");
  lines.push_back("consumer \"bob\" seen 1701 active " + active);
  if (version >= 5) lines.push_back("nacked 5000-0");
  if (version >= 4) lines.push_back("remembered 2 for 60 s, at most 100");
  return lines;
}

TEST(ElementReader, ReadsStreamsOfEveryVersion) {
  const std::uint8_t types[] = {15, 19, 21, 26, 27};
  std::vector<Case> cases;
  for (int version = 1; version <= 5; ++version) {
    cases.push_back({"stream", types[version - 1], stream_nodes() + stream_rest(version),
                     stream_lines(version)});
  }
  cases.push_back({"empty stream",
                   15,
                   Bytes(5, '\0'),
                   {"stream length 0 last 0-0 first 0-0 max_deleted 0-0 added 0"}});
  expect_lines(cases);
}

TEST(ElementReader, ReadsArrays) {
  const Bytes items = length(0) + length(0) + string("text") + length(7) + length(1) +
                      test::little_endian(~0ULL, 8) + length(9) + length(2) +
                      test::little_endian(0x3ff8000000000000, 8) + length(1ULL << 40) + length(3) +
                      string("abc");
  const Lines lines = {"[0] = text", "[7] = -1", "[9] = 1.5", "[1099511627776] = abc"};
  Lines with_cursor = lines;
  with_cursor.push_back("cursor 49");
  expect_lines({
      {"array", 28, length(4) + length(0) + items, lines},
      {"array with cursor", 28, length(4) + length(1) + length(49) + items, with_cursor},
  });
}

TEST(ElementReader, ReadsHashesWithTemplates) {
  const HashTemplates templates = {{7, {"age", "city"}}};
  const Bytes values =
      test::listpack({test::lp_number(7), test::lp_number(30), test::lp_text("Oslo")});
  const Bytes names = test::listpack({test::lp_text("age"), test::lp_text("city")});
  const Lines lines = {"age = 30", "city = Oslo"};
  expect_lines(
      {
          {"own names, packed", 29, length(0) + string(names) + string(values), lines},
          {"own names as strings", 29,
           length(1) + length(2) + string("age") + string("city") + string(values), lines},
          {"template, packed", 30, string(values), lines},
          {"own names, values as strings", 31,
           length(0) + string(names) + string("30") + string("Oslo"), lines},
          {"template, values as strings", 32, length(7) + test::int8(30) + string("Oslo"), lines},
      },
      &templates);
}

struct BadCase {
  std::uint8_t type;
  Bytes value;
  const char* problem;
  Dialect dialect = newest;
};

TEST(ElementReader, SaysWhatIsWrong) {
  using test::lp_number;
  using test::lp_text;
  const Bytes half_pair = string(test::listpack({lp_text("a")}));
  const Bytes zero8(8, '\0');
  const Bytes not_a_number = test::little_endian(0x7ff8000000000000, 8);
  const Bytes rest = length(0) + length(0) + length(0) + length(0);
  const auto node = [](std::int64_t live, std::int64_t deleted, std::int64_t size) {
    return length(1) +
           test::stream_node(1, 0,
                             {lp_number(live), lp_number(deleted), lp_number(0), lp_number(0),
                              lp_number(2), lp_number(0), lp_number(0), lp_number(size)});
  };
  const Bytes group = length(0) + length(0) + length(0) + length(0) + length(1) + string("g") +
                      length(0) + length(0);
  const Bytes pending = length(1) + id16(1, 0) + zero8 + length(1);
  const BadCase cases[] = {
      {7, length(1) + length(0), "a module's value can only be understood by its module"},
      {3, length(1) + string("a") + "\xfd", "a score is no number"},
      {3, length(1) + string("a") + raw("\x02") + "1x", "a score is no number"},
      {5, length(1) + string("a") + not_a_number, "a score is no number"},
      {17, string(test::listpack({lp_text("a"), lp_text("nan")})), "a score is no number"},
      {16, half_pair, "a packed value ends inside of an element"},
      {17, half_pair, "a packed value ends inside of an element"},
      {25, zero8 + string(test::listpack({lp_text("a"), lp_text("b"), lp_text("c")})),
       "a field's expiry is no number"},
      {18, length(1) + length(3) + string("a"), "a list node is of unknown kind"},
      {18, length(1) + length(1) + string(""), "a list node is empty"},
      {15, length(1) + string("short"), "a stream node has no 16-byte ID"},
      {15, length(2) + node(1, 0, 3).substr(1) + node(1, 0, 3).substr(1) + rest,
       "the nodes of a stream are not in order"},
      {15, node(2, 0, 3) + rest, "a stream node has fewer entries than it says"},
      {15, node(0, 1, 3) + rest, "a stream node has more entries than it says"},
      {15, node(1, 0, 5) + rest, "a stream entry is wrong about its own length"},
      {15, group + pending + length(0),
       "a pending entry of a stream's group belongs to no consumer"},
      {15, group + pending + length(1) + string("c") + zero8 + length(2) + id16(1, 0) + id16(1, 0),
       "the consumers of a stream's group hold more entries than are pending"},
      {28,
       length(2) + length(0) + length(1) + length(0) + string("a") + length(1) + length(0) +
           string("b"),
       "the indexes of an array do not ascend"},
      {28, length(1) + length(0) + length(1) + length(4), "an array's element is of unknown kind"},
      {29, length(2), "the field names of a hash are of unknown form"},
      {29, length(1) + length(2) + string("b") + string("a"),
       "the field names of a hash are not in order"},
      {29, length(1) + length(1) + string("f") + string(test::listpack({lp_number(0)})),
       "a hash has fewer values than its template has fields"},
      {29,
       length(1) + length(1) + string("f") +
           string(test::listpack({lp_number(0), lp_text("v"), lp_text("w")})),
       "a hash has more values than its template has fields"},
      {30, string(test::listpack({lp_number(5), lp_text("v")})),
       "a hash refers to a template that the snapshot does not have"},
      {30, string(test::listpack({lp_text("v")})), "a hash does not begin with its template"},
  };
  for (const BadCase& row : cases) {
    SCOPED_TRACE(row.problem);
    keyferry::test::for_each_split(row.value + "next", [&](const std::vector<ByteView>& pieces) {
      const Elements got = read_elements(pieces, row.type, row.dialect);
      EXPECT_EQ(got.status, Status::error);
      EXPECT_EQ(got.problem, row.problem);
    });
  }
}

TEST(ElementReader, GivesLargeTextsOfCollectionsInParts) {
  const Bytes long_text = string(Bytes(70'000, 'x'));
  const Bytes half = test::little_endian(0x3fe0000000000000, 8);
  const Bytes soon = test::little_endian(5000, 8);
  const Bytes packed = stored_lzf(Bytes(70'000, 'z'));
  const Case cases[] = {
      {"set", 2, length(2) + long_text + string("a"), {}},
      {"compressed list", 1, length(2) + packed + string("a"), {}},
      {"old zset", 3, length(1) + long_text + raw("\x03") + "1.5", {}},
      {"zset", 5, length(1) + packed + half, {}},
      {"hash", 4, length(1) + string("f") + long_text, {}},
      {"hash with TTLs", 24, soon + length(1) + length(1) + string("f") + long_text, {}},
      {"Valkey's", 22, length(1) + string("f") + packed + soon, {}, valkey},
      {"plain node", 18, length(1) + length(1) + long_text, {}},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    const Elements whole = read_elements(row.value, row.type, row.dialect);
    for (const std::size_t piece : {std::size_t{1000}, std::size_t{1} << 30}) {
      std::vector<ByteView> pieces;
      for (std::size_t at = 0; at < row.value.size(); at += piece)
        pieces.push_back(ByteView(row.value).substr(at, piece));

      const Elements got =
          read_elements(pieces, row.type, row.dialect, nullptr, {.part_bytes = 10'000});

      EXPECT_EQ(got.status, Status::end) << got.problem;
      EXPECT_EQ(got.lines, whole.lines);
      EXPECT_GT(got.large_parts, 1U);
      EXPECT_EQ(got.consumed, row.value.size());
    }
  }
}

// One text alone in its node: how lists of Redis before 7.2 hold large ones.
TEST(ElementReader, GivesTheOnlyTextOfANodeInParts) {
  const Bytes text(5000, 'y');
  const Bytes listpack = test::listpack({test::lp_text(text)});
  const Bytes two = test::listpack({test::lp_text(text), test::lp_text("a")});
  const Bytes ziplist = test::ziplist({test::zl_text(text)});
  // Ziplists have another form for shorter texts, which nobody need cut.
  const Bytes wide = test::ziplist({test::zl_text(Bytes(20'000, 'w'))});
  struct Row {
    const char* name;
    std::uint8_t type;
    Bytes value;
    bool in_parts;
  };
  const Row rows[] = {
      {"listpack", 18, length(1) + length(2) + string(listpack), true},
      {"compressed", 18, length(1) + length(2) + stored_lzf(listpack), true},
      {"two", 18, length(1) + length(2) + string(two), false},
      {"ziplist", 14, length(2) + string(wide) + string(ziplist), true},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const Elements whole = read_elements(row.value, row.type);
    ASSERT_EQ(whole.status, Status::end) << whole.problem;
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1} << 30}) {
      std::vector<ByteView> pieces;
      for (std::size_t at = 0; at < row.value.size(); at += piece)
        pieces.push_back(ByteView(row.value).substr(at, piece));

      const Elements got = read_elements(pieces, row.type, newest, nullptr, {.part_bytes = 1000});

      EXPECT_EQ(got.status, Status::end) << got.problem;
      EXPECT_EQ(got.lines, whole.lines);
      EXPECT_EQ(got.large_parts > 0, row.in_parts);
    }
  }
}

TEST(ElementReader, RefusesWhatItWouldHaveToHold) {
  const Bytes name = string(Bytes(300, 'n'));
  const Bytes two = test::listpack({test::lp_text(Bytes(200, 'a')), test::lp_text("a")});
  const Case cases[] = {
      {"name", 4, length(1) + name + string("v"), {}},
      {"node", 18, length(1) + length(2) + string(two), {}},
      {"compressed name", 4, length(1) + test::lzf('z', 200) + string("v"), {}},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.name);
    const std::vector<ByteView> all{row.value};
    const Elements got = read_elements(all, row.type, newest, nullptr, {50, 100});
    EXPECT_EQ(got.status, Status::error);
    EXPECT_EQ(got.problem, Cursor::too_large);
  }
}

TEST(ElementReader, GivesALongCompressedStringInParts) {
  // 3 MiB of a repeating letter: copies that overlap themselves, from far more output than input.
  Bytes blob = raw("\x00") + "q";
  std::size_t size = 1;
  while (size < std::size_t{3} << 20) {
    blob += raw("\xe0\xff");
    blob += '\0';
    size += 264;
  }
  const Bytes value = raw("\xc3") + length(blob.size()) + length(size) + blob;
  std::vector<ByteView> pieces;
  for (std::size_t at = 0; at < value.size(); at += 1000)
    pieces.push_back(ByteView(value).substr(at, 1000));

  const Elements got = read_elements<test::SharedBuffer>(pieces, 0, newest);

  ASSERT_EQ(got.status, Status::end) << got.problem;
  ASSERT_EQ(got.lines.size(), 1U);
  EXPECT_EQ(got.lines[0], "text " + std::string(size, 'q'));
  EXPECT_EQ(got.consumed, value.size());
}

TEST(ElementReader, NeedsLittleOfALongString) {
  const Bytes head = length(500'000'000);
  ElementReader reader;
  reader.start(0, newest);
  Element element;
  std::size_t consumed = 0;

  ASSERT_EQ(reader.next(head + "abc", element, consumed), Status::element);
  EXPECT_EQ(consumed, head.size() + 3);
  ASSERT_EQ(reader.next("", element, consumed), Status::need_more);
  EXPECT_EQ(reader.need_bytes(), 1U);
}

}  // namespace
}  // namespace keyferry::rdb
