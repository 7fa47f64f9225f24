// Which keys and commands travel: the option group filter, compiled once. Looks at what is given
// and remembers nothing. Pure; any thread may ask at the same time.
//
// A rule set has dimensions: the key's name (exact, prefix, suffix, glob, regular expression,
// slot), the database, the command (by name or group), the type. Where filter.allow names something
// in a dimension, only that passes; what filter.block names never does. Block is looked at first.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "keyferry/base/error.hpp"
#include "keyferry/command/command_table.hpp"
#include "keyferry/config/rules.hpp"

namespace keyferry {

// What TYPE answers, in the order of type_names(); unknown where nothing tells.
enum class ValueKind : std::uint8_t {
  string,
  list,
  set,
  zset,
  hash,
  stream,
  module,
  array,
  unknown
};

// Of a TYPE reply; a name that is none of these is a module's.
ValueKind value_kind_of(ByteView type_name);
// Of the first byte of a DUMP payload (rdb: value type byte).
ValueKind value_kind_of_payload(ByteView payload);

// Why something did not travel. `passed` is no reason.
enum class FilterReason : std::uint8_t {
  passed,
  database,
  key,
  command,
  type,
  size,
  ttl,
  mixed,      // some of its keys travel, others do not, and it cannot be cut
  part,       // some of its keys were cut off; the rest of the command travels
  script,     // the script returned nothing
  collision,  // under the mapping its key would meet another one
};
constexpr std::size_t filter_reasons = 11;
const char* to_string(FilterReason reason);
using FilterCounts = std::array<std::uint64_t, filter_reasons>;

struct FilterVerdict {
  enum class Kind : std::uint8_t { keep, drop, split };
  Kind kind = Kind::keep;
  FilterReason reason = FilterReason::passed;

  bool keeps() const { return kind == Kind::keep; }
};

// A key as a whole: of a snapshot, a scan or a comparison. What is not known is not judged.
struct KeyFacts {
  std::int32_t db = 0;
  ByteView key;
  ValueKind kind = ValueKind::unknown;
  std::optional<std::uint64_t> bytes = std::nullopt;  // of the value, as in a snapshot
  std::optional<std::int64_t> ttl_ms = std::nullopt;  // left; nullopt: see never_expires
  bool never_expires = false;
};

class Filter {
 public:
  // Lets everything pass.
  Filter();
  // Errc::usage, one line per rule that cannot be right: malformed expressions, unknown commands,
  // one item both allowed and blocked, limits the wrong way round.
  static Result<Filter> compile(const FilterOptions& options);

  // False: nothing is ever held back, so nobody need ask.
  bool is_active() const { return is_active_; }
  // Whether verdicts depend on names of keys or on types, sizes, TTLs: then a part of a database
  // may be what travels.
  bool selects_keys() const { return selects_keys_; }

  // Whether verdicts depend on what a key holds, which commands that move values do not tell.
  bool judges_values() const { return judges_values_; }
  bool selects_databases() const { return selects_databases_; }

  FilterVerdict on_key(const KeyFacts& key) const;
  // Only by database and name: all that a scan knows before it asks more.
  FilterVerdict on_name(std::int32_t db, ByteView key) const;
  FilterVerdict on_database(std::int32_t db) const;
  // Whether keys of that slot may be ours at all (source.shards); other rules are not looked at.
  bool on_slot(std::uint16_t slot) const;
  // `info`: its row, found or learnt; nullptr: only its database and name are judged. Commands
  // without keys (PUBLISH, FUNCTION, FLUSHALL, ...) are judged by their names alone.
  // split: `split_args` gives what remains.
  FilterVerdict on_command(std::int32_t db, const CommandInfo* info,
                           std::span<const ByteView> args) const;
  // What is left of a command whose verdict is split.
  std::vector<ByteView> split_args(std::int32_t db, const CommandInfo& info,
                                   std::span<const ByteView> args) const;

 private:
  struct Rules;
  FilterReason judge_name(const CommandInfo* info, std::span<const ByteView> args) const;

  std::shared_ptr<const Rules> rules_;
  bool is_active_ = false;
  bool selects_keys_ = false;
  bool selects_names_ = false;
  bool judges_values_ = false;
  bool selects_databases_ = false;
};

}  // namespace keyferry
