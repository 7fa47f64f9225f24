// What one run of bench/e2e measures, and the figures it takes. Values only.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

namespace keyferry::bench {

struct Config {
  std::string scenario;       // snapshot, stream, lag; "" = all three
  bool cluster = false;       // keyferry's target has three masters instead of one server
  bool increments = false;    // stream: INCRs instead of SETs
  bool exactly_once = false;  // delivery.mode; else at_least_once
  bool scan = false;          // source.mode scan; the other side is `redis-cli --scan`
  bool json = false;
  std::size_t keys = 1'000'000;  // snapshot
  std::size_t ops = 2'000'000;   // stream
  std::size_t samples = 2000;    // lag, per competitor
  std::size_t repeats = 3;
  std::string keyferry = KEYFERRY_BINARY;  // another build, to compare
};

// One measurement of one competitor; NaN where a scenario has no such figure, or the system does
// not tell.
struct Figures {
  static constexpr double none = std::numeric_limits<double>::quiet_NaN();
  double wall_s = none;
  double cpu_us = none;  // per key or operation, of the competitor's own process
  double rss_mib = none;
  double disk_mib = none;
  double p50_ms = none;
  double p99_ms = none;
};

// What both competitors did, one entry per repeat.
struct Runs {
  std::vector<Figures> keyferry;
  std::vector<Figures> native;
};

}  // namespace keyferry::bench
