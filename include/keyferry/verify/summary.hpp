// How far a comparison is and what it has found: plain data, for the table at the end, /status and
// the metrics.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace keyferry {

// How a key compares; in this order in tables.
enum class KeyFinding : std::uint8_t { value, ttl, type, missing, extra, equal, unknown };
constexpr std::size_t difference_kinds = 5;  // those before equal
constexpr const char* to_string(KeyFinding finding) {
  constexpr std::array<const char*, 7> names = {"value", "ttl",   "type",   "missing",
                                                "extra", "equal", "unknown"};
  return names.at(static_cast<std::size_t>(finding));
}

struct VerifySummary {
  std::uint64_t attempt = 0;  // counts those that were begun; 0: none yet
  bool running = false;
  std::string level;
  std::string problem;  // why it broke off
  double seconds = 0;
  std::uint64_t keys_total = 0;   // of the source, a hint
  std::uint64_t keys = 0;         // of the source, compared
  std::uint64_t target_keys = 0;  // looked at for some that the source does not have
  std::array<std::uint64_t, difference_kinds> differences{};  // by KeyFinding
  std::uint64_t doubts = 0;                                   // waiting for another look
  std::uint64_t looks = 0;                                    // taken again
  std::uint64_t changing = 0;                                 // written too often to be compared
  std::uint64_t unreadable = 0;                               // refused by a server
  std::uint64_t repaired = 0;                                 // of the differences: equal now

  std::uint64_t different() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : differences)
      sum += count;
    return sum;
  }
  // Over and nothing is left that differs.
  bool is_equal() const {
    return !running && problem.empty() && unreadable == 0 && different() == repaired;
  }
};

}  // namespace keyferry
