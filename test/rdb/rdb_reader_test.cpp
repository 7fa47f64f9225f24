#include "keyferry/rdb/rdb_reader.hpp"

#include <gtest/gtest.h>

#include "builder.hpp"
#include "decode.hpp"
#include "packed_builder.hpp"
#include "read_elements.hpp"
#include "support/split.hpp"

namespace keyferry::rdb {
namespace {

using test::decode;
using test::raw;
using test::Reading;
using test::record;

// --- values of every type, through every split

struct ValueCase {
  const char* name;
  int version;
  int type;
  Bytes value;
};

Bytes id16() {
  return test::big_endian(1700000000000, 8) + test::big_endian(7, 8);
}

// Entries, length and last ID; `extra` fields of stream 2; one group with a pending entry and two
// consumers.
Bytes stream(bool has_entries_read, bool has_active_time, bool has_unowned = false) {
  using test::length;
  const Bytes extra =
      has_entries_read ? length(1) + length(2) + length(0) + length(0) + length(9) : Bytes{};
  const Bytes active = has_active_time ? test::little_endian(1700000000002, 8) : Bytes{};
  const Bytes consumer = test::string("alice") + test::little_endian(1700000000001, 8) + active;
  const Bytes pending = id16() + test::little_endian(1700000000000, 8) + length(3);
  const Bytes group = test::string("g") + length(1700000000000) + length(7) +
                      (has_entries_read ? length(5) : Bytes{}) + length(1) + pending + length(2) +
                      consumer + length(1) + id16() + consumer + length(0) +
                      (has_unowned ? length(1) + id16() : Bytes{});
  const Bytes node = test::string(id16()) + test::string("listpack");
  return length(2) + node + node + length(2) + length(1700000000000) + length(7) + extra +
         length(1) + group;
}

Bytes idmp() {
  using test::length;
  return length(60) + length(100) + length(1) + test::string("p") + length(1) + test::string("i") +
         length(1) + length(2) + length(3) + length(4);
}

Bytes module_value() {
  using test::length;
  return raw("\x81") + test::big_endian(0x7b1b2daedca97800, 8) + length(1) + length(~0ULL) +
         length(2) + length(7) + length(3) + "ffff" + length(4) + "dddddddd" + length(5) +
         test::string("text") + length(0);
}

std::vector<ValueCase> value_cases() {
  using test::length;
  using test::string;
  const Bytes a = string("a");
  const Bytes b = test::int16(-300);
  const Bytes z = test::lzf('z', 100);
  const Bytes binary = test::little_endian(0x3ff8000000000000, 8);
  return {
      {"plain string", 10, 0, a},
      {"empty string", 10, 0, string("")},
      {"integer string", 10, 0, b},
      {"LZF string", 10, 0, z},
      {"long string", 10, 0, string(Bytes(300, 'x'))},
      {"list", 6, 1, length(3) + a + b + z},
      {"set", 10, 2, length(2) + a + b},
      {"zset", 7, 3, length(4) + a + raw("\x03") + "1.5" + b + "\xfd" + a + "\xfe" + b + "\xff"},
      {"hash", 10, 4, length(2) + a + b + b + z},
      {"zset 2", 10, 5, length(2) + a + binary + b + binary},
      {"module", 10, 7, module_value()},
      {"hash zipmap", 3, 9, a},
      {"list ziplist", 6, 10, z},
      {"set intset", 10, 11, a},
      {"zset ziplist", 9, 12, z},
      {"hash ziplist", 9, 13, a},
      {"quicklist", 9, 14, length(2) + a + z},
      {"stream", 9, 15, stream(false, false)},
      {"empty stream", 9, 15, length(0) + length(0) + length(0) + length(0) + length(0)},
      {"hash listpack", 10, 16, a},
      {"zset listpack", 10, 17, z},
      {"quicklist 2", 10, 18, length(2) + length(1) + a + length(2) + z},
      {"stream 2", 10, 19, stream(true, false)},
      {"set listpack", 11, 20, a},
      {"stream 3", 11, 21, stream(true, true)},
      {"hash with TTLs", 12, 24,
       test::little_endian(1700000000000, 8) + length(2) + length(0) + a + b + length(99) + b + z},
      {"hash listpack with TTLs", 12, 25, test::little_endian(1700000000000, 8) + z},
      {"hash with TTLs, 7.4-rc1", 12, 22, length(2) + length(0) + a + b + length(99) + b + z},
      {"hash listpack with TTLs, 7.4-rc1", 12, 23, z},
      {"stream 4", 13, 26, stream(true, true) + idmp()},
      {"stream 5", 14, 27, stream(true, true, true) + idmp()},
      {"array", 14, 28,
       length(2) + length(1) + length(9) + length(3) + length(0) + a + length(4) + length(2) +
           binary},
      {"hash with own template", 15, 31,
       length(1) + length(2) + a + test::string("b") + test::int8(1) + test::string("v")},
  };
}

TEST(RdbReader, FindsTheEndOfEveryTypeWhateverTheSplit) {
  for (const ValueCase& row : value_cases()) {
    SCOPED_TRACE(row.name);
    const Bytes bytes = test::file(
        row.version, record(row.type, "key", row.value) + record(0, "next", test::string("v")));
    const std::vector<std::string> expected = {
        fmt::format("header redis {}", row.version),
        fmt::format("key 0 type {} expire - - \"key\" value \"{}\"", row.type,
                    escaped(row.value, 10'000)),
        "key 0 type 0 expire - - \"next\" value \"\\x01v\"",
        row.version < 5 ? "end, no checksum" : "end",
    };

    keyferry::test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
      const Reading reading = decode(pieces);
      EXPECT_EQ(reading.lines, expected) << reading.error;
      EXPECT_EQ(reading.consumed, bytes.size());
    });
  }
}

// --- big values

std::vector<ValueCase> big_cases() {
  using test::length;
  using test::string;
  const Bytes a = string("a");
  const Bytes packed = string(test::listpack({test::lp_text("a"), test::lp_number(1)}));
  const std::vector<Bytes> entries = {test::lp_number(1), test::lp_number(0), test::lp_number(1),
                                      test::lp_text("f"), test::lp_number(0), test::lp_number(2),
                                      test::lp_number(0), test::lp_number(0), test::lp_text("v"),
                                      test::lp_number(4)};
  const Bytes nodes = test::stream_node(1, 2, entries) + test::stream_node(1, 3, entries);
  return {
      {"string", 10, 0, string(Bytes(300, 'x'))},
      {"integer string", 10, 0, test::int16(-300)},
      {"LZF string", 10, 0, test::lzf('z', 200)},
      {"set", 10, 2, length(2) + a + test::int16(-300)},
      {"hash listpack", 10, 16, packed},
      {"quicklist 2", 10, 18, length(3) + length(2) + packed + length(1) + a + length(2) + packed},
      {"stream", 10, 15, length(2) + nodes + length(2) + length(1) + length(2) + length(0)},
      {"hash with TTLs", 12, 24,
       test::little_endian(1700000000000, 8) + length(2) + length(0) + a + a + length(9) + a + a},
      {"array", 14, 28, length(1) + length(1) + length(9) + length(3) + length(0) + a},
  };
}

TEST(RdbReader, GivesBigValuesAsElementsWhateverTheSplit) {
  for (const ValueCase& row : big_cases()) {
    SCOPED_TRACE(row.name);
    const Dialect dialect{Family::redis, row.version};
    const Bytes expiry = raw("\xfc") + test::little_endian(7, 8);
    const Bytes bytes = test::file(row.version, expiry + record(row.type, "key", row.value) +
                                                    record(0, "n", test::string("")));
    std::vector<std::string> expected = {
        fmt::format("header redis {}", row.version),
        fmt::format("big key 0 type {} expire 7 - \"key\"", row.type)};
    const auto type = static_cast<std::uint8_t>(row.type);
    const auto elements = test::read_elements(row.value, type, dialect).lines;
    expected.insert(expected.end(), elements.begin(), elements.end());
    expected.push_back("end of \"key\"");
    expected.push_back("key 0 type 0 expire - - \"n\" value \"\\x00\"");
    expected.push_back("end");

    keyferry::test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
      const Reading reading = test::decode_with_limit(pieces, 1);
      EXPECT_EQ(reading.lines, expected) << reading.error;
      EXPECT_EQ(reading.consumed, bytes.size());
    });
  }
}

TEST(RdbReader, AValueOfTheLimitIsNotBig) {
  const Bytes value = test::string(Bytes(99, 'v'));
  const Bytes bytes = test::file(10, record(0, "k", value));

  keyferry::test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
    EXPECT_TRUE(test::decode_with_limit(pieces, value.size()).lines.at(1).starts_with("key "));
    EXPECT_TRUE(test::decode_with_limit(pieces, value.size() - 1).lines.at(1).starts_with("big "));
  });
}

TEST(RdbReader, SkipsKeysWithoutElementsWhateverTheLimit) {
  // Lengths in their longest form.
  const Bytes zero = raw("\x81") + Bytes(8, '\0');
  const Bytes bytes =
      test::file(14, record(24, "hash", Bytes(8, '\0') + zero) +
                         record(28, "array", zero + raw("\x81") + test::big_endian(1, 8) + zero));

  keyferry::test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
    EXPECT_EQ(test::decode_with_limit(pieces, 0).lines,
              (std::vector<std::string>{"header redis 14", "end"}));
  });
}

TEST(RdbReader, KeepsModuleValuesWhole) {
  const Bytes bytes = test::file(10, record(7, "m", module_value()));
  const std::vector<ByteView> pieces{bytes};

  EXPECT_TRUE(test::decode_with_limit(pieces, 0).lines.at(1).starts_with("key 0 type 7"));
}

TEST(RdbReader, NeedsLittleOfABigValue) {
  const Bytes bytes = test::magic(10) +
                      record(2, "k", test::length(1'000'000'000) + test::string(Bytes(2000, 'm')));
  RdbReader reader(1000);
  Event event;
  ByteView rest = bytes;
  std::size_t consumed = 0;
  std::vector<Event::Kind> kinds;

  while (reader.next(rest, event, consumed) == RdbReader::Status::event) {
    kinds.push_back(event.kind);
    rest.remove_prefix(consumed);
  }

  EXPECT_EQ(kinds, (std::vector<Event::Kind>{Event::Kind::header, Event::Kind::big_key,
                                             Event::Kind::element}));
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(reader.need_bytes(), 1U);
}

// Found by fuzzing: whole, the damage was met while looking for the end; in pieces, as an element.
TEST(RdbReader, GivesTheElementsBeforeTheDamageWhateverTheSplit) {
  const Bytes bytes = test::magic(10) + record(2, "k",
                                               test::length(3) + test::string(Bytes(50, 'a')) +
                                                   test::string("b") + raw("\xff"));
  const std::vector<std::string> expected = {"header redis 10", "big key 0 type 2 expire - - \"k\"",
                                             "member " + std::string(50, 'a'), "member b"};

  keyferry::test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
    const Reading reading = test::decode_with_limit(pieces, 40);
    EXPECT_EQ(reading.lines, expected);
    EXPECT_NE(reading.error, "");
  });
}

TEST(RdbReader, NamesTheKeyOfABigValueThatIsDamaged) {
  const Bytes blob = test::listpack({test::lp_text("a"), test::lp_text("b")});
  Bytes broken = blob;
  broken[8] = '\xff';
  const Bytes bytes = test::file(10, record(18, "k",
                                            test::length(2) + test::length(2) + test::string(blob) +
                                                test::length(2) + test::string(broken)));
  const std::vector<ByteView> pieces{bytes};

  const Reading reading = test::decode_with_limit(pieces, 1);

  EXPECT_EQ(reading.lines.back(), "item b");
  EXPECT_EQ(reading.error,
            "Redis RDB version 10 at offset 43: key \"k\": a listpack entry is wrong about its own "
            "length");
}

// --- opcodes

TEST(RdbReader, ReadsTheOpcodesOfTheNewestServers) {
  using test::length;
  using test::string;
  const Bytes meta = length(1) + "spec" + length(5) + string("meta") + length(0);
  const Bytes values = string(test::listpack({test::lp_number(5), test::lp_text("v")}));
  const Bytes bytes = test::file(
      15, raw("\xf6") + string("lib") + string("LUA") + length(1) + string("about") +
              string("code") +                                            //
              raw("\xf2") + length(5) + length(1) + string("f") +         //
              record(30, "h", values) +                                   //
              raw("\xf3") + meta + record(0, "with meta", string("v")) +  //
              raw("\x6b") + length(77) + raw("\x79") + length(3) + record(0, "bare", string("v")));
  const std::vector<std::string> expected = {
      "header redis 15",
      "function \"#!lua name=lib\\x0acode\"",
      fmt::format("key 0 type 30 expire - - \"h\" value \"{}\"", escaped(values, 1000)),
      "key 0 type 0 expire - - \"with meta\" value \"\\x01v\"",
      "key 0 type 0 expire - - \"bare\" value \"\\x01v\"",
      "end"};

  keyferry::test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
    RdbReader reader;
    std::vector<Bytes> metas;
    const Reading reading = decode<test::ExactBuffer>(
        pieces, reader, [&](const Event& event) { metas.emplace_back(event.key_meta); });
    EXPECT_EQ(reading.lines, expected) << reading.error;
    EXPECT_EQ(metas, (std::vector<Bytes>{"", "", "", meta, "", ""}));
    EXPECT_EQ(reader.keys_with_meta(), 1U);
    EXPECT_EQ(reader.templates(), (HashTemplates{{5, {"f"}}}));
  });
}

TEST(RdbReader, ReadsWhatValkey9Writes) {
  using test::length;
  using test::string;
  const Bytes hash = length(1) + string("f") + string("v") + test::little_endian(9, 8);
  Bytes bytes = "VALKEY080" + raw("\xf3") + string(Bytes(40, 'a')) + length(1) + length(0) +
                length(99) + record(22, "h", hash) + raw("\xff");
  bytes += test::little_endian(crc64(0, bytes), 8);

  keyferry::test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
    RdbReader reader(0);
    const Reading reading = decode<test::ExactBuffer>(pieces, reader, [](const Event&) {});
    EXPECT_EQ(reading.lines,
              (std::vector<std::string>{"header valkey 80", "big key 0 type 22 expire - - \"h\"",
                                        "f = v until 9", "end of \"h\"", "end"}))
        << reading.error;
    EXPECT_EQ(reader.slot_imports(), 1U);
  });
}

TEST(RdbReader, DropsLongSkippedRecordsInPieces) {
  Bytes aux = test::length(1) + test::length(2) + test::length(2);
  for (int i = 0; i < 1000; ++i)
    aux += test::length(5) + test::string(Bytes(1000, 'x'));
  const Bytes bytes = test::file(10, raw("\xf7") + aux + test::length(0));
  std::vector<ByteView> pieces;
  for (std::size_t at = 0; at < bytes.size(); at += 5000)
    pieces.push_back(ByteView(bytes).substr(at, 5000));
  RdbReader reader;
  std::size_t longest = 0;

  const Reading reading = decode<test::ExactBuffer>(
      pieces, reader, [&](const Event& event) { longest = std::max(longest, event.text.size()); });

  EXPECT_EQ(reading.lines, (std::vector<std::string>{"header redis 10", "end"}));
  EXPECT_GT(longest, 60'000U);
  EXPECT_LT(longest, 80'000U);
}

Bytes file_with_every_opcode() {
  using test::length;
  using test::string;
  const Bytes library = "#!lua name=l\nreturn 1";
  return test::file(12, raw("\xfa") + string("redis-ver") + string("7.4.1") +      //
                            raw("\xfa") + string("redis-bits") + test::int8(64) +  //
                            raw("\xf7") + raw("\x81") +
                            test::big_endian(0x7b1b2daedca97800, 8) +  // module aux
                            length(2) + length(1) + length(5) + string("index") + length(0) +    //
                            raw("\xf5") + string(library) + raw("\xf5") + test::lzf('f', 99) +   //
                            raw("\xfe") + length(9) + raw("\xfb") + length(1000) + length(70) +  //
                            raw("\xf4") + length(16383) + length(5) + length(1) +  // slot info
                            raw("\xfc") + test::little_endian(1700000000123, 8) +  //
                            raw("\xf8") + length(100) + record(0, "idle", string("v")) +  //
                            raw("\xfd") + test::little_endian(1700000000, 4) +            //
                            raw("\xf9") + raw("\xff") + record(0, "freq", string("v")) +  //
                            record(0, "bare", string("v")) +                              //
                            raw("\x00") + test::int32(123456) + string("v") +  // integer key
                            raw("\x00") + test::lzf('k', 90) + string("v"));   // LZF key
}

const std::vector<std::string> every_opcode_lines = {
    "header redis 12",
    "aux \"redis-ver\" \"7.4.1\"",
    "aux \"redis-bits\" \"64\"",
    "function \"#!lua name=l\\x0areturn 1\"",
    "function \"" + std::string(99, 'f') + "\"",
    "select_db 9",
    "resize_db 1000 70",
    "key 9 type 0 expire 1700000000123 idle=100 \"idle\" value \"\\x01v\"",
    "key 9 type 0 expire 1700000000000 freq=255 \"freq\" value \"\\x01v\"",
    "key 9 type 0 expire - - \"bare\" value \"\\x01v\"",
    "key 9 type 0 expire - - \"123456\" value \"\\x01v\"",
    "key 9 type 0 expire - - \"" + std::string(90, 'k') + "\" value \"\\x01v\"",
    "end",
};

TEST(RdbReader, ReadsEveryOpcodeWhateverTheSplit) {
  const Bytes bytes = file_with_every_opcode();

  keyferry::test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
    RdbReader reader;
    const Reading reading = decode<test::ExactBuffer>(pieces, reader, [](const Event&) {});
    EXPECT_EQ(reading.lines, every_opcode_lines) << reading.error;
    EXPECT_EQ(reader.module_aux_skipped(), 1U);
  });
}

TEST(RdbReader, SkipsAndCountsKeysWithoutElements) {
  const Bytes expired = raw("\xfc") + test::little_endian(1, 8);
  const Bytes bytes = test::file(10, expired + record(2, "empty", test::length(0)) +
                                         record(0, "full", test::string("v")) +
                                         record(18, "empty too", test::length(0)));
  RdbReader reader;
  const std::vector<ByteView> pieces{bytes};

  const Reading reading = decode<test::ExactBuffer>(pieces, reader, [](const Event&) {});

  EXPECT_EQ(reading.lines,
            (std::vector<std::string>{"header redis 10",
                                      "key 0 type 0 expire - - \"full\" value \"\\x01v\"", "end"}));
  EXPECT_EQ(reader.empty_keys_skipped(), 2U);
}

TEST(RdbReader, LeavesBytesBehindTheSnapshotToItsCaller) {
  const Bytes snapshot = test::file(10, "");

  const Reading reading = decode(snapshot + "*1\r\n$4\r\nPING\r\n");

  EXPECT_TRUE(reading.ended());
  EXPECT_EQ(reading.consumed, snapshot.size());
}

TEST(RdbReader, ReadsTheValkeyMagic) {
  Bytes bytes = "VALKEY080" + record(0, "k", test::string("v")) + raw("\xff");
  bytes += test::little_endian(crc64(0, bytes), 8);

  const Reading reading = decode(bytes);

  EXPECT_EQ(reading.lines.at(0), "header valkey 80");
  EXPECT_TRUE(reading.ended());
}

TEST(RdbReader, EndsWithoutAChecksumBeforeVersion5) {
  const Bytes bytes = test::file(4, record(0, "k", test::string("v")));

  const Reading reading = decode(bytes);

  EXPECT_EQ(reading.lines.back(), "end, no checksum");
  EXPECT_EQ(reading.consumed, bytes.size());
}

TEST(RdbReader, AcceptsAChecksumThatWasNotComputed) {
  Bytes bytes = test::file(10, record(0, "k", test::string("v")));
  bytes.replace(bytes.size() - 8, 8, 8, '\0');

  EXPECT_EQ(decode(bytes).lines.back(), "end, no checksum");
}

// --- waiting

TEST(RdbReader, SaysHowManyBytesALongValueNeeds) {
  const Bytes body = test::magic(10) + record(0, "k", test::length(5'000'000));
  RdbReader reader;
  Event event;
  std::size_t consumed = 0;
  ASSERT_EQ(reader.next(body, event, consumed), RdbReader::Status::event);
  const ByteView rest = ByteView(body).substr(consumed);

  ASSERT_EQ(reader.next(rest, event, consumed), RdbReader::Status::need_more);

  EXPECT_EQ(reader.need_bytes(), rest.size() + 5'000'000);
}

TEST(RdbReader, DoesNotWalkAHugeValueAgain) {
  // Delivered in 60,000 pieces: walking from the value's start at each would step over 3 * 10^10
  // elements and run into the test's time limit.
  constexpr int elements = 1'000'000;
  Bytes value = test::length(elements);
  for (int i = 0; i < elements; ++i)
    value += test::string("hello");
  const Bytes bytes = test::file(10, record(1, "huge", value));
  std::vector<ByteView> pieces;
  for (std::size_t at = 0; at < bytes.size(); at += 100) {
    pieces.push_back(ByteView(bytes).substr(at, 100));
  }

  EXPECT_TRUE(decode<test::SharedBuffer>(pieces).ended());
}

// --- damage

TEST(RdbReader, WaitsAtEveryCut) {
  const Bytes bytes = file_with_every_opcode();

  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Reading reading = decode(ByteView(bytes).substr(0, size));
    EXPECT_EQ(reading.status, RdbReader::Status::need_more) << size << " " << reading.error;
    EXPECT_FALSE(reading.ended());
  }
}

TEST(RdbReader, NeverTakesAFlippedByteForTheSameSnapshot) {
  std::vector<Bytes> files = {file_with_every_opcode()};
  for (const ValueCase& row : value_cases()) {
    if (row.version >= 10)
      files.push_back(test::file(row.version, record(row.type, "k", row.value)));
  }
  for (const Bytes& good : files) {
    const std::vector<std::string> lines = decode(good).lines;
    for (std::size_t at = 0; at < good.size(); ++at) {
      for (const int mask : {0x01, 0x04, 0x40, 0x80, 0xff}) {
        Bytes bytes = good;
        bytes[at] = static_cast<char>(bytes[at] ^ mask);

        const Reading reading = decode(bytes);

        // Only versions below 5, made by flipping the digit in front, have no checksum.
        EXPECT_TRUE(!reading.ended() || reading.lines.at(0) != lines.at(0)) << at << " " << mask;
      }
    }
  }
}

TEST(RdbReader, DetectsAWrongChecksum) {
  Bytes bytes = test::file(10, record(0, "k", test::string("value")));
  bytes[bytes.find("value")] = 'w';

  const Reading reading = decode(bytes);

  EXPECT_EQ(reading.status, RdbReader::Status::error);
  EXPECT_EQ(reading.error,
            "Redis RDB version 10 at offset 19: the checksum is wrong: the snapshot was damaged on "
            "its way");
}

struct BadCase {
  Bytes bytes;
  const char* error;
};

TEST(RdbReader, SaysWhatIsWrongAndWhere) {
  using test::length;
  const Bytes m = test::magic(10);
  const BadCase cases[] = {
      {"HTTP/1.1 200 OK",
       "Redis RDB version 0 at offset 0: this is no RDB snapshot: it starts with neither REDIS nor "
       "VALKEY"},
      {"REDIS00x1", "Redis RDB version 0 at offset 0: the RDB version is no number"},
      {"REDIS0000", "Redis RDB version 0 at offset 0: the RDB version is 0"},
      {m + record(99, "k\n", "?"),
       "Redis RDB version 10 at offset 9: value type 99 of key \"k\\x0a\" is not known to this "
       "version of KeyFerry"},
      {m + record(6, "", ""),
       "Redis RDB version 10 at offset 9: value type 6 of key \"\" is not known to this version "
       "of KeyFerry"},
      {m + raw("\x18") + "\x80",  // type 24 came with RDB 12; its key is cut
       "Redis RDB version 10 at offset 9: value type 24 is not known to this version of KeyFerry"},
      {"VALKEY080" + record(24, "k", ""),
       "Valkey RDB version 80 at offset 9: value type 24 of key \"k\" is not known to this "
       "version of KeyFerry"},
      {m + raw("\xf3"),
       "Redis RDB version 10 at offset 9: opcode 243 is not known to this version of KeyFerry"},
      {"VALKEY080" + raw("\xf4"),
       "Valkey RDB version 80 at offset 9: opcode 244 is not known to this version of KeyFerry"},
      {m + record(1, "k\"", length(2) + test::string("a") + raw("\xff")),
       "Redis RDB version 10 at offset 16: key \"k\\\"\": a string has an unknown encoding"},
      {m + record(2, "k", length((std::uint64_t{1} << 40) + 1)),
       "Redis RDB version 10 at offset 12: key \"k\": a collection has an impossible number of "
       "elements"},
      {m + record(0, "k", length((std::uint64_t{4} << 30) + 1)),
       "Redis RDB version 10 at offset 12: key \"k\": a string has an impossible length"},
      {m + record(18, "k", length(1) + length(3) + test::string("a")),
       "Redis RDB version 10 at offset 13: key \"k\": a list node is of unknown kind"},
      {m + record(19, "k", length(1) + test::string("short id")),
       "Redis RDB version 10 at offset 13: key \"k\": a stream node has no 16-byte ID"},
      {m + record(7, "k", length(1) + length(6)),
       "Redis RDB version 10 at offset 13: key \"k\": a module value has an item of unknown kind"},
      {m + raw("\xfe") + length(std::uint64_t{1} << 31),
       "Redis RDB version 10 at offset 9: a database has an impossible number"},
      {m + raw("\xf4") + length(16384) + length(0) + length(0),
       "Redis RDB version 10 at offset 9: a slot has an impossible number"},
      {"VCS\x01\x01 compressed",
       "Redis RDB version 0 at offset 0: the snapshot is compressed as a whole (Valkey 9.2), which "
       "is not read"},
      {"VALKEY081" + raw("\xf2"),
       "Valkey RDB version 81 at offset 9: opcode 242 is not known to this version of KeyFerry"},
      {"VALKEY081" + record(23, "k", ""),
       "Valkey RDB version 81 at offset 9: value type 23 of key \"k\" is not known to this "
       "version of KeyFerry"},
      {test::magic(14) + raw("\xf2"),
       "Redis RDB version 14 at offset 9: opcode 242 is not known to this version of KeyFerry"},
      {test::magic(15) + raw("\xf2") + length(1) + length(0),
       "Redis RDB version 15 at offset 9: the fields of a hash template are not in order"},
      {test::magic(15) + record(32, "k", length(1)),
       "Redis RDB version 15 at offset 12: key \"k\": a hash refers to a template that the "
       "snapshot does not have"},
  };
  for (const BadCase& row : cases) {
    keyferry::test::for_each_split(row.bytes, [&](const std::vector<ByteView>& pieces) {
      const Reading reading = decode(pieces);
      EXPECT_EQ(reading.status, RdbReader::Status::error);
      // Cut before the key, an unknown type is refused without naming it.
      if (pieces.size() == 1) {
        EXPECT_EQ(reading.error, row.error);
      }
    });
  }
}

TEST(RdbReader, StaysFailed) {
  RdbReader reader;
  Event event;
  std::size_t consumed = 0;
  ASSERT_EQ(reader.next("no snapshot", event, consumed), RdbReader::Status::error);

  EXPECT_EQ(reader.next(test::file(10, ""), event, consumed), RdbReader::Status::error);
  EXPECT_EQ(consumed, 0U);
}

}  // namespace
}  // namespace keyferry::rdb
