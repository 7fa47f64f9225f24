#include "keyferry/cli/inspection.hpp"

#include <cstdlib>

#include <gtest/gtest.h>

#include "keyferry/cli/inspect.hpp"
#include "rdb/builder.hpp"
#include "rdb/packed_builder.hpp"
#include "support/split.hpp"

namespace keyferry {
namespace {

using rdb::test::length;
using rdb::test::raw;
using rdb::test::record;
using rdb::test::string;
using Form = Inspection::Form;

struct Inspected {
  std::string text;
  Error error;
};

Inspected inspect(const std::vector<ByteView>& pieces, Form form, std::uint64_t surplus = 0) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* const file = open_memstream(&text, &size);
  Inspected out;
  {
    Inspection inspection(form, file);
    SnapshotBuffer buffer(inspection);
    for (const ByteView piece : pieces) {
      char* const tail = buffer.tail();
      EXPECT_GE(buffer.tail_size(), piece.size());
      piece.copy(tail, piece.size());
      buffer.commit(piece.size());
    }
    out.error = inspection.finish(surplus);
  }
  std::fclose(file);
  out.text.assign(text, size);
  std::free(text);  // NOLINT(cppcoreguidelines-no-malloc): open_memstream's
  return out;
}

std::string json_of(const Bytes& body, int version = 12) {
  const Bytes file = rdb::test::file(version, body);
  const Inspected whole = inspect({file}, Form::json);
  EXPECT_FALSE(whole.error) << whole.error.what;
  keyferry::test::for_each_split(file, [&](const std::vector<ByteView>& pieces) {
    EXPECT_EQ(inspect(pieces, Form::json).text, whole.text);
  });
  // Without the first and the last line, which say version and end.
  const std::size_t first = whole.text.find('\n') + 1;
  return whole.text.substr(first, whole.text.rfind("{\"end\"") - first);
}

TEST(Inspection, WritesKeysAsJson) {
  const Bytes expiry = raw("\xfc") + rdb::test::little_endian(1700000000000, 8);
  EXPECT_EQ(
      json_of(raw("\xfe") + length(3) + expiry + raw("\xf8") + length(9) +
              record(0, "k\n", string("a\"b\\\xc3\xa9"))),
      "{\"key\":\"k\\u000a\",\"db\":3,\"type\":\"string\",\"encoding\":\"plain\",\"rdb_type\":"
      "0,\"expire_ms\":1700000000000,\"idle_s\":9,\"value\":\"a\\\"b\\\\\xc3\xa9\","
      "\"bytes\":7}\n");
}

TEST(Inspection, WritesElementsAsJson) {
  using rdb::test::lp_number;
  using rdb::test::lp_text;
  const auto value_of = [](int type, const Bytes& value, int version = 12) {
    const std::string line = json_of(record(type, "k", value), version);
    const std::size_t at = line.find("\"value\":") + 8;
    return line.substr(at, line.rfind(",\"bytes\"") - at);
  };
  const Bytes minus_infinity = rdb::test::little_endian(0xfff0000000000000, 8);
  const Bytes half = rdb::test::little_endian(0x3fe0000000000000, 8);

  EXPECT_EQ(value_of(1, length(2) + string("a") + string("b")), "[\"a\",\"b\"]");
  EXPECT_EQ(value_of(5, length(2) + string("a") + half + string("b") + minus_infinity),
            "[[\"a\",0.5],[\"b\",\"-inf\"]]");
  EXPECT_EQ(value_of(24, rdb::test::little_endian(1000, 8) + length(2) + length(0) + string("f") +
                             string("v") + length(6) + string("g") + string("w")),
            "[[\"f\",\"v\"],[\"g\",\"w\",1005]]");
  EXPECT_EQ(
      value_of(28, length(1) + length(1) + length(9) + length(3) + length(0) + string("x"), 14),
      "{\"items\":[[3,\"x\"]],\"insert_index\":9}");
  EXPECT_EQ(value_of(7, length(1) + length(0)), "{\"base64\":\"AQA=\"}");
}

TEST(Inspection, WritesStreamsAsJson) {
  using rdb::test::big_endian;
  using rdb::test::little_endian;
  using rdb::test::lp_number;
  using rdb::test::lp_text;
  const Bytes node = rdb::test::stream_node(
      1, 2,
      {lp_number(1), lp_number(0), lp_number(1), lp_text("f"), lp_number(0), lp_number(2),
       lp_number(0), lp_number(0), lp_text("v"), lp_number(4)});
  const auto id = [](unsigned n) { return big_endian(n, 8) + big_endian(0, 8); };
  const Bytes pending = little_endian(7, 8) + length(2);
  const Bytes group = string("g") + length(1) + length(2) + length(5) + length(2) + id(1) +
                      pending + id(2) + pending + length(2) + string("c") + little_endian(8, 8) +
                      little_endian(9, 8) + length(1) + id(1) + string("d") + little_endian(8, 8) +
                      little_endian(9, 8) + length(0) + length(1) + id(2);
  const Bytes empty_group =
      string("h") + length(0) + length(0) + length(0) + length(0) + length(0) + length(0);
  const Bytes value = length(1) + node + length(1) + length(1) + length(2) + length(1) + length(2) +
                      length(0) + length(0) + length(1) + length(2) + group + empty_group +
                      length(60) + length(10) + length(0) + length(0) + length(0);

  const std::string line = json_of(record(27, "s", value), 14);

  EXPECT_NE(
      line.find("\"value\":{\"entries\":[[\"1-2\",[\"f\",\"v\"]]],\"length\":1,\"entries_added\":1,"
                "\"last_id\":\"1-2\",\"first_id\":\"1-2\",\"max_deleted_id\":\"0-0\",\"groups\":["
                "{\"name\":\"g\",\"last_id\":\"1-2\",\"entries_read\":5,"
                "\"pending\":[[\"1-0\",7,2],[\"2-0\",7,2]],\"consumers\":["
                "{\"name\":\"c\",\"seen_ms\":8,\"active_ms\":9,\"pending\":[\"1-0\"]},"
                "{\"name\":\"d\",\"seen_ms\":8,\"active_ms\":9,\"pending\":[]}],\"nacked\":["
                "\"2-0\"]},{\"name\":\"h\",\"last_id\":\"0-0\",\"entries_read\":0,\"pending\":[],"
                "\"consumers\":[]}],\"remembered\":{\"keep_s\":60,\"at_most\":10,\"ids\":0}},"),
      std::string::npos)
      << line;
}

TEST(Inspection, WritesBytesThatAreNoTextAsBase64) {
  const auto text_of = [](const Bytes& text) {
    const std::string line = json_of(record(0, "k", string(text)));
    const std::size_t at = line.find("\"value\":") + 8;
    return line.substr(at, line.find(",\"bytes\"") - at);
  };
  EXPECT_EQ(text_of("\xff"), "{\"base64\":\"/w==\"}");
  EXPECT_EQ(text_of("\xff\xfe"), "{\"base64\":\"//4=\"}");
  EXPECT_EQ(text_of("a\xc3"), "{\"base64\":\"YcM=\"}");
  EXPECT_EQ(text_of("\xed\xa0\x80"), "{\"base64\":\"7aCA\"}");          // a surrogate
  EXPECT_EQ(text_of("\xc0\x80"), "{\"base64\":\"wIA=\"}");              // longer than needed
  EXPECT_EQ(text_of("\xf4\x90\x80\x80"), "{\"base64\":\"9JCAgA==\"}");  // above U+10FFFF
  EXPECT_EQ(text_of("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\"");
}

TEST(Inspection, WritesLongStringsAsBase64InPieces) {
  const Bytes long_text(3'000'001, 'a');
  const Bytes file = rdb::test::file(12, record(0, "k", string(long_text)));
  std::vector<ByteView> pieces;
  for (std::size_t at = 0; at < file.size(); at += 100'001)
    pieces.push_back(ByteView(file).substr(at, 100'001));
  std::string expected;
  for (std::size_t i = 0; i < long_text.size() / 3; ++i)
    expected += "YWFh";

  const std::string text = inspect(pieces, Form::json).text;

  EXPECT_NE(text.find("{\"base64\":\"" + expected + "YQ==\"}"), std::string::npos);
}

TEST(Inspection, SummarisesBySizeTypeAndExpiry) {
  const Bytes expiry = raw("\xfc") + rdb::test::little_endian(1700000000000, 8);
  const Bytes file = rdb::test::file(12, raw("\xfa") + string("redis-ver") + string("7.4.1") +
                                             record(0, "a", string("123")) + expiry +
                                             record(0, "b", rdb::test::int8(5)) +
                                             record(2, "c", length(2) + string("x") + string("y")));

  const std::string text = inspect({file}, Form::summary, 40).text;

  EXPECT_NE(text.find("Redis RDB version 12, "), std::string::npos) << text;
  EXPECT_NE(text.find("checksum right\n  redis-ver = 7.4.1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("bytes behind the snapshot: 40"), std::string::npos) << text;
  EXPECT_NE(text.find("    0  string                                  2            1              "
                      "0                6\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("    2  set hashtable                           1            0              "
                      "2                5\n"),
            std::string::npos)
      << text;
  EXPECT_LT(text.find("\"c\""), text.find("\"a\""));
  EXPECT_LT(text.find("\"a\""), text.find("\"b\""));
}

TEST(Inspection, SaysWhereAPackedValueIsDamaged) {
  Bytes blob = rdb::test::listpack({rdb::test::lp_text("a"), rdb::test::lp_text("b")});
  blob[8] = '\x7f';
  const Bytes file = rdb::test::file(12, record(16, "k", string(blob)));

  const Inspected got = inspect({file}, Form::summary);

  EXPECT_EQ(exit_code(got.error), 4);
  EXPECT_EQ(got.error.what,
            "Redis RDB version 12 at offset 26: key \"k\": a listpack entry is wrong about its own "
            "length");
}

TEST(Inspection, RefusesASnapshotThatEndsTooEarly) {
  const Bytes file = rdb::test::file(12, record(0, "k", string("v")));

  const Inspected got = inspect({ByteView(file).substr(0, file.size() - 1)}, Form::json);

  EXPECT_EQ(exit_code(got.error), 4);
  EXPECT_EQ(got.text.find("{\"end\""), std::string::npos);
}

}  // namespace
}  // namespace keyferry
