#include "keyferry/rdb/packed.hpp"

namespace keyferry::rdb {
namespace {

// Headers: ziplist u32 bytes, u32 offset of the last entry, u16 entries; listpack u32 bytes, u16
// entries; intset u32 width, u32 numbers (Redis 7.0 ziplist.c, listpack.c, intset.c).
constexpr std::size_t ziplist_header = 10;
constexpr std::size_t listpack_header = 6;
constexpr std::size_t intset_header = 8;
constexpr std::uint8_t end_mark = 0xff;
constexpr std::uint64_t unknown_count = 0xffff;
// Zipmap: lengths from here on are not lengths; a count from here on is not kept (Redis 2.4
// zipmap.c).
constexpr std::uint8_t zipmap_wide = 254;

std::uint8_t byte_at(ByteView bytes, std::size_t index) {
  return static_cast<std::uint8_t>(bytes[index]);
}

std::uint64_t little_endian(ByteView bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;)
    value = value << 8 | byte_at(bytes, at + i);
  return value;
}

std::int64_t signed_little_endian(ByteView bytes, std::size_t at, std::size_t size) {
  const std::size_t unused_bits = 64 - 8 * size;
  return static_cast<std::int64_t>(little_endian(bytes, at, size) << unused_bits) >> unused_bits;
}

std::size_t put_number(PackedEntry& entry, std::int64_t number, std::size_t size) {
  entry.is_number = true;
  entry.number = number;
  return size;
}

// `size` bytes behind `header`; 0 when they are not all there.
std::size_t put_text(PackedEntry& entry, ByteView rest, std::size_t header, std::size_t size) {
  if (header > rest.size() || size > rest.size() - header) return 0;
  entry.is_number = false;
  entry.text = rest.substr(header, size);
  return header + size;
}

std::size_t put_little_endian(PackedEntry& entry, ByteView rest, std::size_t size) {
  if (rest.size() <= size) return 0;
  return put_number(entry, signed_little_endian(rest, 1, size), 1 + size);
}

// Behind each listpack entry stands its size, so that it can be walked backwards: 7 bits per byte,
// highest first, bit 7 set in all but the first byte (Redis 5.0 listpack.c lpEncodeBacklen).
// Returns how many bytes it takes; 0 when it is not there or says something else.
std::size_t check_back_length(ByteView behind, std::size_t entry_size) {
  std::size_t size = 1;
  for (std::size_t rest = entry_size >> 7; rest > 0; rest >>= 7)
    ++size;
  if (behind.size() < size) return 0;
  for (std::size_t i = 0; i < size; ++i) {
    const auto bits = static_cast<std::uint8_t>(entry_size >> (7 * (size - 1 - i)) & 0x7f);
    if (byte_at(behind, i) != (i == 0 ? bits : bits | 0x80)) return 0;
  }
  return size;
}

}  // namespace

bool PackedReader::open(Format format, ByteView blob) {
  format_ = format;
  count_ = 0;
  previous_ = 0;
  tail_ = 0;
  problem_ = "a packed value has a wrong frame";
  switch (format) {
    case Format::zipmap:
      return open_zipmap(blob);
    case Format::ziplist:
      return open_ziplist(blob);
    case Format::intset:
      return open_intset(blob);
    case Format::listpack:
      return open_listpack(blob);
  }
  return false;
}

PackedReader::Status PackedReader::finish() {
  if (is_count_known_ && count_ != announced_) {
    return fail("a packed value does not have as many entries as it says");
  }
  if (format_ == Format::ziplist && count_ > 0 && tail_ != end_ - previous_) {
    return fail("a ziplist says its last entry begins elsewhere");
  }
  return Status::end;
}

bool PackedReader::open_zipmap(ByteView blob) {
  if (blob.size() < 2 || byte_at(blob, blob.size() - 1) != end_mark) return false;
  announced_ = std::uint64_t{byte_at(blob, 0)} * 2;
  is_count_known_ = byte_at(blob, 0) < zipmap_wide;
  at_ = 1;
  end_ = blob.size() - 1;
  return true;
}

bool PackedReader::open_ziplist(ByteView blob) {
  if (blob.size() <= ziplist_header || little_endian(blob, 0, 4) != blob.size() ||
      byte_at(blob, blob.size() - 1) != end_mark) {
    return false;
  }
  tail_ = little_endian(blob, 4, 4);
  announced_ = little_endian(blob, 8, 2);
  is_count_known_ = announced_ != unknown_count;
  at_ = ziplist_header;
  end_ = blob.size() - 1;
  return true;
}

bool PackedReader::open_intset(ByteView blob) {
  if (blob.size() < intset_header) return false;
  width_ = little_endian(blob, 0, 4);
  announced_ = little_endian(blob, 4, 4);
  is_count_known_ = true;
  at_ = intset_header;
  end_ = blob.size();
  return (width_ == 2 || width_ == 4 || width_ == 8) && announced_ * width_ == end_ - at_;
}

bool PackedReader::open_listpack(ByteView blob) {
  if (blob.size() <= listpack_header || little_endian(blob, 0, 4) != blob.size() ||
      byte_at(blob, blob.size() - 1) != end_mark) {
    return false;
  }
  announced_ = little_endian(blob, 4, 2);
  is_count_known_ = announced_ != unknown_count;
  at_ = listpack_header;
  end_ = blob.size() - 1;
  return true;
}

// length, key, length, unused bytes, value, as many junk bytes as were unused; a length is one
// byte, or 254 and four (Redis 2.4 zipmap.c).
PackedReader::Status PackedReader::next_zipmap(ByteView blob, PackedEntry& entry) {
  const ByteView rest = blob.substr(at_, end_ - at_);
  const bool is_value = count_ % 2 == 1;
  std::uint64_t size = byte_at(rest, 0);
  std::size_t header = 1;
  if (size > zipmap_wide) return fail("a zipmap has a wrong length");
  if (size == zipmap_wide) {
    if (rest.size() < 5) return fail("a zipmap has a wrong length");
    size = little_endian(rest, 1, 4);
    header = 5;
  }
  std::size_t unused = 0;
  if (is_value) {
    if (rest.size() <= header) return fail("a zipmap is cut");
    unused = byte_at(rest, header++);
  }
  const std::size_t whole = put_text(entry, rest, header, size);
  if (whole == 0 || unused > rest.size() - whole) return fail("a zipmap entry is cut");
  at_ += whole + unused;
  ++count_;
  if (at_end() && !is_value) return fail("a zipmap has a field without value");
  return Status::entry;
}

PackedReader::Status PackedReader::next_ziplist(ByteView blob, PackedEntry& entry) {
  const ByteView rest = blob.substr(at_, end_ - at_);
  std::size_t previous = byte_at(rest, 0);
  std::size_t header = 1;
  if (previous > 254) return fail("a ziplist ends too early");
  if (previous == 254) {
    if (rest.size() < 5) return fail("a ziplist entry is cut");
    previous = little_endian(rest, 1, 4);
    header = 5;
  }
  if (previous != previous_) return fail("a ziplist entry is wrong about the one before");
  const std::size_t size = ziplist_entry(rest.substr(header), entry);
  if (size == 0) return fail("a ziplist entry is damaged");
  previous_ = header + size;
  at_ += previous_;
  ++count_;
  return Status::entry;
}

// Size of the entry behind its previous length; 0 when it cannot be right (Redis 7.0 ziplist.c
// ZIP_STR_*, ZIP_INT_*).
std::size_t PackedReader::ziplist_entry(ByteView rest, PackedEntry& entry) {
  if (rest.empty()) return 0;
  const std::uint8_t first = byte_at(rest, 0);
  if (first < 0x40) return put_text(entry, rest, 1, first);
  if (first < 0x80) {
    if (rest.size() < 2) return 0;
    return put_text(entry, rest, 2, std::size_t{first & 0x3fU} << 8 | byte_at(rest, 1));
  }
  switch (first) {
    case 0x80: {
      if (rest.size() < 5) return 0;
      std::size_t size = 0;
      for (std::size_t i = 1; i <= 4; ++i)
        size = size << 8 | byte_at(rest, i);
      return put_text(entry, rest, 5, size);
    }
    case 0xc0:
      return put_little_endian(entry, rest, 2);
    case 0xd0:
      return put_little_endian(entry, rest, 4);
    case 0xe0:
      return put_little_endian(entry, rest, 8);
    case 0xf0:
      return put_little_endian(entry, rest, 3);
    case 0xfe:
      return put_little_endian(entry, rest, 1);
    default:
      return first > 0xf0 && first < 0xfe ? put_number(entry, first - 0xf1, 1) : 0;
  }
}

PackedReader::Status PackedReader::next_intset(ByteView blob, PackedEntry& entry) {
  const std::int64_t number = signed_little_endian(blob, at_, width_);
  if (count_ > 0 && number <= last_number_) return fail("an intset is not in ascending order");
  last_number_ = number;
  put_number(entry, number, width_);
  at_ += width_;
  ++count_;
  return Status::entry;
}

std::size_t PackedReader::long_back_length(ByteView behind, std::size_t entry_size) {
  return check_back_length(behind, entry_size);
}

// Entries whose first byte is 0xc0 or more; 0 when the entry cannot be right (Redis 5.0 listpack.c
// LP_ENCODING_*).
std::size_t PackedReader::wide_listpack_entry(ByteView rest, PackedEntry& entry) {
  const std::uint8_t first = byte_at(rest, 0);
  if (first < 0xf0) {
    if (rest.size() < 2) return 0;
    const std::uint8_t second = byte_at(rest, 1);
    if (first >= 0xe0) return put_text(entry, rest, 2, std::size_t{first & 0x0fU} << 8 | second);
    const std::int64_t number = (first & 0x1f) << 8 | second;
    return put_number(entry, number < 4096 ? number : number - 8192, 2);
  }
  switch (first) {
    case 0xf0:
      return rest.size() < 5 ? 0 : put_text(entry, rest, 5, little_endian(rest, 1, 4));
    case 0xf1:
      return put_little_endian(entry, rest, 2);
    case 0xf2:
      return put_little_endian(entry, rest, 3);
    case 0xf3:
      return put_little_endian(entry, rest, 4);
    case 0xf4:
      return put_little_endian(entry, rest, 8);
    default:
      return 0;
  }
}

}  // namespace keyferry::rdb
