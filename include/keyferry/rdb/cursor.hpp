// Pull cursor over a piece of an RDB file: lengths, numbers and strings in their RDB encodings.
// Used by the walker and the reader; knows nothing of opcodes or value types. Failure is sticky:
// once the bytes ran out or cannot be right, every read returns 0 or nothing and the cursor stands
// at its last mark() again, so whoever reads on later starts from there.
#pragma once

#include <cstddef>
#include <cstdint>

#include "keyferry/base/bytes.hpp"
#include "keyferry/rdb/format.hpp"

namespace keyferry::rdb {

class Cursor {
 public:
  // How a string goes on behind its first bytes: `size` bytes that stand for `full_size` bytes when
  // LZF.
  struct StringHead {
    enum class Kind : std::uint8_t { plain, integer, lzf };
    Kind kind = Kind::plain;
    std::size_t size = 0;
    std::size_t full_size = 0;
  };

  Cursor(ByteView bytes, std::size_t position)
      : bytes_(bytes), position_(position), mark_(position) {}

  bool ok() const { return state_ == State::ok; }
  bool is_short() const { return state_ == State::short_read; }
  bool is_corrupt() const { return state_ == State::corrupt; }

  std::size_t position() const { return position_; }
  // What was read so far is settled: a later failure comes back to here.
  void mark() { mark_ = position_; }
  // Back to a position that was read before.
  void return_to(std::size_t position) { position_ = mark_ = position; }
  // After a short read: how many bytes from the start of the piece the failed read would have
  // needed.
  std::size_t need_bytes() const { return need_; }
  // After corrupt: what is wrong with the bytes behind position(), a sentence part.
  const char* problem() const { return problem_; }
  void fail(const char* problem);

  std::uint8_t byte();
  // Next byte without moving on.
  std::uint8_t peek();
  // `size` bytes as they are.
  ByteView raw(std::size_t size);
  void skip(std::size_t size);
  // A little-endian number of sizeof(T) bytes.
  template <class T>
  T number();

  // A plain length; a special string encoding in its place is corrupt.
  std::uint64_t length();
  // Length of a collection, bounded by max_elements.
  std::uint64_t count();

  void skip_string();
  // Strings larger than this are not given out whole: string_body() fails with `too_large`.
  void limit_text(std::size_t max_bytes) { text_max_bytes_ = max_bytes; }
  static const char* const too_large;
  // A string of any encoding: a view of the raw bytes, or of `scratch` for integers and LZF.
  ByteView string(Bytes& scratch);
  // Both halves of it: what is behind string_head() may be far away yet.
  StringHead string_head();
  ByteView string_body(StringHead head, Bytes& scratch);

 private:
  enum class State : std::uint8_t { ok, short_read, corrupt };
  bool has(std::size_t size) {
    if (size <= bytes_.size() - position_) return true;
    run_short(size);
    return false;
  }
  void run_short(std::size_t size);
  std::uint64_t wide_length();
  StringHead special_head(std::uint8_t encoding);
  std::uint8_t at(std::size_t index) const { return static_cast<std::uint8_t>(bytes_[index]); }

  ByteView
      bytes_;  // shrinks to what was read when the cursor fails, so that every later read is short
  std::size_t position_;
  std::size_t mark_;
  std::size_t need_ = 0;
  std::size_t text_max_bytes_ = static_cast<std::size_t>(-1);
  State state_ = State::ok;
  const char* problem_ = "";
};

inline std::uint8_t Cursor::byte() {
  return has(1) ? at(position_++) : std::uint8_t{0};
}

inline std::uint8_t Cursor::peek() {
  return has(1) ? at(position_) : std::uint8_t{0};
}

inline void Cursor::skip(std::size_t size) {
  if (has(size)) position_ += size;
}

inline ByteView Cursor::raw(std::size_t size) {
  if (!has(size)) return {};
  position_ += size;
  return bytes_.substr(position_ - size, size);
}

template <class T>
T Cursor::number() {
  if (!has(sizeof(T))) return T{0};
  std::uint64_t value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;)
    value = (value << 8) | at(position_ + i);
  position_ += sizeof(T);
  return static_cast<T>(value);
}

inline std::uint64_t Cursor::length() {
  if (!has(1)) return 0;
  const std::uint8_t first = at(position_);
  if (first >= 0x40) return wide_length();
  ++position_;
  return first;
}

inline void Cursor::skip_string() {
  // Nearly every string of a real snapshot is shorter than 64 bytes and plain.
  if (!has(1)) return;
  const std::uint8_t first = at(position_);
  if (first < 0x40) {
    skip(std::size_t{1} + first);
  } else {
    skip(string_head().size);
  }
}

}  // namespace keyferry::rdb
