// Decompresses an LZF blob piece by piece, for strings that should not be held whole: keeps the
// last 8 KiB, as far as LZF looks back, and one part of output. (Small blobs: base/checksum.)
#pragma once

#include <cstddef>

#include "keyferry/base/bytes.hpp"

namespace keyferry::rdb {

class LzfStream {
 public:
  enum class Status { part, need_more, end, corrupt };

  // A blob of `size` bytes that make `full_size`.
  void start(std::size_t size, std::size_t full_size);

  // Takes bytes of the blob from the start of `in` (which may reach behind it); `used` of them were
  // taken. part: `out` is the next part, valid until the next call. need_more: nothing was taken,
  // need_bytes() are wanted. end: the blob was taken whole.
  Status next(ByteView in, std::size_t& used, ByteView& out);
  std::size_t need_bytes() const { return need_bytes_; }

 private:
  // One literal run or back reference at `in`; how many bytes of `in` it took: 0 when it is not all
  // there (need_bytes_ is set) or not right (is_corrupt_).
  std::size_t take_token(ByteView in);
  std::size_t take_literals(ByteView in, std::size_t size);
  std::size_t take_copy(ByteView in);
  void slide();

  Bytes buffer_;             // history, then the part being made
  std::size_t filled_ = 0;   // of the buffer
  std::size_t begin_ = 0;    // of the part
  std::size_t in_left_ = 0;  // bytes of the blob
  std::size_t out_left_ = 0;
  std::size_t need_bytes_ = 0;
  bool is_corrupt_ = false;
};

}  // namespace keyferry::rdb
