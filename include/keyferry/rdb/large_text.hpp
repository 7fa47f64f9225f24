// A large text that is given out in parts while it arrives: an RDB string, plain or compressed, or
// the only entry of a list's packed node, whose frame is then left out. Part of the element reader.
#pragma once

#include <cstdint>

#include "keyferry/rdb/cursor.hpp"
#include "keyferry/rdb/lzf_stream.hpp"
#include "keyferry/rdb/packed.hpp"

namespace keyferry::rdb {

class LargeText {
 public:
  // Whether the string at the cursor is one of more than `limit` bytes; then the cursor stands
  // behind its head, and the text comes from next(). False: nothing was read, or its head is not
  // there yet.
  bool open(Cursor& in, std::size_t limit);
  // The same for a packed node that holds one text of more than `limit` bytes and nothing else. The
  // cursor fails when too little of the node is there to tell.
  bool open_node(Cursor& in, ByteView bytes, PackedReader::Format format, std::size_t limit);

  bool is_open() const { return is_open_; }
  // It is over, but what stands behind it is not there yet: next() will say so once more.
  void reopen() { is_open_ = true; }
  // Of the whole text.
  std::uint64_t size_bytes() const { return text_bytes_; }

  // The next part, at least one byte. False: the text is over (it is no longer open), or the bytes
  // ran out, or are damaged (the cursor has failed).
  bool next(Cursor& in, ByteView bytes, ByteView& part);

 private:
  bool begin(Cursor& in, const Cursor& behind_head, const Cursor::StringHead& head);
  bool next_piece(Cursor& in, ByteView bytes, ByteView& piece);

  bool is_open_ = false;
  bool in_lzf_ = false;
  LzfStream lzf_;
  std::uint64_t raw_left_ = 0;    // plain: bytes of the string
  std::uint64_t front_left_ = 0;  // of the frame in front of the text
  std::uint64_t text_left_ = 0;
  std::uint64_t text_bytes_ = 0;
};

}  // namespace keyferry::rdb
