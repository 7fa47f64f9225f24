#include "keyferry/command/expiry.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "keyferry/base/number.hpp"
#include "keyferry/resp/resp.hpp"
#include "words.hpp"

namespace keyferry {
namespace {

// The argument that holds the time, and its unit.
struct Place {
  std::size_t at = 0;  // 0: there is none
  bool in_seconds = false;
};

// Behind PXAT or EXAT, from argument `first` on.
Place behind_word(std::span<const ByteView> args, std::size_t first) {
  for (std::size_t i = first; i + 1 < args.size(); ++i) {
    if (is_word(args[i], "PXAT")) return {i + 1, false};
    if (is_word(args[i], "EXAT")) return {i + 1, true};
  }
  return {};
}

Place place_of_expiry(std::span<const ByteView> args) {
  const ByteView name = args[0];
  if (args.size() < 3) return {};
  if (is_word(name, "PEXPIREAT")) return {2, false};
  if (is_word(name, "EXPIREAT")) return {2, true};
  if (is_word(name, "SET")) return behind_word(args, 3);
  if (is_word(name, "GETEX")) return behind_word(args, 2);
  if (!is_word(name, "RESTORE") || args[2] == "0") return {};
  for (std::size_t i = 4; i < args.size(); ++i) {
    if (is_word(args[i], "ABSTTL")) return {2, false};
  }
  return {};
}

std::optional<std::int64_t> time_at(std::span<const ByteView> args, Place place) {
  if (place.at == 0) return std::nullopt;
  std::int64_t time = 0;
  return read_number(args[place.at], time) ? std::optional(time) : std::nullopt;
}

}  // namespace

std::optional<std::int64_t> expiry_set_by(std::span<const ByteView> args) {
  if (args.size() < 3) return std::nullopt;
  Place place = place_of_expiry(args);
  if (is_word(args[0], "HPEXPIREAT")) place = {2, false};
  if (is_word(args[0], "HEXPIREAT")) place = {2, true};
  const auto time = time_at(args, place);
  if (!time || !place.in_seconds) return time;
  constexpr std::int64_t seconds_max = std::numeric_limits<std::int64_t>::max() / 1000;
  return std::clamp(*time, -seconds_max, seconds_max) * 1000;
}

bool put_off_expiry(std::span<const ByteView> args, Bytes& wire) {
  const Place place = args.empty() ? Place() : place_of_expiry(args);
  const auto time = time_at(args, place);
  if (!time || is_put_off(*time)) return false;
  const std::int64_t by = place.in_seconds ? expiry_put_off_ms / 1000 : expiry_put_off_ms;
  const std::string moved = std::to_string(*time + by);
  std::vector<ByteView> changed(args.begin(), args.end());
  changed[place.at] = moved;
  append_command(wire, std::span<const ByteView>(changed));
  return true;
}

}  // namespace keyferry
