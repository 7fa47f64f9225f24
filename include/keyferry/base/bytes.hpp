// Bytes and who owns them. `Bytes` owns, `ByteView` borrows, `Slab` is the ref-counted buffer that
// network reads land in and that commands point into until the target has acknowledged them. Knows
// nothing of Redis. Slabs belong to one pipeline thread; nothing here locks.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace keyferry {

using Bytes = std::string;
using ByteView = std::string_view;

// Counts the bytes of every living Slab of one pipeline (house rule: one memory budget). Must
// outlive its slabs.
struct SlabBudget {
  std::size_t used_bytes = 0;
};

// A fixed-size buffer with a fill mark. Bytes below the mark never change, so views into them stay
// valid as long as someone holds the SlabRef; the tail above the mark is free for the next read.
class Slab {
 public:
  static constexpr std::size_t default_size_bytes = 256 * 1024;

  Slab(SlabBudget& budget, std::size_t size_bytes);
  ~Slab();
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  char* tail() { return data_.get() + filled_; }
  std::size_t tail_size() const { return size_ - filled_; }
  std::size_t size() const { return size_; }
  ByteView filled() const { return {data_.get(), filled_}; }

  // Moves the mark over `n` bytes that were written at tail(); returns them.
  ByteView commit(std::size_t n);
  // Copies `bytes` to the tail (must fit) and commits them.
  ByteView append(ByteView bytes);

 private:
  SlabBudget& budget_;
  std::size_t size_;
  std::size_t filled_ = 0;
  std::unique_ptr<char[]> data_;
};

using SlabRef = std::shared_ptr<Slab>;

SlabRef make_slab(SlabBudget& budget, std::size_t size_bytes = Slab::default_size_bytes);

// Printable form of binary bytes for logs and errors: \xNN escapes, cut after `max_bytes` with
// "...".
std::string escaped(ByteView bytes, std::size_t max_bytes = 64);

}  // namespace keyferry
