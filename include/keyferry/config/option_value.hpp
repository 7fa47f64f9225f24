// How option values are written: whole numbers, sizes with a unit, and the nearest name for a
// misspelt one. Pure; used by the option table, the loader and the command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keyferry {

// A whole decimal number, nothing around it.
std::optional<std::int64_t> parse_integer(std::string_view text);

// "1%", "0.5%" or "100%" as a part of one: above 0, at most 1.
std::optional<double> parse_percent(std::string_view text);

// Bytes: a whole number, with KiB/MiB/GiB (powers of 1024) or KB/MB/GB (powers of 1000) behind it
// or not.
std::optional<std::int64_t> parse_size(std::string_view text);

// The shortest exact form that parse_size reads back: 268435456 -> "256MiB".
std::string format_size(std::int64_t bytes);

// The candidate with the smallest edit distance to `name`, "" when none is close enough to be a
// slip.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace keyferry
