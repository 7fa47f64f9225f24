#include "keyferry/base/compression.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

Bytes some_text(std::size_t size) {
  std::minstd_rand random(7);
  Bytes out;
  while (out.size() < size)
    out += std::to_string(random() % 1000) + (random() % 7 == 0 ? Bytes(50, 'x') : " ");
  out.resize(size);
  return out;
}

Bytes compressed(Compression kind, ByteView text) {
  Compressor compressor(kind);
  Bytes out;
  compressor.write(text.substr(0, text.size() / 3), out);
  compressor.flush(out);
  compressor.write(text.substr(text.size() / 3), out);
  compressor.finish(out);
  return out;
}

struct Decompressed {
  Bytes text;
  std::string problem;
  bool may_end = false;
};

// Input in pieces of `in_size`, output in pieces of `out_size`.
Decompressed decompressed(Compression kind, ByteView bytes, std::size_t in_size,
                          std::size_t out_size) {
  Decompressor decompressor(kind);
  Decompressed out;
  Bytes buffer(out_size, '\0');
  while (!bytes.empty() && decompressor.problem().empty()) {
    ByteView piece = bytes.substr(0, in_size);
    bytes.remove_prefix(piece.size());
    while (const std::size_t n = decompressor.read(piece, buffer.data(), buffer.size()))
      out.text.append(buffer, 0, n);
  }
  out.problem = decompressor.problem();
  out.may_end = decompressor.may_end();
  return out;
}

class Compressed : public testing::TestWithParam<Compression> {};

TEST_P(Compressed, IsReadBackInPiecesOfAnySize) {
  const Bytes text = some_text(300000);
  const Bytes bytes = compressed(GetParam(), text);

  for (const std::size_t in : {std::size_t{1}, std::size_t{1000}, bytes.size()}) {
    for (const std::size_t out : {std::size_t{17}, std::size_t{65536}}) {
      const Decompressed back = decompressed(GetParam(), bytes, in, out);
      EXPECT_TRUE(back.text == text) << in << " " << out << " " << back.problem;
      EXPECT_TRUE(back.may_end);
    }
  }
}

TEST_P(Compressed, StreamsBehindEachOtherAreOne) {
  const Bytes bytes = compressed(GetParam(), "first ") + compressed(GetParam(), "second");

  const Decompressed back = decompressed(GetParam(), bytes, 5, 100);

  EXPECT_EQ(back.text, "first second");
  EXPECT_TRUE(back.may_end);
}

TEST_P(Compressed, FlushedPartIsReadableAndTheCutIsSeen) {
  Compressor compressor(GetParam());
  Bytes bytes;
  compressor.write("what was synced", bytes);
  compressor.flush(bytes);

  const Decompressed back = decompressed(GetParam(), bytes, 1000, 1000);

  EXPECT_EQ(back.text, "what was synced");
  EXPECT_EQ(back.problem, "");
  EXPECT_FALSE(back.may_end);
}

TEST_P(Compressed, DamageIsSeen) {
  const Bytes text = some_text(20000);
  Bytes bytes = compressed(GetParam(), text);
  bytes[bytes.size() / 2] ^= 0x55;

  const Decompressed back = decompressed(GetParam(), bytes, 1000, 1000);

  EXPECT_NE(back.problem, "");
}

TEST_P(Compressed, IsKnownByItsFirstBytes) {
  EXPECT_EQ(compression_of(compressed(GetParam(), "x")), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Kind, Compressed, testing::Values(Compression::gzip, Compression::zstd),
                         [](const auto& one) {
                           return std::string(one.param == Compression::gzip ? "gzip" : "zstd");
                         });

TEST(Compression, IsNamedByTheEndOfAName) {
  EXPECT_EQ(compression_by_name("a.rdb.gz"), Compression::gzip);
  EXPECT_EQ(compression_by_name("a.zst"), Compression::zstd);
  EXPECT_EQ(compression_by_name("gz"), Compression::none);
  EXPECT_EQ(without_compression("a.rdb.gz"), "a.rdb");
  EXPECT_EQ(without_compression("a.rdb"), "a.rdb");
  EXPECT_EQ(compression_of("REDIS0011"), Compression::none);
}

}  // namespace
}  // namespace keyferry
