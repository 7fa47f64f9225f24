#include "keyferry/base/rate.hpp"

#include <algorithm>
#include <cmath>

namespace keyferry {

void RateLimit::set(std::int64_t per_second) {
  per_second_ = per_second;
  balance_ = 0;
}

void RateLimit::earn(TimePoint now) {
  const double seconds = std::chrono::duration<double>(now - at_).count();
  const double share = static_cast<double>(per_second_);
  balance_ = std::min(balance_ + std::max(0.0, seconds) * share, share / 10);
  at_ = now;
}

void RateLimit::spend(std::int64_t amount, TimePoint now) {
  if (!is_set()) return;
  earn(now);
  balance_ -= static_cast<double>(amount);
}

Millis RateLimit::wait(TimePoint now) const {
  if (!is_set()) return Millis(0);
  RateLimit later = *this;
  later.earn(now);
  if (later.balance_ >= 0) return Millis(0);
  const double ms = -later.balance_ * 1000 / static_cast<double>(per_second_);
  return Millis(static_cast<std::int64_t>(std::ceil(std::min(ms, 1e9))));
}

}  // namespace keyferry
