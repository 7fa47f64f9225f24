// What users say about which data travels and under which names: the option groups filter,
// databases and transform, as they were written. Single items have been checked; the folder
// transform compiles them and finds what contradicts each other.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keyferry {

// One side of the filter. What is in one line here is one dimension: a key is named by any of the
// first group.
struct FilterRules {
  std::vector<std::string> keys, prefixes, suffixes, globs, regexes, slots;
  std::vector<std::string> databases;
  std::vector<std::string> commands, groups;
  std::vector<std::string> types;

  bool operator==(const FilterRules&) const = default;
};

struct FilterOptions {
  FilterRules allow;  // where a dimension is given, only what it names travels
  FilterRules block;  // and of that, nothing of this
  std::int64_t min_bytes = 0;
  std::int64_t max_bytes = -1;  // -1: no limit, like below
  std::int64_t min_ttl_s = 0;
  std::int64_t max_ttl_s = -1;
  std::string shard;  // source.shards: only its slots travel; "" = all

  bool operator==(const FilterOptions&) const = default;
};

struct TransformOptions {
  std::map<std::string, std::string> databases;           // source -> target
  std::map<std::string, std::string> database_prefix;     // source database -> prefix
  std::string key_prefix_strip;                           // taken off first
  std::map<std::string, std::string> key_prefix_replace;  // then the longest that fits
  std::string key_prefix_add;                             // then this put in front
  std::string ttl = "keep";
  std::string script_file;
  bool decode = false;

  bool operator==(const TransformOptions&) const = default;
};

// "keep", "none", "+90s", "-500ms", "+2h", "+1d".
struct TtlPolicy {
  enum class Kind : std::uint8_t { keep, none, shift };
  Kind kind = Kind::keep;
  std::int64_t shift_ms = 0;
};
std::optional<TtlPolicy> parse_ttl_policy(std::string_view text);

// "0-5460" or "42": first and last slot.
struct SlotRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
};
std::optional<SlotRange> parse_slot_range(std::string_view text);

// One of `of` instances that share a cluster, and its slots. The slots are cut the way redis-cli
// cuts them among new masters, so that of as many instances as masters each has one; they depend on
// nothing else, so whatever moves in the cluster, each key belongs to the same instance for ever.
struct Shard {
  std::uint16_t number = 0;  // from 0
  std::uint16_t of = 1;
  SlotRange slots() const;
};
std::optional<Shard> parse_shard(std::string_view text);  // "0/3"

// The words of filter.*.groups (COMMAND DOCS' "group") and filter.*.types (the answers of TYPE).
const std::vector<std::string>& group_names();
const std::vector<std::string>& type_names();

}  // namespace keyferry
