#include "keyferry/pipeline/status.hpp"

#include <algorithm>

namespace keyferry {

const char* to_string(Phase phase) {
  switch (phase) {
    case Phase::connecting:
      return "connecting";
    case Phase::handshake:
      return "handshake";
    case Phase::snapshot:
      return "snapshot";
    case Phase::catch_up:
      return "catch_up";
    case Phase::steady:
      return "steady";
    case Phase::draining:
      return "draining";
    case Phase::paused:
      return "paused";
    case Phase::stopped:
      return "stopped";
    case Phase::failed:
      return "failed";
  }
  return "failed";
}

const char* to_string(CutoverStatus::State state) {
  switch (state) {
    case CutoverStatus::State::none:
      return "none";
    case CutoverStatus::State::waiting:
      return "waiting";
    case CutoverStatus::State::paused:
      return "paused";
    case CutoverStatus::State::committed:
      return "committed";
    case CutoverStatus::State::failed:
      return "failed";
  }
  return "failed";
}

void LatencyHistogram::observe(double seconds, std::uint64_t weight) {
  const auto bound = std::lower_bound(bounds_s.begin(), bounds_s.end(), seconds);
  counts[static_cast<std::size_t>(bound - bounds_s.begin())] += weight;
  sum_s += seconds * static_cast<double>(weight);
  count += weight;
}

}  // namespace keyferry
