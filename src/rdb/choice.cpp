#include "keyferry/rdb/choice.hpp"

#include <algorithm>
#include <array>

#include "keyferry/rdb/cursor.hpp"

namespace keyferry::rdb {
namespace {

constexpr std::uint8_t module_2 = 7;
constexpr std::uint8_t array = 28;
constexpr int valkey_version = 80;  // Valkey 9.1.2 rdb.h RDB_VERSION
constexpr int never = 99;

// The first release that restores a type. Measured with RESTORE on Redis 5.0 to 8.6 and Valkey 7.2
// to 9.1; Redis 8.8 and later from their documentation.
struct TypeRow {
  int major = never;
  int minor = 0;
  bool has_commands = true;  // it can be rewritten for targets without the type
  bool has_field_ttls = false;
};

constexpr TypeRow before_5 = {0, 0};

// Types 0 to 21 are common to both families; Valkey has had all of them from its start.
constexpr std::array<TypeRow, 34> redis_types = {{
    before_5,                // 0 string
    before_5,                // 1 list
    before_5,                // 2 set
    before_5,                // 3 zset
    before_5,                // 4 hash
    before_5,                // 5 zset_2
    {never, 0, false},       // 6
    {never, 0, false},       // 7 module_2: see choose_module
    {never, 0, false},       // 8
    before_5,                // 9 hash_zipmap
    before_5,                // 10 list_ziplist
    before_5,                // 11 set_intset
    before_5,                // 12 zset_ziplist
    before_5,                // 13 hash_ziplist
    before_5,                // 14 list_quicklist
    before_5,                // 15 stream
    {7, 0},                  // 16 hash_listpack
    {7, 0},                  // 17 zset_listpack
    {7, 0},                  // 18 list_quicklist_2
    {7, 0},                  // 19 stream_2
    {7, 2},                  // 20 set_listpack
    {7, 2},                  // 21 stream_3
    {never, 0, true, true},  // 22 hash_metadata of 7.4 release candidates
    {never, 0, true, true},  // 23 hash_listpack_ex of 7.4 release candidates
    {7, 4, true, true},      // 24 hash_metadata
    {7, 4, true, true},      // 25 hash_listpack_ex
    {8, 6},                  // 26 stream_4
    {8, 8},                  // 27 stream_5
    {8, 8, false},           // 28 array: commands only where the type is known
    {8, 10},                 // 29 hash with template, listpack
    {never, 0},              // 30 the same, referring to the file's templates
    {8, 10},                 // 31 hash with template, array
    {never, 0},              // 32 the same, referring to the file's templates
    {never, 0, false},       // 33
}};
constexpr std::uint8_t first_dialect_type_row = 22;
constexpr std::array<TypeRow, 2> valkey_types = {{
    {9, 0, true, true},  // 22 hash_2
    {9, 2, false},       // 23 path_hash
}};

// Which modules bring a value type. A type that is not here: see choose_module.
struct ModuleRow {
  std::string_view type;
  std::string_view module;
};
constexpr ModuleRow module_rows[] = {
    {"ReJSON-RL", "ReJSON"},    {"ReJSON-RL", "json"},       {"TSDB-TYPE", "timeseries"},
    {"MBbloom--", "bf"},        {"MBbloomCF", "bf"},         {"CMSk-TYPE", "bf"},
    {"TopK-TYPE", "bf"},        {"TDIS-TYPE", "bf"},         {"bloomfltr", "bf"},
    {"vectorset", "vectorset"}, {"exstrtype", "tairstring"}, {"tairhash-", "tairhash"},
    {"tairzset_", "tairzset"},
};

TypeRow row_of(std::uint8_t type, Dialect source) {
  const bool valkey = source.family == Family::valkey && type >= first_dialect_type_row;
  if (!valkey) return type < redis_types.size() ? redis_types[type] : TypeRow{never, 0, false};
  const std::size_t at = type - first_dialect_type_row;
  return at < valkey_types.size() ? valkey_types[at] : TypeRow{never, 0, false};
}

bool can_restore(std::uint8_t type, const TypeRow& row, Dialect source,
                 const TargetTraits& target) {
  if (row.major == never) return false;
  if (type < first_dialect_type_row) return is_at_least(target, row.major, row.minor);
  return source.family == Family::valkey ? is_valkey(target, row.major, row.minor)
                                         : is_redis(target, row.major, row.minor);
}

int footer_version(std::uint8_t type, Dialect source, const TargetTraits& target) {
  if (source.family == Family::valkey && type >= first_dialect_type_row) return valkey_version;
  return std::min(source.version, newest_redis_version(target));
}

// Servers before 6.2 end when they are given a type of a module they lack (measured with 4.0, 5.0
// and 6.0); later ones refuse it, so a type of no known module may be tried there.
bool has_module(ByteView value, const TargetTraits& target, std::span<const std::string> modules) {
  const std::string type = module_type_name(value);
  bool listed = false;
  for (const ModuleRow& row : module_rows) {
    if (row.type != type) continue;
    listed = true;
    if (std::find(modules.begin(), modules.end(), row.module) != modules.end()) return true;
  }
  return !listed && is_at_least(target, 6, 2);
}

}  // namespace

Choice choose(std::uint8_t type, ByteView value, std::size_t bytes, Dialect source,
              const TargetTraits& target, const ChoiceRules& rules) {
  Choice choice;
  choice.version = footer_version(type, source, target);
  if (type == module_2) {
    if (!rules.refused[type] && has_module(value, target, rules.modules)) return choice;
    choice.way = Choice::Way::nothing;
    choice.loss = Choice::Loss::module;
    return choice;
  }
  const TypeRow row = row_of(type, source);
  const bool fits = can_restore(type, row, source, target) && !rules.refused[type];
  if (fits && bytes <= rules.restore_max_bytes) return choice;
  if (!row.has_commands && !(fits && type == array)) {
    choice.way = Choice::Way::nothing;
    choice.loss = Choice::Loss::value;
    return choice;
  }
  choice.way = Choice::Way::rewrite;
  if (row.has_field_ttls && !has_field_ttl(target)) choice.loss = Choice::Loss::field_ttls;
  return choice;
}

const char* describe(Choice::Loss loss) {
  switch (loss) {
    case Choice::Loss::nothing:
      break;
    case Choice::Loss::field_ttls:
      return "the expiry times of its fields: the target has none";
    case Choice::Loss::remembered:
      return "the ids of its idempotent XADDs: no command sets them";
    case Choice::Loss::key_meta:
      return "the metadata that modules have attached to it";
    case Choice::Loss::value:
      return "its value: the target has no such type";
    case Choice::Loss::module:
      return "its value: the target lacks the module";
  }
  return "nothing";
}

std::string module_type_name(ByteView value) {
  // 64 bits: nine letters of six bits, then ten bits of version. Redis 4.0 module.c
  // moduleTypeEncodeId.
  constexpr std::string_view letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  Cursor in(value, 0);
  const std::uint64_t id = in.length();
  if (!in.ok()) return "";
  std::string name;
  for (int shift = 58; shift >= 10; shift -= 6)
    name += letters[(id >> shift) & 63];
  return name;
}

}  // namespace keyferry::rdb
