// Walks the entries of a packed blob (zipmap, ziplist, intset, listpack): the whole value of a
// small collection, or one node of a list or stream, in one string. Checks everything a server
// checks when it loads with deep sanitising, except duplicates; never reads outside of the blob.
// Keeps positions only, so the blob may lie elsewhere at each call. Knows nothing of RDB around the
// blob.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>

#include "keyferry/base/bytes.hpp"

namespace keyferry::rdb {

struct PackedEntry {
  ByteView text;            // into the blob; only when !is_number
  std::int64_t number = 0;  // stands for its decimal digits
  bool is_number = false;
};

// Room for the digits of a number.
using NumberText = char[24];

// The entry as a string: a view into the blob, or into `digits`.
inline ByteView text_of(const PackedEntry& entry, NumberText& digits) {
  if (!entry.is_number) return entry.text;
  char* end = std::to_chars(digits, digits + sizeof digits, entry.number).ptr;
  return {digits, static_cast<std::size_t>(end - digits)};
}

class PackedReader {
 public:
  enum class Format : std::uint8_t { zipmap, ziplist, intset, listpack };
  enum class Status : std::uint8_t { entry, end, corrupt };

  // Stands before the first entry. False: the blob's frame is wrong (problem()).
  bool open(Format format, ByteView blob);
  // `blob` holds the same bytes as in open().
  Status next(ByteView blob, PackedEntry& entry);
  // Whether no entry is left (the end mark itself is judged by next()).
  bool at_end() const { return at_ >= end_; }
  // After corrupt: what is wrong, a sentence part.
  const char* problem() const { return problem_; }

 private:
  Status fail(const char* problem) {
    problem_ = problem;
    return Status::corrupt;
  }
  Status finish();
  bool open_zipmap(ByteView blob);
  bool open_ziplist(ByteView blob);
  bool open_intset(ByteView blob);
  bool open_listpack(ByteView blob);
  Status next_zipmap(ByteView blob, PackedEntry& entry);
  Status next_ziplist(ByteView blob, PackedEntry& entry);
  Status next_intset(ByteView blob, PackedEntry& entry);
  Status next_listpack(ByteView blob, PackedEntry& entry);
  static std::size_t long_back_length(ByteView behind, std::size_t entry_size);
  static std::size_t wide_listpack_entry(ByteView rest, PackedEntry& entry);
  static std::size_t ziplist_entry(ByteView rest, PackedEntry& entry);

  Format format_ = Format::listpack;
  std::size_t at_ = 0;
  std::size_t end_ = 0;           // of the entries: the end mark
  std::uint64_t count_ = 0;       // entries so far
  std::uint64_t announced_ = 0;   // entries according to the header
  bool is_count_known_ = false;   // the header's field was wide enough for it
  std::size_t previous_ = 0;      // ziplist: size of the entry before
  std::size_t tail_ = 0;          // ziplist: where the last entry is said to begin
  std::size_t width_ = 0;         // intset: bytes per number
  std::int64_t last_number_ = 0;  // intset
  const char* problem_ = "";
};

// In the header because nearly every element of a new snapshot comes through here.
inline PackedReader::Status PackedReader::next_listpack(ByteView blob, PackedEntry& entry) {
  const ByteView rest(blob.data() + at_, end_ - at_);
  const auto first = static_cast<std::uint8_t>(rest.front());
  std::size_t size = 0;
  if (first < 0x80) {  // 7-bit number
    entry.is_number = true;
    entry.number = first;
    size = 1;
  } else if (first < 0xc0) {  // text of up to 63 bytes
    size = 1 + std::size_t{first & 0x3fU};
    if (size > rest.size()) return fail("a listpack entry is damaged");
    entry.is_number = false;
    entry.text = ByteView(rest.data() + 1, size - 1);
  } else {
    size = wide_listpack_entry(rest, entry);
    if (size == 0) return fail("a listpack entry is damaged");
  }
  // Nearly all entries are shorter than 128 bytes: one byte of back length.
  std::size_t back = 0;
  if (size < 128) {
    back = size < rest.size() && static_cast<std::uint8_t>(rest[size]) == size ? 1 : 0;
  } else {
    back = long_back_length(rest.substr(size), size);
  }
  if (back == 0) return fail("a listpack entry is wrong about its own length");
  at_ += size + back;
  ++count_;
  return Status::entry;
}

inline PackedReader::Status PackedReader::next(ByteView blob, PackedEntry& entry) {
  if (at_end()) return finish();
  if (format_ == Format::listpack) return next_listpack(blob, entry);
  if (format_ == Format::ziplist) return next_ziplist(blob, entry);
  return format_ == Format::intset ? next_intset(blob, entry) : next_zipmap(blob, entry);
}

}  // namespace keyferry::rdb
