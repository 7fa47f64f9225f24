#include "keyferry/rdb/lzf_stream.hpp"

#include <algorithm>
#include <cstdint>

namespace keyferry::rdb {
namespace {

// A back reference reaches at most 13 bits back (liblzf lzf_c.c MAX_OFF).
constexpr std::size_t history_size = 8192;
constexpr std::size_t part_size = std::size_t{64} * 1024;
// What one token makes at most: a copy of 2 + 7 + 255 bytes.
constexpr std::size_t max_token_output = 264;
// Control bytes below this are literal runs.
constexpr std::uint8_t first_copy = 32;

std::uint8_t byte_at(ByteView bytes, std::size_t index) {
  return static_cast<std::uint8_t>(bytes[index]);
}

}  // namespace

void LzfStream::start(std::size_t size, std::size_t full_size) {
  buffer_.resize(history_size + part_size + max_token_output);
  filled_ = begin_ = 0;
  in_left_ = size;
  out_left_ = full_size;
  is_corrupt_ = false;
}

LzfStream::Status LzfStream::next(ByteView in, std::size_t& used, ByteView& out) {
  used = 0;
  slide();
  const std::size_t enough = begin_ + part_size;
  while (in_left_ > 0 && filled_ < enough) {
    const std::size_t taken = take_token(in.substr(used, in_left_));
    if (taken == 0) break;
    used += taken;
    in_left_ -= taken;
  }
  // What came before the damage is given out first: the same parts whatever the pieces.
  if (filled_ > begin_) {
    out = ByteView(buffer_).substr(begin_, filled_ - begin_);
    return Status::part;
  }
  if (is_corrupt_ || (in_left_ == 0 && out_left_ > 0)) return Status::corrupt;
  if (in_left_ == 0) return Status::end;
  return Status::need_more;
}

// Keeps the history in front of the next part.
void LzfStream::slide() {
  const std::size_t kept = std::min(filled_, history_size);
  std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(filled_ - kept),
            buffer_.begin() + static_cast<std::ptrdiff_t>(filled_), buffer_.begin());
  filled_ = begin_ = kept;
}

std::size_t LzfStream::take_token(ByteView in) {
  need_bytes_ = 1;
  if (in.empty()) return 0;
  const std::uint8_t control = byte_at(in, 0);
  return control < first_copy ? take_literals(in, std::size_t{control} + 1) : take_copy(in);
}

std::size_t LzfStream::take_literals(ByteView in, std::size_t size) {
  is_corrupt_ = size > out_left_ || 1 + size > in_left_;
  need_bytes_ = 1 + size;
  if (is_corrupt_ || in.size() < need_bytes_) return 0;
  std::copy_n(in.begin() + 1, size, buffer_.begin() + static_cast<std::ptrdiff_t>(filled_));
  filled_ += size;
  out_left_ -= size;
  return need_bytes_;
}

std::size_t LzfStream::take_copy(ByteView in) {
  const std::uint8_t control = byte_at(in, 0);
  const bool is_long = control >> 5 == 7;
  need_bytes_ = is_long ? 3 : 2;
  is_corrupt_ = need_bytes_ > in_left_;
  if (is_corrupt_ || in.size() < need_bytes_) return 0;
  const std::size_t size = std::size_t{2} + (control >> 5) + (is_long ? byte_at(in, 1) : 0U);
  const std::size_t distance =
      (std::size_t{control & 0x1fU} << 8 | byte_at(in, need_bytes_ - 1)) + 1;
  is_corrupt_ = distance > filled_ || size > out_left_;
  if (is_corrupt_) return 0;
  // Source and destination may overlap: byte by byte, in this order.
  for (std::size_t i = 0; i < size; ++i, ++filled_)
    buffer_[filled_] = buffer_[filled_ - distance];
  out_left_ -= size;
  return need_bytes_;
}

}  // namespace keyferry::rdb
