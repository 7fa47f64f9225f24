// A packed string that is being walked: where it lies while its entries are given out. Uncompressed
// it stays in the offered bytes (its position is kept, not its address), compressed it is unpacked
// into a buffer. Used by the element reader and its streams.
#pragma once

#include "keyferry/rdb/cursor.hpp"
#include "keyferry/rdb/packed.hpp"

namespace keyferry::rdb {

class Blob {
 public:
  // Forgets what was open, and a buffer that grew large.
  void start() {
    is_open_ = false;
    if (scratch_.capacity() > max_kept_scratch) Bytes().swap(scratch_);
  }

  // Reads the string at the cursor and opens it; the cursor then stands behind it. Fails the cursor
  // when the bytes run out or the frame is wrong.
  void open(Cursor& in, PackedReader::Format format) {
    const ByteView bytes = in.string(scratch_);
    if (!in.ok()) return;
    in_scratch_ = bytes.data() == scratch_.data();
    size_ = bytes.size();
    at_ = in.position() - (in_scratch_ ? 0 : size_);
    if (!packed_.open(format, bytes)) {
      in.fail(packed_.problem());
      return;
    }
    is_open_ = true;
  }

  bool is_open() const { return is_open_; }
  bool at_end() const { return packed_.at_end(); }

  // The next entry; false at the end and when the blob is damaged (the cursor has failed).
  bool next(Cursor& in, ByteView offered, PackedEntry& entry) {
    const auto status = packed_.next(view(offered), entry);
    if (status == PackedReader::Status::corrupt) in.fail(packed_.problem());
    return status == PackedReader::Status::entry;
  }

  // At the end: whether the blob held as many entries as it says.
  void finish(Cursor& in) {
    PackedEntry none;
    if (packed_.next({}, none) == PackedReader::Status::corrupt) in.fail(packed_.problem());
    is_open_ = false;
  }

  // From where on the offered bytes are still needed, if the cursor stands at `position`.
  std::size_t needed_from(std::size_t position) const {
    return is_open_ && !in_scratch_ ? at_ : position;
  }
  // The caller will no longer offer the first `size` bytes.
  void drop(std::size_t size) {
    if (is_open_ && !in_scratch_) at_ -= size;
  }

  // The bytes of the blob, given the bytes that are offered now.
  ByteView view(ByteView offered) const {
    return {in_scratch_ ? scratch_.data() : offered.data() + at_, size_};
  }

 private:
  static constexpr std::size_t max_kept_scratch = std::size_t{1} << 20;

  PackedReader packed_;
  bool is_open_ = false;
  bool in_scratch_ = false;
  std::size_t at_ = 0;
  std::size_t size_ = 0;
  Bytes scratch_;
};

}  // namespace keyferry::rdb
