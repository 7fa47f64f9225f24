// How much may pass per second: tells how long to wait, does not wait itself. What passes is first
// let through and then paid for, so that something larger than a second's share passes as well.
#pragma once

#include <cstdint>

#include "keyferry/base/time.hpp"

namespace keyferry {

class RateLimit {
 public:
  explicit RateLimit(std::int64_t per_second = 0) : per_second_(per_second) {}

  // 0 = no limit. What was overspent under the old one is forgiven.
  void set(std::int64_t per_second);
  std::int64_t per_second() const { return per_second_; }
  bool is_set() const { return per_second_ > 0; }

  void spend(std::int64_t amount, TimePoint now);
  // Until something may pass again; 0 = at once.
  Millis wait(TimePoint now) const;

 private:
  void earn(TimePoint now);

  std::int64_t per_second_;
  double balance_ = 0;  // below 0: overspent; at most a tenth of a second's share
  TimePoint at_;
};

}  // namespace keyferry
