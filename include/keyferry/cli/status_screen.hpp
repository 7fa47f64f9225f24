// What `keyferry status` shows: the JSON of /status as one screen of text. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "keyferry/base/error.hpp"
#include "keyferry/verify/summary.hpp"

namespace keyferry {

// Errc::unreachable for a text that is no status.
Result<std::string> status_screen(const std::string& json);

// The cutover in that JSON.
struct CutoverOutcome {
  std::string state;
  std::uint64_t attempt = 0;
  std::int64_t pause_ms = 0;
  std::uint64_t sampled_keys = 0;
  std::string problem;
};
CutoverOutcome cutover_outcome(const std::string& json);

// Whether a status is of a living link from this source, and how far its target is behind.
struct LinkLag {
  bool is_alive = false;
  std::string source;                  // host:port
  std::optional<std::int64_t> lag_ms;  // nullopt: not known at the moment
};
LinkLag link_lag(const std::string& json);

// The last comparison, or the one under way, likewise.
VerifySummary verify_outcome(const std::string& json);

}  // namespace keyferry
