// Clocks and waiting times. Pure code never reads a clock: it gets `TimePoint now` as an argument.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

namespace keyferry {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Millis = std::chrono::milliseconds;

// Whole milliseconds from `from` to `to`, never below 0.
std::int64_t elapsed_ms(TimePoint from, TimePoint to);

// Doubling waits with jitter: first, 2*first, ... up to `cap`, each shortened by up to a quarter at
// random.
class Backoff {
 public:
  Backoff(Millis first, Millis cap) : first_(first), cap_(cap), next_(first) {}

  Millis next();
  void reset() { next_ = first_; }

 private:
  Millis first_;
  Millis cap_;
  Millis next_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace keyferry
