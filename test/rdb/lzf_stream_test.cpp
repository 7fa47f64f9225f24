#include "keyferry/rdb/lzf_stream.hpp"

#include <random>

#include <gtest/gtest.h>

#include "builder.hpp"
#include "support/split.hpp"

namespace keyferry::rdb {
namespace {

using test::raw;
using Status = LzfStream::Status;

struct Decoded {
  Status status = Status::need_more;
  Bytes text;
};

// Keeps what was not taken in front of the next piece, as the reader's caller does.
Decoded decode(const std::vector<ByteView>& pieces, std::size_t size, std::size_t full_size) {
  LzfStream stream;
  stream.start(size, full_size);
  Decoded out;
  Bytes unread;
  for (const ByteView piece : pieces) {
    unread += piece;
    for (;;) {
      std::size_t used = 0;
      ByteView part;
      out.status = stream.next(unread, used, part);
      if (out.status == Status::need_more) {
        EXPECT_GT(stream.need_bytes(), unread.size());
      }
      if (out.status == Status::end || out.status == Status::corrupt) return out;
      if (out.status == Status::need_more) break;
      out.text += part;
      unread.erase(0, used);
    }
  }
  return out;
}

// A blob of random tokens, and what it makes.
struct Blob {
  Bytes bytes;
  Bytes text;
};

Blob random_blob(unsigned seed, std::size_t size) {
  std::mt19937 random(seed);
  Blob out;
  while (out.text.size() < size) {
    if (out.text.empty() || random() % 2 == 0) {
      Bytes run(1 + random() % 32, '\0');
      for (char& c : run)
        c = static_cast<char>(random());
      out.bytes += static_cast<char>(run.size() - 1);
      out.bytes += run;
      out.text += run;
      continue;
    }
    const std::size_t distance = 1 + random() % std::min<std::size_t>(out.text.size(), 8192);
    const std::size_t copied = 3 + random() % 262;
    const std::size_t code = copied - 2;
    out.bytes += static_cast<char>((std::min<std::size_t>(code, 7) << 5) | ((distance - 1) >> 8));
    if (code >= 7) out.bytes += static_cast<char>(code - 7);
    out.bytes += static_cast<char>(distance - 1);
    for (std::size_t i = 0; i < copied; ++i)
      out.text += out.text[out.text.size() - distance];
  }
  return out;
}

TEST(LzfStream, MakesWhatTheLibraryMakesWhateverTheSplit) {
  const Blob blob = random_blob(1, 3000);
  Bytes whole;
  ASSERT_TRUE(lzf_decompress(blob.bytes, blob.text.size(), whole));
  ASSERT_EQ(whole, blob.text);

  keyferry::test::for_each_split(blob.bytes, [&](const std::vector<ByteView>& pieces) {
    const Decoded got = decode(pieces, blob.bytes.size(), blob.text.size());
    EXPECT_EQ(got.status, Status::end);
    EXPECT_EQ(got.text, blob.text);
  });
}

TEST(LzfStream, ReachesBackOverManyParts) {
  const Blob blob = random_blob(2, 1'000'000);
  std::vector<ByteView> pieces;
  for (std::size_t at = 0; at < blob.bytes.size(); at += 777)
    pieces.push_back(ByteView(blob.bytes).substr(at, 777));

  const Decoded got = decode(pieces, blob.bytes.size(), blob.text.size());

  EXPECT_EQ(got.status, Status::end);
  EXPECT_TRUE(got.text == blob.text);
}

TEST(LzfStream, LeavesBytesBehindTheBlobAlone) {
  const Bytes blob = raw("\x01") + "ab";

  const Decoded got = decode({blob + "next"}, blob.size(), 2);

  EXPECT_EQ(got.status, Status::end);
  EXPECT_EQ(got.text, "ab");
}

TEST(LzfStream, RefusesDamage) {
  const struct {
    Bytes blob;
    std::size_t full_size;
    const char* why;
  } rows[] = {
      {raw("\x01") + "a", 2, "a literal run is cut"},
      {raw("\x00") + "a" + raw("\x20\x01"), 4, "a copy from before the start"},
      {raw("\x00") + "a" + raw("\x20"), 4, "a copy is cut"},
      {raw("\x00") + "a" + raw("\xe0\x01"), 12, "a long copy is cut"},
      {raw("\x01") + "ab", 1, "more than was said"},
      {raw("\x01") + "ab", 3, "less than was said"},
      {raw("\x00") + "a" + raw("\x20\x00"), 3, "a copy makes more than was said"},
  };
  for (const auto& row : rows) {
    keyferry::test::for_each_split(row.blob + "next", [&](const std::vector<ByteView>& pieces) {
      EXPECT_EQ(decode(pieces, row.blob.size(), row.full_size).status, Status::corrupt) << row.why;
    });
  }
}

}  // namespace
}  // namespace keyferry::rdb
