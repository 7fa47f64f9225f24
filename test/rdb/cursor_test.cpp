#include "keyferry/rdb/cursor.hpp"

#include <gtest/gtest.h>

#include "builder.hpp"

namespace keyferry::rdb {
namespace {

using test::raw;

struct LengthCase {
  Bytes bytes;
  std::uint64_t value;
};

const LengthCase lengths[] = {
    {raw("\x00"), 0},
    {raw("\x3f"), 63},
    {raw("\x40\x40"), 64},
    {raw("\x40\x01"), 1},  // longer than needed
    {raw("\x7f\xff"), 16383},
    {raw("\x80\x00\x00\x40\x00"), 16384},
    {raw("\x80\xff\xff\xff\xff"), 0xffffffff},
    {raw("\x81\x00\x00\x00\x01\x00\x00\x00\x00"), std::uint64_t{1} << 32},
    {raw("\x81\xff\xff\xff\xff\xff\xff\xff\xff"), ~std::uint64_t{0}},
};

TEST(Cursor, ReadsLengthsOfEveryForm) {
  for (const LengthCase& row : lengths) {
    Cursor in(row.bytes, 0);

    EXPECT_EQ(in.length(), row.value);

    EXPECT_TRUE(in.ok());
    EXPECT_EQ(in.position(), row.bytes.size());
  }
}

TEST(Cursor, RefusesALengthThatIsNone) {
  for (const Bytes& bytes : {raw("\x82\x00\x00\x00\x00"), raw("\xbf"), raw("\xc0\x01")}) {
    Cursor in(bytes, 0);

    in.length();

    EXPECT_TRUE(in.is_corrupt());
  }
}

struct StringCase {
  Bytes bytes;
  Bytes text;
};

const StringCase strings[] = {
    {raw("\x00"), ""},
    {raw("\x03") + "abc", "abc"},
    {test::string(Bytes(70, 'x')), Bytes(70, 'x')},
    {raw("\x80\x00\x00\x00\x02hi"), "hi"},
    {test::int8(-128), "-128"},
    {test::int8(127), "127"},
    {test::int16(-32768), "-32768"},
    {test::int16(12345), "12345"},
    {test::int32(-2147483647 - 1), "-2147483648"},
    {test::int32(2147483647), "2147483647"},
    {test::lzf('z', 200), Bytes(200, 'z')},
};

TEST(Cursor, ReadsStringsOfEveryEncoding) {
  for (const StringCase& row : strings) {
    Bytes scratch = "left over";
    Cursor in(row.bytes, 0);

    EXPECT_EQ(in.string(scratch), row.text);

    EXPECT_TRUE(in.ok());
    EXPECT_EQ(in.position(), row.bytes.size());
  }
}

TEST(Cursor, SkipsWhatItWouldRead) {
  for (const StringCase& row : strings) {
    Cursor in(row.bytes, 0);

    in.skip_string();

    EXPECT_TRUE(in.ok());
    EXPECT_EQ(in.position(), row.bytes.size());
  }
}

TEST(Cursor, ComesBackToItsMarkWhenAStringIsCut) {
  for (const StringCase& row : strings) {
    const Bytes bytes = "mm" + row.bytes;
    for (std::size_t size = 2; size < bytes.size(); ++size) {
      for (const bool skips : {true, false}) {
        const Bytes cut = bytes.substr(0, size);  // its own buffer, so that ASan sees its end
        Bytes scratch;
        Cursor in(cut, 0);
        in.skip(2);
        in.mark();

        if (skips) {
          in.skip_string();
        } else {
          in.string(scratch);
        }

        EXPECT_TRUE(in.is_short());
        EXPECT_EQ(in.position(), 2U);
        EXPECT_GT(in.need_bytes(), size);
        EXPECT_LE(in.need_bytes(), bytes.size());
      }
    }
  }
}

TEST(Cursor, NeedsExactlyTheStringOnceItsLengthIsKnown) {
  const Bytes head = test::length(1'000'000);
  Cursor in(head, 0);

  in.skip_string();

  EXPECT_EQ(in.need_bytes(), head.size() + 1'000'000);
}

TEST(Cursor, StaysFailed) {
  const Bytes bytes = raw("\xff\x01\x01");
  Cursor in(bytes, 0);

  in.length();
  in.skip(1);
  in.byte();

  EXPECT_TRUE(in.is_corrupt());
  EXPECT_EQ(in.position(), 0U);
  EXPECT_STREQ(in.problem(), "a length was expected");
}

TEST(Cursor, RefusesImpossibleSizes) {
  const Bytes cases[] = {
      test::length((std::uint64_t{4} << 30) + 1),                            // plain
      raw("\xc3") + test::length(5) + test::length(10'000) + "12345",        // LZF cannot gain that
      raw("\xc3") + test::length(std::uint64_t{5} << 30) + test::length(1),  // compressed size
      raw("\xc4"),                                                           // unknown encoding
  };
  for (const Bytes& bytes : cases) {
    Cursor in(bytes, 0);

    in.skip_string();

    EXPECT_TRUE(in.is_corrupt());
  }
}

TEST(Cursor, RefusesADamagedLzfString) {
  Bytes bytes = test::lzf('z', 200);
  bytes[2] = static_cast<char>(bytes[2] + 1);  // 14-bit length of 200: one high bit more
  Bytes scratch;
  Cursor in(bytes, 0);

  in.string(scratch);

  EXPECT_TRUE(in.is_corrupt());
}

TEST(Cursor, ReadsLittleEndianNumbers) {
  const Bytes bytes = raw("\xfe\xff\xff\xff\x01\x02\x03\x04\x05\x06\x07\x08");
  Cursor in(bytes, 0);

  EXPECT_EQ(in.number<std::int32_t>(), -2);
  EXPECT_EQ(in.number<std::uint64_t>(), 0x0807060504030201U);
}

}  // namespace
}  // namespace keyferry::rdb
