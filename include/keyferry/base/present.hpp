// Numbers as people read them: counts, bytes, rates, durations, a bar. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace keyferry {

std::string shown_count(std::uint64_t value);  // 1,234,567
std::string shown_bytes(std::uint64_t bytes);  // 12.3 MiB
std::string shown_rate(double per_s);          // 950, 12.3k, 1.2M
std::string shown_duration(double seconds);    // 850 ms, 12 s, 3 min 20 s, 2 h 05 min

// "[#####-----]", `width` characters inside the brackets; `part` is cut to 0..1.
std::string shown_bar(double part, int width);

}  // namespace keyferry
