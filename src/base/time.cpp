#include "keyferry/base/time.hpp"

#include <algorithm>

namespace keyferry {

std::int64_t elapsed_ms(TimePoint from, TimePoint to) {
  return std::max<std::int64_t>(0, std::chrono::duration_cast<Millis>(to - from).count());
}

Millis Backoff::next() {
  const Millis full = next_;
  next_ = std::min(cap_, next_ * 2);
  std::uniform_int_distribution<std::int64_t> cut(0, full.count() / 4);
  return full - Millis(cut(random_));
}

}  // namespace keyferry
