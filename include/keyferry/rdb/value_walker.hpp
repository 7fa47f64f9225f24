// Finds the end of a value by stepping over its parts as its layout says (format.hpp), without
// decoding them. Resumable at every part: after a short read the same walker goes on from the
// cursor's position with more bytes. Does not look into packed blobs (ziplist, listpack, ...).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "keyferry/rdb/cursor.hpp"

namespace keyferry::rdb {

class ValueWalker {
 public:
  // `layout` must outlive the walk (the literals of format.hpp do).
  void start(const char* layout);

  // Steps on; true when the value ends at the cursor. Otherwise the cursor failed and stands (short
  // read) where the walk goes on.
  bool walk(Cursor& in);

  // The string that the cursor fell short of is stepped over by other means.
  void pass_string() {
    if (*at_ != 'M') ++at_;  // items of a module end by their own mark
  }

  // Whether a collection of the outermost level had no elements.
  bool saw_empty() const { return saw_empty_; }

 private:
  struct Loop {
    const char* body = nullptr;
    std::uint64_t left = 0;
  };
  static constexpr std::size_t max_depth = 3;

  void step(Cursor& in);
  void enter_loop(Cursor& in);
  void leave_or_repeat();

  const char* at_ = "";
  std::size_t depth_ = 0;
  std::array<Loop, max_depth> loops_;
  bool saw_empty_ = false;
};

}  // namespace keyferry::rdb
