#include "keyferry/rdb/cursor.hpp"

#include <algorithm>
#include <charconv>

#include "keyferry/base/checksum.hpp"

namespace keyferry::rdb {
namespace {

constexpr std::uint8_t low_six_bits = 0x3f;
constexpr std::uint8_t special_bits = 0xc0;
// Three bytes of LZF make at most 264.
constexpr std::uint64_t max_lzf_gain = 88;

}  // namespace

const char* const Cursor::too_large = "it holds a text that is larger than may be held";

void Cursor::fail(const char* problem) {
  if (!ok()) return;
  state_ = State::corrupt;
  problem_ = problem;
  position_ = mark_;
  bytes_ = bytes_.substr(0, position_);
}

void Cursor::run_short(std::size_t size) {
  if (!ok()) return;
  state_ = State::short_read;
  need_ = position_ + size;
  position_ = mark_;
  bytes_ = bytes_.substr(0, position_);
}

// 01xxxxxx: 14 bits big endian; 0x80: 32 bits; 0x81: 64 bits. Forms longer than needed are legal.
std::uint64_t Cursor::wide_length() {
  const std::uint8_t first = at(position_);
  if ((first & special_bits) == 0x40) {
    if (!has(2)) return 0;
    position_ += 2;
    return (std::uint64_t{first} & low_six_bits) << 8 | at(position_ - 1);
  }
  if (first != length_32bit && first != length_64bit) {
    fail("a length was expected");
    return 0;
  }
  const std::size_t size = first == length_32bit ? 4 : 8;
  if (!has(1 + size)) return 0;
  std::uint64_t value = 0;
  for (std::size_t i = 1; i <= size; ++i)
    value = (value << 8) | at(position_ + i);
  position_ += 1 + size;
  return value;
}

std::uint64_t Cursor::count() {
  const std::uint64_t value = length();
  if (value > max_elements) fail("a collection has an impossible number of elements");
  return ok() ? value : 0;
}

Cursor::StringHead Cursor::string_head() {
  StringHead head;
  const std::uint8_t first = peek();
  if ((first & special_bits) == special_bits) return special_head(first & low_six_bits);
  const std::uint64_t size = length();
  if (size > max_string_bytes) fail("a string has an impossible length");
  if (ok()) head.size = size;
  return head;
}

Cursor::StringHead Cursor::special_head(std::uint8_t encoding) {
  StringHead head;
  if (encoding <= string_encoding::int32) {
    skip(1);
    head.kind = StringHead::Kind::integer;
    head.size = std::size_t{1} << encoding;
    return head;
  }
  if (encoding != string_encoding::lzf) {
    fail("a string has an unknown encoding");
    return head;
  }
  skip(1);
  const std::uint64_t size = length();
  const std::uint64_t full_size = length();
  if (size > max_string_bytes || full_size > max_string_bytes || full_size / max_lzf_gain > size) {
    fail("a compressed string has an impossible length");
  }
  if (!ok()) return head;
  head.kind = StringHead::Kind::lzf;
  head.size = size;
  head.full_size = full_size;
  return head;
}

ByteView Cursor::string(Bytes& scratch) {
  // Nearly every string is shorter than 64 bytes and plain.
  if (!has(1)) return {};
  const std::uint8_t first = at(position_);
  if (first < 0x40) {
    ++position_;
    return raw(first);
  }
  return string_body(string_head(), scratch);
}

ByteView Cursor::string_body(StringHead head, Bytes& scratch) {
  if (head.kind == StringHead::Kind::integer) {
    const auto value = head.size == 1   ? std::int64_t{number<std::int8_t>()}
                       : head.size == 2 ? std::int64_t{number<std::int16_t>()}
                                        : std::int64_t{number<std::int32_t>()};
    char text[16];
    char* end = std::to_chars(text, text + sizeof text, value).ptr;
    scratch.assign(text, end);
    return scratch;
  }
  if (std::max(head.size, head.full_size) > text_max_bytes_) {
    fail(too_large);
    return {};
  }
  const ByteView bytes = raw(head.size);
  if (head.kind == StringHead::Kind::plain || !ok()) return bytes;
  if (!lzf_decompress(bytes, head.full_size, scratch)) {
    fail("a compressed string is damaged");
    return {};
  }
  return scratch;
}

}  // namespace keyferry::rdb
