#include "keyferry/base/checksum.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

const Bytes sample = "123456789";

TEST(Checksum, Crc16IsTheOneOfTheClusterSpecification) {
  EXPECT_EQ(crc16(sample), 0x31c3);
  EXPECT_EQ(crc16(""), 0);
  // CLUSTER KEYSLOT foo on Redis 7.0.15 answers 12182.
  EXPECT_EQ(crc16("foo") % 16384, 12182);
  EXPECT_EQ(crc16("\xff\xfe\x80"), 0x6e25);
}

TEST(Checksum, Crc64IsTheOneOfRedis) {
  EXPECT_EQ(crc64(0, sample), 0xe9c6d914c4b8d9caU);
  EXPECT_EQ(crc64(0, ""), 0U);
}

TEST(Checksum, Crc64ContinuesFromItsSeedAtEveryCut) {
  Bytes bytes;
  for (int i = 0; i < 700; ++i)
    bytes += static_cast<char>(i * 37);
  const std::uint64_t whole = crc64(0, bytes);

  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const ByteView view = bytes;
    EXPECT_EQ(crc64(crc64(0, view.substr(0, cut)), view.substr(cut)), whole) << "cut at " << cut;
  }
}

// "aaaa...": literal 'a', then a copy of 2 + 7 + 20 bytes from distance 1.
const Bytes thirty_a("\x00\x61\xe0\x14\x00", 5);

TEST(Lzf, DecompressesOverlappingCopies) {
  Bytes out = "left over";

  EXPECT_TRUE(lzf_decompress(thirty_a, 30, out));

  EXPECT_EQ(out, Bytes(30, 'a'));
}

TEST(Lzf, RefusesWhenTheSizeIsNotExact) {
  Bytes out;

  EXPECT_FALSE(lzf_decompress(thirty_a, 29, out));
  EXPECT_FALSE(lzf_decompress(thirty_a, 31, out));
  EXPECT_FALSE(lzf_decompress(thirty_a, 0, out));
}

TEST(Lzf, RefusesDamagedBlobs) {
  Bytes out;

  EXPECT_FALSE(lzf_decompress("", 1, out));
  EXPECT_FALSE(lzf_decompress(thirty_a.substr(0, 4), 30, out)) << "cut";
  EXPECT_FALSE(lzf_decompress(ByteView("\xe0\x14\x00", 3), 29, out))
      << "copy from before the start";
}

TEST(Lzf, AllocatesNothingForAnImpossibleSize) {
  Bytes out;

  EXPECT_FALSE(lzf_decompress(thirty_a, std::size_t{1} << 40, out));
  EXPECT_FALSE(lzf_decompress(thirty_a, 10'000, out));

  EXPECT_LT(out.capacity(), 1000U);
}

}  // namespace
}  // namespace keyferry
