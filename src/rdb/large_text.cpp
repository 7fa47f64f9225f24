#include "keyferry/rdb/large_text.hpp"

#include <algorithm>

namespace keyferry::rdb {
namespace {

// What stands in front of the text (Redis 7.0 listpack.c, ziplist.c). Listpack: u32 bytes, u16
// entries, 0xf0, u32 length. Ziplist: u32 bytes, u32 offset of the last entry, u16 entries, size of
// the entry before (0), 0x80, u32 length, big endian.
constexpr std::size_t listpack_front = 11;
constexpr std::size_t ziplist_front = 16;
// Behind it: the entry's size (listpack), the end mark.
constexpr std::uint64_t behind_max = 6;

std::uint64_t little_endian(ByteView bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;)
    value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return value;
}

std::uint64_t big_endian_32(ByteView bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return value;
}

// The size of the one text of a node that begins with `front`; 0 when there is something else.
std::uint64_t only_text(ByteView front, PackedReader::Format format) {
  if (format == PackedReader::Format::listpack) {
    const bool is_one = little_endian(front, 4, 2) == 1 && little_endian(front, 6, 1) == 0xf0;
    return is_one ? little_endian(front, 7, 4) : 0;
  }
  const bool is_one = little_endian(front, 8, 2) == 1 && little_endian(front, 10, 2) == 0x8000;
  return is_one ? big_endian_32(front, 12) : 0;
}

std::uint64_t text_size(const Cursor::StringHead& head) {
  return head.kind == Cursor::StringHead::Kind::lzf ? head.full_size : head.size;
}

// The first bytes of a compressed string whose head ends at the cursor; fewer than `wanted` when
// they are not there (the cursor fails) or damaged.
Bytes unpack_front(Cursor& in, ByteView bytes, const Cursor::StringHead& head, std::size_t wanted) {
  LzfStream ahead;
  ahead.start(head.size, head.full_size);
  Bytes front;
  std::size_t taken = 0;
  while (front.size() < wanted) {
    std::size_t used = 0;
    ByteView part;
    const auto status = ahead.next(bytes.substr(in.position() + taken), used, part);
    if (status == LzfStream::Status::need_more) in.skip(taken + ahead.need_bytes());
    if (status != LzfStream::Status::part) break;
    taken += used;
    front += part;
  }
  return front;
}

}  // namespace

bool LargeText::open(Cursor& in, std::size_t limit) {
  if (in.peek() < 0x40) return false;  // short
  Cursor behind = in;
  const Cursor::StringHead head = behind.string_head();
  const std::uint64_t size = text_size(head);
  if (!behind.ok() || size <= limit) return false;
  text_bytes_ = text_left_ = size;
  front_left_ = 0;
  return begin(in, behind, head);
}

bool LargeText::open_node(Cursor& in, ByteView bytes, PackedReader::Format format,
                          std::size_t limit) {
  if (in.peek() < 0x40) return false;
  Cursor behind = in;
  const Cursor::StringHead head = behind.string_head();
  const std::uint64_t size = text_size(head);
  if (!behind.ok() || size <= limit) return false;
  const bool is_listpack = format == PackedReader::Format::listpack;
  const std::size_t front_bytes = is_listpack ? listpack_front : ziplist_front;
  if (size <= front_bytes) return false;
  Cursor ahead = behind;
  const Bytes front = head.kind == Cursor::StringHead::Kind::lzf
                          ? unpack_front(ahead, bytes, head, front_bytes)
                          : Bytes(ahead.raw(front_bytes));
  if (!ahead.ok()) {
    in = ahead;
    return false;
  }
  if (front.size() < front_bytes) return false;  // damaged: whoever reads it whole says so
  const std::uint64_t text = only_text(front, format);
  const bool is_alone = front_bytes + text <= size && size - front_bytes - text <= behind_max;
  if (text <= limit || !is_alone) return false;
  text_bytes_ = text_left_ = text;
  front_left_ = front_bytes;
  return begin(in, behind, head);
}

bool LargeText::begin(Cursor& in, const Cursor& behind_head, const Cursor::StringHead& head) {
  in.return_to(behind_head.position());
  in_lzf_ = head.kind == Cursor::StringHead::Kind::lzf;
  if (in_lzf_) lzf_.start(head.size, head.full_size);
  raw_left_ = head.size;
  is_open_ = true;
  return true;
}

bool LargeText::next(Cursor& in, ByteView bytes, ByteView& part) {
  while (next_piece(in, bytes, part)) {
    in.mark();
    const std::uint64_t front = std::min<std::uint64_t>(front_left_, part.size());
    front_left_ -= front;
    part.remove_prefix(front);
    part = part.substr(0, text_left_);
    text_left_ -= part.size();
    if (!part.empty()) return true;
  }
  return false;
}

bool LargeText::next_piece(Cursor& in, ByteView bytes, ByteView& piece) {
  if (!in_lzf_) {
    is_open_ = raw_left_ > 0;
    if (!is_open_) return false;
    const std::uint64_t there = bytes.size() - in.position();
    piece = in.raw(std::clamp<std::uint64_t>(there, 1, raw_left_));
    raw_left_ -= piece.size();
    return in.ok();
  }
  std::size_t used = 0;
  switch (lzf_.next(bytes.substr(in.position()), used, piece)) {
    case LzfStream::Status::part:
      in.skip(used);
      return true;
    case LzfStream::Status::need_more:
      in.skip(lzf_.need_bytes());
      return false;
    case LzfStream::Status::corrupt:
      in.fail("a compressed string is damaged");
      return false;
    case LzfStream::Status::end:
      is_open_ = false;
      return false;
  }
  return false;
}

}  // namespace keyferry::rdb
