#include "keyferry/config/rules.hpp"

#include "keyferry/config/option_value.hpp"

namespace keyferry {

std::optional<TtlPolicy> parse_ttl_policy(std::string_view text) {
  if (text == "keep") return TtlPolicy();
  if (text == "none") return TtlPolicy{TtlPolicy::Kind::none, 0};
  if (text.size() < 3 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  struct Unit {
    std::string_view name;
    std::int64_t ms;
  };
  constexpr Unit units[] = {
      {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  const std::size_t digits_end = text.find_first_not_of("0123456789", 1);
  if (digits_end == std::string_view::npos) return std::nullopt;
  const auto count = parse_integer(text.substr(1, digits_end - 1));
  constexpr std::int64_t longest_ms = std::int64_t{100} * 366 * 86'400'000;  // a hundred years
  for (const Unit& unit : units) {
    if (text.substr(digits_end) != unit.name || !count || *count > longest_ms / unit.ms) continue;
    return TtlPolicy{TtlPolicy::Kind::shift, (text[0] == '-' ? -1 : 1) * *count * unit.ms};
  }
  return std::nullopt;
}

std::optional<SlotRange> parse_slot_range(std::string_view text) {
  constexpr std::int64_t last_slot = 16383;
  const std::size_t dash = text.find('-');
  const auto first = parse_integer(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_integer(text.substr(dash + 1));
  if (!first || !last || *first < 0 || *last > last_slot || *first > *last) return std::nullopt;
  return SlotRange{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
}

// redis-cli of Redis 7.0, clusterManagerCommandCreate: bounds are multiples of slots / masters,
// rounded.
SlotRange Shard::slots() const {
  constexpr std::uint32_t slots = 16384;
  const auto bound = [this](std::uint32_t i) { return (2 * i * slots + of) / (2U * of); };
  return {static_cast<std::uint16_t>(bound(number)),
          static_cast<std::uint16_t>(bound(number + 1U) - 1)};
}

std::optional<Shard> parse_shard(std::string_view text) {
  constexpr std::int64_t most = 1000;  // masters that a cluster should have at most
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto number = parse_integer(text.substr(0, slash));
  const auto of = parse_integer(text.substr(slash + 1));
  if (!number || !of || *number < 0 || *of < 1 || *of > most || *number >= *of) return std::nullopt;
  return Shard{static_cast<std::uint16_t>(*number), static_cast<std::uint16_t>(*of)};
}

const std::vector<std::string>& group_names() {
  static const std::vector<std::string> names = {
      "generic", "string", "bitmap", "hyperloglog", "list",   "set",    "sorted-set", "geo",
      "hash",    "stream", "array",  "vector-set",  "module", "pubsub", "scripting",  "server"};
  return names;
}

const std::vector<std::string>& type_names() {
  static const std::vector<std::string> names = {"string", "list",   "set",    "zset",
                                                 "hash",   "stream", "module", "array"};
  return names;
}

}  // namespace keyferry
