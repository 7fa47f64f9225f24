// Presents chunks of a byte stream to a parser as contiguous bytes, almost without copying: only an
// item that straddles two chunks is copied, once, into a slab of its own. Pure; pipeline thread
// only.
//
//      carry (own slab)                     chunk (the slab it was read to)
//   [ old tail | head of chunk ]         [ head of chunk | ................ ]
//     parsed first, until the old tail is consumed; then the window moves to the chunk
#pragma once

#include "keyferry/base/bytes.hpp"

namespace keyferry {

class ByteWindow {
 public:
  explicit ByteWindow(SlabBudget& budget) : budget_(budget) {}

  // The next piece of the stream; only when drained() (the previous chunk has been consumed or
  // carried).
  void append(SlabRef slab, ByteView chunk);

  // Contiguous unread bytes; they stay valid while slab() is held.
  ByteView view() const { return view_; }
  // The slab that view() points into.
  const SlabRef& slab() const { return slab_; }
  void consume(std::size_t n);

  // The item at the start needs at least `need` bytes in all. Makes more of the current chunk
  // visible when there is more, else keeps the rest for the next chunk. False: append() another
  // chunk.
  bool want(std::size_t need);

  // Unread bytes, in the view and behind it.
  std::size_t unread_bytes() const { return view_.size() + rest_.size(); }
  void clear();

 private:
  void carry_more(std::size_t need);

  SlabBudget& budget_;
  SlabRef slab_;  // of view_
  ByteView view_;
  bool own_slab_ = false;  // slab_ is a carry of ours, nobody else appends to it
  std::size_t old_ =
      0;  // bytes at the start of view_ that came before the current chunk (0: view_ is the chunk)
  SlabRef chunk_slab_;  // while carrying: the chunk's slab
  ByteView chunk_;      // while carrying: the whole chunk
  ByteView rest_;       // while carrying: the part of the chunk that is not in the carry yet
};

}  // namespace keyferry
