#include "keyferry/source/byte_window.hpp"

#include <algorithm>
#include <cstring>

#include "keyferry/base/error.hpp"

namespace keyferry {

namespace {
// Copied per step when nobody knows how much the straddling item needs.
constexpr std::size_t carry_step_bytes = 4096;
}  // namespace

void ByteWindow::append(SlabRef slab, ByteView chunk) {
  KEYFERRY_ASSERT(rest_.empty());
  if (chunk.empty()) return;
  if (view_.empty()) {
    slab_ = std::move(slab);
    own_slab_ = false;
    view_ = chunk;
    old_ = 0;
    return;
  }
  if (slab == slab_ && view_.data() + view_.size() == chunk.data()) {
    // The read landed right behind the unread bytes: nothing to copy.
    view_ = ByteView(view_.data(), view_.size() + chunk.size());
    return;
  }
  old_ = view_.size();
  chunk_slab_ = std::move(slab);
  chunk_ = rest_ = chunk;
  carry_more(old_ + 1);
}

void ByteWindow::consume(std::size_t n) {
  view_.remove_prefix(n);
  if (old_ == 0) return;
  if (n < old_) {
    old_ -= n;
    return;
  }
  // The straddling item is done: go on in the chunk itself, behind what was parsed from the carry.
  const std::size_t used = chunk_.size() - rest_.size() - view_.size();
  slab_ = std::move(chunk_slab_);
  own_slab_ = false;
  view_ = chunk_.substr(used);
  rest_ = chunk_ = {};
  old_ = 0;
}

bool ByteWindow::want(std::size_t need) {
  if (rest_.empty()) return false;
  carry_more(need);
  return true;
}

// Makes view_ a carry of at least `need` bytes, as far as the chunk has them.
void ByteWindow::carry_more(std::size_t need) {
  const std::size_t missing = need > view_.size() ? need - view_.size() : 0;
  const std::size_t more = std::min(rest_.size(), std::max(missing, carry_step_bytes));
  if (!own_slab_ || slab_->tail_size() < more) {
    // Room for the whole item when its size is known, doubling otherwise, so that copying stays
    // linear.
    const std::size_t size = std::max(need, (view_.size() + more) * 2);
    SlabRef carry = make_slab(budget_, size);
    const ByteView copied = carry->append(view_);
    view_ = copied;
    slab_ = std::move(carry);
    own_slab_ = true;
  }
  const ByteView added = slab_->append(rest_.substr(0, more));
  view_ = ByteView(view_.data(), view_.size() + added.size());
  rest_.remove_prefix(more);
}

void ByteWindow::clear() {
  slab_.reset();
  chunk_slab_.reset();
  view_ = chunk_ = rest_ = {};
  own_slab_ = false;
  old_ = 0;
}

}  // namespace keyferry
