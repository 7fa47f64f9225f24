#include "keyferry/base/present.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

namespace keyferry {

std::string shown_count(std::uint64_t value) {
  std::string digits = fmt::format("{}", value);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string shown_bytes(std::uint64_t bytes) {
  constexpr std::array units = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string shown_rate(double per_s) {
  if (per_s < 999.5) return fmt::format("{:.0f}", std::max(0.0, per_s));
  if (per_s < 999'950) return fmt::format("{:.1f}k", per_s / 1e3);
  return fmt::format("{:.1f}M", per_s / 1e6);
}

std::string shown_duration(double seconds) {
  if (seconds < 0.9995) return fmt::format("{:.0f} ms", std::max(0.0, seconds) * 1000);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string shown_bar(double part, int width) {
  const double cut = std::isfinite(part) ? std::clamp(part, 0.0, 1.0) : 0.0;
  const auto full = static_cast<std::size_t>(cut * width);
  return "[" + std::string(full, '#') + std::string(static_cast<std::size_t>(width) - full, '-') +
         "]";
}

}  // namespace keyferry
