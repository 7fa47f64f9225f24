#include "rule_options.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "keyferry/config/option_kinds.hpp"
#include "keyferry/config/option_value.hpp"

namespace keyferry {
namespace {

using Table = std::vector<OptionDef>;
using List = std::vector<std::string>;

constexpr std::int64_t databases_max = 1'000'000;
constexpr std::int64_t tebibyte = std::int64_t{1} << 40;
constexpr std::int64_t century_s = std::int64_t{100} * 366 * 24 * 3600;

std::string check_database(const std::string& item) {
  const auto number = parse_integer(item);
  const bool ok = number && *number >= 0 && *number < databases_max;
  return ok ? "" : "is not the number of a database";
}

std::string check_slots(const std::string& item) {
  return parse_slot_range(item) ? "" : "is no slot and no range of slots (0 to 16383)";
}

ItemCheck one_of(const List& names) {
  return [&names](const std::string& item) -> std::string {
    if (std::find(names.begin(), names.end(), item) != names.end()) return "";
    return fmt::format("is none of {}", fmt::join(names, "|"));
  };
}

struct Side {
  std::string prefix;  // "filter.allow."
  FilterRules FilterOptions::*rules;
  std::string verb;  // "Only ... travel" / "... do not travel"
};

void add_list(Table& table, const Side& side, const char* name, List FilterRules::*list,
              ItemCheck check, std::string range, const std::string& what) {
  const auto access = [rules = side.rules, list](Options& o) -> List& {
    return o.filter.*rules.*list;
  };
  table.push_back(list_option(side.prefix + name, access, std::move(check), std::move(range),
                              side.verb + what));
}

void add_side(Table& table, const Side& side) {
  using R = FilterRules;
  add_list(table, side, "keys", &R::keys, {}, "list of names", "keys with one of these names.");
  add_list(table, side, "prefixes", &R::prefixes, {}, "list", "keys that begin with one of these.");
  add_list(table, side, "suffixes", &R::suffixes, {}, "list", "keys that end with one of these.");
  add_list(table, side, "globs", &R::globs, {}, "list of patterns as of KEYS",
           "keys that match one of these patterns.");
  add_list(table, side, "regexes", &R::regexes, {}, "list of RE2 expressions",
           "keys in which one of these regular expressions is found.");
  add_list(table, side, "slots", &R::slots, check_slots, "list of slots, like 7 or 0-5460",
           "keys of these cluster slots.");
  add_list(table, side, "databases", &R::databases, check_database, "list of numbers",
           "what is in one of these databases.");
  add_list(table, side, "commands", &R::commands, {}, "list of names, like SET or XGROUP|CREATE",
           "these commands of the stream.");
  add_list(table, side, "groups", &R::groups, one_of(group_names()),
           fmt::format("list of {}", fmt::join(group_names(), ", ")),
           "commands of these groups, and snapshot values that belong to them.");
  add_list(table, side, "types", &R::types, one_of(type_names()),
           fmt::format("list of {}", fmt::join(type_names(), ", ")),
           "values of these types, and commands that only concern such values.");
}

void add_filter(Table& table) {
  add_side(table, {"filter.allow.", &FilterOptions::allow, "Copy only "});
  add_side(table, {"filter.block.", &FilterOptions::block, "Do not copy "});
  table.push_back(size_option(
      "filter.min_bytes", [](Options& o) -> std::int64_t& { return o.filter.min_bytes; },
      {0, tebibyte}, "Smaller values stay behind; the size is that in the snapshot."));
  table.push_back(size_option(
      "filter.max_bytes", [](Options& o) -> std::int64_t& { return o.filter.max_bytes; },
      {-1, tebibyte}, "Larger values stay behind; -1 = no limit."));
  table.push_back(integer_option(
      "filter.min_ttl_s", [](Options& o) -> std::int64_t& { return o.filter.min_ttl_s; },
      {0, century_s}, "seconds", "Keys of the snapshot that expire sooner stay behind."));
  table.push_back(integer_option(
      "filter.max_ttl_s", [](Options& o) -> std::int64_t& { return o.filter.max_ttl_s; },
      {-1, century_s}, "seconds",
      "Keys of the snapshot that expire later, or never, stay behind; -1 = no limit."));
}

void add_mapping(Table& table) {
  table.push_back(map_option(
      "databases.map", [](Options & o) -> auto& { return o.transform.databases; }, check_database,
      check_database, "map of numbers, like {1: 0}",
      "Database of the source: database of the target that its keys go to."));
  table.push_back(map_option(
      "databases.prefix", [](Options & o) -> auto& { return o.transform.database_prefix; },
      check_database, {}, "map, like {1: \"db1:\"}",
      "Database of the source: what is put in front of the names of its keys."));
  table.push_back(text_option(
      "transform.key_prefix.strip",
      [](Options& o) -> std::string& { return o.transform.key_prefix_strip; }, Empty::allowed,
      "text", "Taken off the names of keys that begin with it."));
  table.push_back(map_option(
      "transform.key_prefix.replace",
      [](Options & o) -> auto& { return o.transform.key_prefix_replace; }, {}, {},
      "map, like {\"old:\": \"new:\"}",
      "Beginning of a key's name: what it becomes; the longest one that fits counts."));
  table.push_back(text_option(
      "transform.key_prefix.add",
      [](Options& o) -> std::string& { return o.transform.key_prefix_add; }, Empty::allowed, "text",
      "Put in front of the name of every key."));
  const auto check_ttl = [](const std::string& text) -> std::string {
    return parse_ttl_policy(text) ? "" : "is neither keep nor none nor like +90s, -500ms, +2h, +1d";
  };
  table.push_back(checked_option(
      "transform.ttl", [](Options& o) -> std::string& { return o.transform.ttl; }, check_ttl,
      "keep|none|+TIME|-TIME, TIME like 500ms, 90s, 5m, 2h, 1d",
      "What becomes of the expiry of keys: kept, taken away, or moved."));
  table.push_back(text_option(
      "transform.script_file", [](Options& o) -> std::string& { return o.transform.script_file; },
      Empty::allowed, "path",
      "Lua 5.4 script whose function gets every command and says what to send instead."));
  table.push_back(choice_option<bool>(
      "transform.decode", [](Options& o) -> bool& { return o.transform.decode; },
      {{"true", true}, {"false", false}},
      "Give the script the elements of snapshot values rather than RESTORE."));
}

}  // namespace

void add_rule_options(Table& table) {
  add_filter(table);
  add_mapping(table);
}

}  // namespace keyferry
