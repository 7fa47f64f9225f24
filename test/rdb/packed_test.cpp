#include "keyferry/rdb/packed.hpp"

#include <gtest/gtest.h>

#include "packed_builder.hpp"

namespace keyferry::rdb {
namespace {

using Format = PackedReader::Format;
using Lines = std::vector<std::string>;
using test::lp_number;
using test::lp_text;
using test::raw;
using test::zl_number;
using test::zl_text;

// The entries, or what is wrong behind those that could be read.
Lines entries(Format format, ByteView blob) {
  PackedReader reader;
  if (!reader.open(format, blob)) return {reader.problem()};
  Lines out;
  PackedEntry entry;
  NumberText digits;
  for (;;) {
    const auto status = reader.next(blob, entry);
    if (status == PackedReader::Status::end) return out;
    if (status == PackedReader::Status::corrupt) {
      out.emplace_back(reader.problem());
      return out;
    }
    out.emplace_back(text_of(entry, digits));
  }
}

Bytes with_byte(Bytes bytes, std::size_t at, int value) {
  bytes.at(at) = static_cast<char>(value);
  return bytes;
}

TEST(PackedReader, ReadsEveryNumberFormOfAListpack) {
  const std::vector<std::int64_t> numbers = {
      0,         127,       128,     -1,         4095,      -4096,     4096,      -4097,
      INT16_MAX, INT16_MIN, 1 << 22, -(1 << 23), INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
  std::vector<Bytes> packed;
  Lines expected;
  for (const std::int64_t number : numbers) {
    packed.push_back(lp_number(number));
    expected.push_back(std::to_string(number));
  }

  EXPECT_EQ(entries(Format::listpack, test::listpack(packed)), expected);
}

TEST(PackedReader, ReadsEveryTextLengthOfAListpack) {
  for (const std::size_t size : std::initializer_list<std::size_t>{
           0, 1, 63, 64, 126, 127, 128, 4095, 4096, 16383, 16384, 3000000}) {
    const std::string text(size, 'x');
    EXPECT_EQ(entries(Format::listpack, test::listpack({lp_text(text), lp_text("y")})),
              (Lines{text, "y"}))
        << size;
  }
}

TEST(PackedReader, ReadsEveryNumberFormOfAZiplist) {
  EXPECT_EQ(entries(Format::ziplist,
                    test::ziplist({zl_number(0xc0, -300, 2), zl_number(0xd0, -70000, 4),
                                   zl_number(0xe0, INT64_MIN, 8), zl_number(0xf0, -8388608, 3),
                                   zl_number(0xfe, -128, 1), zl_number(0xf1, 0, 0),
                                   zl_number(0xfd, 0, 0)})),
            (Lines{"-300", "-70000", "-9223372036854775808", "-8388608", "-128", "0", "12"}));
}

TEST(PackedReader, ReadsEveryTextLengthOfAZiplist) {
  for (const std::size_t size :
       std::initializer_list<std::size_t>{0, 1, 63, 64, 251, 252, 253, 16383, 16384, 3000000}) {
    const std::string text(size, 'x');
    EXPECT_EQ(entries(Format::ziplist, test::ziplist({zl_text(text), zl_text("y")})),
              (Lines{text, "y"}))
        << size;
  }
}

TEST(PackedReader, CountsPastWhatTheHeaderCanSay) {
  const std::vector<Bytes> in_listpack(70'000, lp_number(7));
  const std::vector<Bytes> in_ziplist(70'000, zl_number(0xf8, 0, 0));

  EXPECT_EQ(entries(Format::listpack, test::listpack(in_listpack)), Lines(70'000, "7"));
  EXPECT_EQ(entries(Format::ziplist, test::ziplist(in_ziplist)), Lines(70'000, "7"));
}

TEST(PackedReader, ReadsIntsetsOfEveryWidth) {
  EXPECT_EQ(entries(Format::intset, test::intset(2, {INT16_MIN, 0, INT16_MAX})),
            (Lines{"-32768", "0", "32767"}));
  EXPECT_EQ(entries(Format::intset, test::intset(4, {INT32_MIN, 5})), (Lines{"-2147483648", "5"}));
  EXPECT_EQ(entries(Format::intset, test::intset(8, {INT64_MIN, INT64_MAX})),
            (Lines{"-9223372036854775808", "9223372036854775807"}));
}

TEST(PackedReader, ReadsLongLengthsAndUnusedBytesOfAZipmap) {
  const std::string value(300, 'v');
  const Bytes zipmap = raw("\xfe\x01") + "k" + raw("\xfe") + test::little_endian(300, 4) +
                       raw("\x03") + value + "???" + raw("\xff");

  EXPECT_EQ(entries(Format::zipmap, zipmap), (Lines{"k", value}));
}

TEST(PackedReader, RefusesDamagedListpacks) {
  const Bytes good = test::listpack({lp_text("ab"), lp_number(1000)});
  const Lines frame = {"a packed value has a wrong frame"};
  const Bytes cut = good.substr(0, 6);

  EXPECT_EQ(entries(Format::listpack, ""), frame);
  EXPECT_EQ(entries(Format::listpack, cut), frame);
  EXPECT_EQ(entries(Format::listpack, good + "x"), frame);
  EXPECT_EQ(entries(Format::listpack, with_byte(good, good.size() - 1, 0)), frame);
  EXPECT_EQ(entries(Format::listpack, with_byte(good, 4, 3)),
            (Lines{"ab", "1000", "a packed value does not have as many entries as it says"}));
  EXPECT_EQ(entries(Format::listpack, with_byte(good, 6, 0xbf)),
            (Lines{"a listpack entry is damaged"}));
  EXPECT_EQ(entries(Format::listpack, with_byte(good, 6, 0xff)),
            (Lines{"a listpack entry is damaged"}));
  EXPECT_EQ(entries(Format::listpack, with_byte(good, 9, 4)),
            (Lines{"a listpack entry is wrong about its own length"}));
}

TEST(PackedReader, RefusesDamagedZiplists) {
  const Bytes good = test::ziplist({zl_text("ab"), zl_number(0xc0, 1000, 2)});

  EXPECT_EQ(entries(Format::ziplist, good.substr(0, 10)),
            (Lines{"a packed value has a wrong frame"}));
  EXPECT_EQ(entries(Format::ziplist, with_byte(good, 4, 10)),
            (Lines{"ab", "1000", "a ziplist says its last entry begins elsewhere"}));
  EXPECT_EQ(entries(Format::ziplist, with_byte(good, 8, 1)),
            (Lines{"ab", "1000", "a packed value does not have as many entries as it says"}));
  EXPECT_EQ(entries(Format::ziplist, with_byte(good, 14, 3)),
            (Lines{"ab", "a ziplist entry is wrong about the one before"}));
  EXPECT_EQ(entries(Format::ziplist, with_byte(good, 15, 0x81)),
            (Lines{"ab", "a ziplist entry is damaged"}));
  EXPECT_EQ(entries(Format::ziplist, with_byte(good, 15, 0xe0)),
            (Lines{"ab", "a ziplist entry is damaged"}));
  EXPECT_EQ(entries(Format::ziplist, with_byte(good, 14, 0xff)),
            (Lines{"ab", "a ziplist ends too early"}));
}

TEST(PackedReader, RefusesDamagedIntsets) {
  EXPECT_EQ(entries(Format::intset, test::intset(2, {2, 1})),
            (Lines{"2", "an intset is not in ascending order"}));
  EXPECT_EQ(entries(Format::intset, test::intset(2, {1, 1})),
            (Lines{"1", "an intset is not in ascending order"}));
  EXPECT_EQ(entries(Format::intset, test::intset(3, {1})),
            (Lines{"a packed value has a wrong frame"}));
  EXPECT_EQ(entries(Format::intset, test::intset(4, {1}) + "x"),
            (Lines{"a packed value has a wrong frame"}));
}

TEST(PackedReader, RefusesDamagedZipmaps) {
  EXPECT_EQ(entries(Format::zipmap, raw("\x01\x01") + "k" + raw("\xff")),
            (Lines{"a zipmap has a field without value"}));
  EXPECT_EQ(entries(Format::zipmap, raw("\x01\x01") + "k" + raw("\x09\x00") + "v" + raw("\xff")),
            (Lines{"k", "a zipmap entry is cut"}));
  EXPECT_EQ(entries(Format::zipmap, raw("\x02\x01") + "k" + raw("\x01\x00") + "v" + raw("\xff")),
            (Lines{"k", "v", "a packed value does not have as many entries as it says"}));
}

// Any single damaged byte: never a crash, never a view outside of the blob (ASan watches).
TEST(PackedReader, SurvivesEveryDamagedByte) {
  const std::pair<Format, Bytes> blobs[] = {
      {Format::listpack, test::listpack({lp_text("ab"), lp_number(-9), lp_text(Bytes(200, 'x'))})},
      {Format::ziplist, test::ziplist({zl_text("ab"), zl_number(0xfe, -9, 1),
                                       zl_text(Bytes(300, 'x')), zl_text("end")})},
      {Format::intset, test::intset(4, {1, 2, 3})},
      {Format::zipmap, raw("\x01\x01") + "k" + raw("\x01\x02") + "v??" + raw("\xff")},
  };
  for (const auto& [format, good] : blobs) {
    for (std::size_t at = 0; at < good.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        const Lines got = entries(format, with_byte(good, at, value));
        EXPECT_LE(got.size(), good.size());
      }
    }
  }
}

}  // namespace
}  // namespace keyferry::rdb
