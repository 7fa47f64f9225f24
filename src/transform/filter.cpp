#include "keyferry/transform/filter.hpp"

#include <algorithm>
#include <bitset>
#include <unordered_set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "command_groups.hpp"
#include "keyferry/command/keys.hpp"
#include "name_set.hpp"

namespace keyferry {
namespace {

using Args = std::span<const ByteView>;
using Problems = std::vector<std::string>;

std::string upper(ByteView text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return out;
}

// What one side of the filter says about commands.
struct CommandSet {
  bool is_empty = true;
  std::vector<bool> rows;                  // of the command table: the whole command
  std::vector<bool> rows_with_words;       // only with some second word
  std::unordered_set<std::string> words;   // "XGROUP|CREATE"
  std::unordered_set<std::string> others;  // names that the table lacks
  bool modules = false;                    // the group

  bool has(const CommandInfo* info, Args args) const;
};

std::size_t row_of(const CommandInfo* info) {
  const auto all = all_commands();
  const std::less<> before;  // of pointers into different objects
  if (info == nullptr || before(info, all.data()) || !before(info, all.data() + all.size()))
    return all.size();
  return static_cast<std::size_t>(info - all.data());
}

bool CommandSet::has(const CommandInfo* info, Args args) const {
  const std::size_t row = row_of(info);
  if (row == rows.size()) return modules || (!others.empty() && others.contains(upper(args[0])));
  if (rows[row]) return true;
  return rows_with_words[row] && args.size() > 1 &&
         words.contains(std::string(info->name) + "|" + upper(args[1]));
}

CommandSet compile_commands(const FilterRules& rules, const std::string& group,
                            Problems& problems) {
  CommandSet set;
  const auto all = all_commands();
  set.rows.resize(all.size());
  set.rows_with_words.resize(all.size());
  set.is_empty = rules.commands.empty() && rules.groups.empty();
  for (const std::string& text : rules.commands) {
    const std::string name = upper(text);
    const std::size_t bar = name.find('|');
    const std::size_t row = row_of(find_command(ByteView(name).substr(0, bar)));
    if (row == all.size()) {
      // A module's name has a dot, or at least nothing that is no name.
      if (name.find('.') == std::string::npos)
        problems.push_back(fmt::format("{}.commands: no command that writes is called '{}'", group,
                                       escaped(text)));
      set.others.insert(name);
    } else if (bar == std::string::npos) {
      set.rows[row] = true;
    } else {
      set.rows_with_words[row] = true;
      set.words.insert(name);
    }
  }
  for (const std::string& name : rules.groups) {
    const std::size_t wanted = group_index(name);
    set.modules = set.modules || name == "module";
    for (std::size_t row = 0; row < all.size(); ++row)
      set.rows[row] = set.rows[row] || group_of(all[row]) == wanted;
  }
  return set;
}

// The types that a set of names, or of groups, stands for.
using Kinds = std::bitset<9>;

Kinds kinds_of_types(const std::vector<std::string>& names) {
  Kinds kinds;
  for (const std::string& name : names) {
    const auto at = std::find(type_names().begin(), type_names().end(), name);
    kinds.set(static_cast<std::size_t>(at - type_names().begin()));
  }
  return kinds;
}

Kinds kinds_of_groups(const std::vector<std::string>& names) {
  Kinds kinds;
  for (const std::string& name : names) {
    const ValueKind kind = kind_of_group(group_index(name));
    if (kind != ValueKind::unknown) kinds.set(static_cast<std::size_t>(kind));
  }
  return kinds;
}

struct Side {
  NameSet names;
  std::unordered_set<std::int32_t> databases;
  CommandSet commands;
  Kinds types;
  Kinds groups;  // what filter.*.groups says about snapshot values
};

Side compile_side(const FilterRules& rules, const std::string& group, Problems& problems) {
  Side side;
  side.names = NameSet::compile(rules, group, problems);
  for (const std::string& db : rules.databases)
    side.databases.insert(std::atoi(db.c_str()));
  side.commands = compile_commands(rules, group, problems);
  side.types = kinds_of_types(rules.types);
  side.groups = kinds_of_groups(rules.groups);
  return side;
}

void find_contradictions(const FilterOptions& options, Problems& problems) {
  struct Pair {
    const char* name;
    std::vector<std::string> FilterRules::*list;
  };
  const Pair pairs[] = {
      {"keys", &FilterRules::keys},           {"prefixes", &FilterRules::prefixes},
      {"suffixes", &FilterRules::suffixes},   {"globs", &FilterRules::globs},
      {"regexes", &FilterRules::regexes},     {"slots", &FilterRules::slots},
      {"databases", &FilterRules::databases}, {"commands", &FilterRules::commands},
      {"groups", &FilterRules::groups},       {"types", &FilterRules::types}};
  for (const Pair& pair : pairs) {
    const std::vector<std::string>& blocked = options.block.*pair.list;
    for (const std::string& item : options.allow.*pair.list) {
      if (std::find(blocked.begin(), blocked.end(), item) == blocked.end()) continue;
      problems.push_back(fmt::format("filter.allow.{0} and filter.block.{0} both hold '{1}'",
                                     pair.name, escaped(item)));
    }
  }
  if (options.max_bytes >= 0 && options.min_bytes > options.max_bytes)
    problems.emplace_back("filter.min_bytes is above filter.max_bytes");
  if (options.max_ttl_s >= 0 && options.min_ttl_s > options.max_ttl_s)
    problems.emplace_back("filter.min_ttl_s is above filter.max_ttl_s");
}

FilterVerdict drop(FilterReason reason) {
  return {FilterVerdict::Kind::drop, reason};
}

}  // namespace

struct Filter::Rules {
  Side allow;
  Side block;
  FilterOptions limits;
  std::optional<SlotRange> shard;    // of all slots, ours
  std::vector<ValueKind> row_kinds;  // of the command table: the type each command concerns

  bool passes_name(ByteView key) const {
    return (!shard || is_ours(slot_of(key))) &&
           (block.names.empty() || !block.names.matches(key)) &&
           (allow.names.empty() || allow.names.matches(key));
  }
  bool is_ours(Slot slot) const { return slot >= shard->first && slot <= shard->last; }
  bool passes_database(std::int32_t db) const {
    return !block.databases.contains(db) &&
           (allow.databases.empty() || allow.databases.contains(db));
  }
  bool passes_kind(ValueKind kind) const {
    if (kind == ValueKind::unknown) return true;
    const auto at = static_cast<std::size_t>(kind);
    return !block.types.test(at) && (allow.types.none() || allow.types.test(at));
  }
  bool passes_group(ValueKind kind) const {
    if (kind == ValueKind::unknown) return true;
    const auto at = static_cast<std::size_t>(kind);
    return !block.groups.test(at) && (allow.groups.none() || allow.groups.test(at));
  }
  FilterReason judge_size_and_ttl(const KeyFacts& key) const;
};

FilterReason Filter::Rules::judge_size_and_ttl(const KeyFacts& key) const {
  if (key.bytes) {
    const auto bytes = static_cast<std::int64_t>(*key.bytes);
    if (bytes < limits.min_bytes) return FilterReason::size;
    if (limits.max_bytes >= 0 && bytes > limits.max_bytes) return FilterReason::size;
  }
  if (key.never_expires && limits.max_ttl_s >= 0) return FilterReason::ttl;
  if (key.ttl_ms) {
    if (*key.ttl_ms < limits.min_ttl_s * 1000) return FilterReason::ttl;
    if (limits.max_ttl_s >= 0 && *key.ttl_ms > limits.max_ttl_s * 1000) return FilterReason::ttl;
  }
  return FilterReason::passed;
}

Filter::Filter() : rules_(std::make_shared<const Rules>()) {}

Result<Filter> Filter::compile(const FilterOptions& options) {
  Problems problems;
  auto rules = std::make_shared<Rules>();
  rules->allow = compile_side(options.allow, "filter.allow", problems);
  rules->block = compile_side(options.block, "filter.block", problems);
  rules->limits = options;
  const std::optional<Shard> shard = parse_shard(options.shard);
  if (shard && shard->of > 1) rules->shard = shard->slots();
  for (const CommandInfo& info : all_commands())
    rules->row_kinds.push_back(kind_of_group(group_of(info)));
  find_contradictions(options, problems);
  if (!problems.empty()) return Error(Errc::usage, fmt::format("{}", fmt::join(problems, "\n")));

  Filter filter;
  const auto any = [](const Side& side) {
    return side.types.any() || side.groups.any() || !side.names.empty();
  };
  FilterOptions whole = options;
  if (!rules->shard) whole.shard.clear();
  filter.is_active_ = whole != FilterOptions();
  filter.judges_values_ = rules->allow.types.any() || rules->block.types.any() ||
                          options.min_bytes > 0 || options.max_bytes >= 0 ||
                          options.min_ttl_s > 0 || options.max_ttl_s >= 0;
  filter.selects_names_ =
      !rules->allow.names.empty() || !rules->block.names.empty() || rules->shard.has_value();
  filter.selects_databases_ = !rules->allow.databases.empty() || !rules->block.databases.empty();
  filter.selects_keys_ = rules->shard.has_value() || any(rules->allow) || any(rules->block) ||
                         options.min_bytes > 0 || options.max_bytes >= 0 || options.min_ttl_s > 0 ||
                         options.max_ttl_s >= 0;
  filter.rules_ = std::move(rules);
  return filter;
}

FilterVerdict Filter::on_database(std::int32_t db) const {
  return rules_->passes_database(db) ? FilterVerdict() : drop(FilterReason::database);
}

bool Filter::on_slot(std::uint16_t slot) const {
  return !rules_->shard || rules_->is_ours(slot);
}

FilterVerdict Filter::on_name(std::int32_t db, ByteView key) const {
  if (!is_active_) return {};
  if (!rules_->passes_database(db)) return drop(FilterReason::database);
  return rules_->passes_name(key) ? FilterVerdict() : drop(FilterReason::key);
}

FilterVerdict Filter::on_key(const KeyFacts& key) const {
  if (!is_active_) return {};
  const FilterVerdict by_name = on_name(key.db, key.key);
  if (!by_name.keeps()) return by_name;
  if (!rules_->passes_kind(key.kind) || !rules_->passes_group(key.kind))
    return drop(FilterReason::type);
  const FilterReason reason = rules_->judge_size_and_ttl(key);
  return reason == FilterReason::passed ? FilterVerdict() : drop(reason);
}

// By name, group and type.
FilterReason Filter::judge_name(const CommandInfo* info, Args args) const {
  const Rules& rules = *rules_;
  if (!rules.block.commands.is_empty && rules.block.commands.has(info, args))
    return FilterReason::command;
  if (!rules.allow.commands.is_empty && !rules.allow.commands.has(info, args))
    return FilterReason::command;
  if (rules.allow.types.none() && rules.block.types.none()) return FilterReason::passed;
  if (info == nullptr) return FilterReason::passed;
  const bool restores = info->name.starts_with("RESTORE") && args.size() > 3;
  const std::size_t row = row_of(info);
  const ValueKind of_row = row < rules.row_kinds.size() ? rules.row_kinds[row] : ValueKind::module;
  const ValueKind kind = restores ? value_kind_of_payload(args[3]) : of_row;
  return rules.passes_kind(kind) ? FilterReason::passed : FilterReason::type;
}

FilterVerdict Filter::on_command(std::int32_t db, const CommandInfo* info, Args args) const {
  if (!is_active_) return {};
  const FilterReason by_name = judge_name(info, args);
  if (by_name != FilterReason::passed) return drop(by_name);
  if (info != nullptr && info->kind != CommandKind::write) return {};
  if (!rules_->passes_database(db)) return drop(FilterReason::database);
  if (!selects_names_ || info == nullptr) return {};
  std::size_t kept = 0;
  std::size_t dropped = 0;
  for_each_key(*info, args,
               [&](std::size_t at) { ++(rules_->passes_name(args[at]) ? kept : dropped); });
  if (dropped == 0) return {};
  if (kept == 0) return drop(FilterReason::key);
  return info->split == SplitShape::no
             ? drop(FilterReason::mixed)
             : FilterVerdict{FilterVerdict::Kind::split, FilterReason::part};
}

std::vector<ByteView> Filter::split_args(std::int32_t db, const CommandInfo& info,
                                         Args args) const {
  const std::size_t width = info.split == SplitShape::key_value_pairs ? 2 : 1;
  // In a stream MSETNX appears only when it took effect.
  std::vector<ByteView> rest = {info.name == "MSETNX" ? ByteView("MSET") : args[0]};
  for (std::size_t at = 1; at + width <= args.size(); at += width) {
    if (!on_name(db, args[at]).keeps()) continue;
    for (std::size_t i = at; i < at + width; ++i)
      rest.push_back(args[i]);
  }
  return rest;
}

ValueKind value_kind_of(ByteView type_name) {
  const std::vector<std::string>& names = type_names();
  const auto at = std::find(names.begin(), names.end(), type_name);
  return at == names.end() ? ValueKind::module : static_cast<ValueKind>(at - names.begin());
}

// Redis 8.10 and Valkey 9.1 rdb.h RDB_TYPE_*: both give 22 to a hash. A newer one is not known.
ValueKind value_kind_of_payload(ByteView payload) {
  using K = ValueKind;
  constexpr std::array<K, 33> kinds = {
      K::string, K::list,   K::set,  K::zset,   K::hash, K::zset, K::module, K::module, K::unknown,
      K::hash,   K::list,   K::set,  K::zset,   K::hash, K::list, K::stream, K::hash,   K::zset,
      K::list,   K::stream, K::set,  K::stream, K::hash, K::hash, K::hash,   K::hash,   K::stream,
      K::stream, K::array,  K::hash, K::hash,   K::hash, K::hash};
  if (payload.empty()) return K::unknown;
  const auto type = static_cast<unsigned char>(payload[0]);
  return type < kinds.size() ? kinds[type] : K::unknown;
}

const char* to_string(FilterReason reason) {
  constexpr std::array<const char*, filter_reasons> names = {
      "passed", "database", "key",  "command", "type",     "size",
      "ttl",    "mixed",    "part", "script",  "collision"};
  return names.at(static_cast<std::size_t>(reason));
}

}  // namespace keyferry
