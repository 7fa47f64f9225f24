#include "keyferry/config/option_value.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

struct SizeUnit {
  std::string_view name;
  std::int64_t bytes;
};
constexpr std::array<SizeUnit, 6> size_units = {{
    {"GiB", std::int64_t{1} << 30},
    {"MiB", std::int64_t{1} << 20},
    {"KiB", std::int64_t{1} << 10},
    {"GB", 1'000'000'000},
    {"MB", 1'000'000},
    {"KB", 1'000},
}};

// Levenshtein: inserts, removals and replacements that turn `a` into `b`. Two rows of the usual
// matrix.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(above.begin(), above.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = above[j] + (a[i] == b[j] ? 0 : 1);
      row[j + 1] = std::min({replaced, above[j + 1] + 1, row[j] + 1});
    }
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  return read_number(text, value) ? std::optional(value) : std::nullopt;
}

std::optional<double> parse_percent(std::string_view text) {
  if (!text.ends_with('%')) return std::nullopt;
  text.remove_suffix(1);
  double percent = 0;
  if (!read_number(text, percent) || !(percent > 0) || percent > 100) return std::nullopt;
  return percent / 100;
}

std::optional<std::int64_t> parse_size(std::string_view text) {
  for (const SizeUnit& unit : size_units) {
    if (text.size() <= unit.name.size() ||
        text.substr(text.size() - unit.name.size()) != unit.name) {
      continue;
    }
    text.remove_suffix(unit.name.size());
    if (text.back() == ' ') text.remove_suffix(1);
    const std::optional<std::int64_t> count = parse_integer(text);
    const std::int64_t max_count = std::numeric_limits<std::int64_t>::max() / unit.bytes;
    if (!count || *count < 0 || *count > max_count) return std::nullopt;
    return *count * unit.bytes;
  }
  return parse_integer(text);
}

std::string format_size(std::int64_t bytes) {
  for (const SizeUnit& unit : size_units) {
    const bool is_binary = unit.name.size() == 3;
    if (is_binary && bytes > 0 && bytes % unit.bytes == 0) {
      return fmt::format("{}{}", bytes / unit.bytes, unit.name);
    }
  }
  return fmt::format("{}", bytes);
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr std::size_t longest_name = 100;  // the distance costs the product of both lengths
  if (name.size() > longest_name) return {};
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance >= best_distance) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

}  // namespace keyferry
