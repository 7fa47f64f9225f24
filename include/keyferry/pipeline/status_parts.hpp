// What every kind of link says of itself in the status: how fast it is, and what was left out.
#pragma once

#include "keyferry/pipeline/status.hpp"
#include "keyferry/transform/transform.hpp"

namespace keyferry {

// Rates of the last second, from totals.
class Throughput {
 public:
  void begin(TimePoint now) { since_ = now; }
  void show(std::uint64_t commands, std::uint64_t bytes, TimePoint now, Status& status) {
    const std::int64_t ms = elapsed_ms(since_, now);
    if (ms >= 1000) {
      const double seconds = static_cast<double>(ms) / 1000;
      commands_per_s_ = static_cast<double>(commands - commands_) / seconds;
      bytes_per_s_ = static_cast<double>(bytes - bytes_) / seconds;
      commands_ = commands;
      bytes_ = bytes;
      since_ = now;
    }
    status.commands_per_s = commands_per_s_;
    status.bytes_per_s = bytes_per_s_;
  }
  double commands_per_s() const { return commands_per_s_; }

 private:
  TimePoint since_;
  std::uint64_t commands_ = 0;
  std::uint64_t bytes_ = 0;
  double commands_per_s_ = 0;
  double bytes_per_s_ = 0;
};

// Adds to what the sink has left out.
inline void show_filtered(const Transform& transform, Status& status) {
  status.filtered += transform.filtered();
  for (std::size_t i = 1; i < filter_reasons && transform.is_active(); ++i) {
    if (const std::uint64_t count = transform.counts()[i])
      status.filtered_by.push_back({to_string(static_cast<FilterReason>(i)), count});
  }
}

}  // namespace keyferry
