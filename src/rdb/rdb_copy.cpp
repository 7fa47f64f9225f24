#include "keyferry/rdb/rdb_copy.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "keyferry/base/checksum.hpp"

namespace keyferry::rdb {
namespace {

constexpr int valkey_version = 80;  // Valkey 9.0 rdb.h RDB_VERSION
constexpr int first_version_with_functions = 10;
constexpr int oldest_version_written = 9;  // Redis 5.0
// Values that refer to templates elsewhere in their file.
constexpr std::uint8_t template_listpack_ref = 30;
constexpr std::uint8_t template_array_ref = 32;

// What is true of the data wherever it is loaded (Redis rdb.c rdbSaveInfoAuxFields).
constexpr std::array<ByteView, 6> kept_aux = {"redis-ver", "valkey-ver", "redis-bits",
                                              "ctime",     "used-mem",   "lua"};

void append_number(Bytes& out, std::uint64_t value, int size, bool is_big_endian) {
  for (int i = 0; i < size; ++i)
    out += static_cast<char>(value >> (8 * (is_big_endian ? size - 1 - i : i)));
}

// Redis rdb.c rdbSaveLen.
void append_length(Bytes& out, std::uint64_t length) {
  if (length < 64) {
    out += static_cast<char>(length);
  } else if (length < 16384) {
    append_number(out, 0x4000 | length, 2, true);
  } else if (length <= std::numeric_limits<std::uint32_t>::max()) {
    out += static_cast<char>(length_32bit);
    append_number(out, length, 4, true);
  } else {
    out += static_cast<char>(length_64bit);
    append_number(out, length, 8, true);
  }
}

void append_string(Bytes& out, ByteView text) {
  append_length(out, text.size());
  out += text;
}

void append_opcode(Bytes& out, std::uint8_t code) {
  out += static_cast<char>(code);
}

}  // namespace

TargetTraits oldest_reader_of(Dialect dialect) {
  if (dialect.family == Family::valkey) return {Family::valkey, 9, 0};
  switch (dialect.version) {
    case 10:
      return {Family::redis, 7, 0};
    case 11:
      return {Family::redis, 7, 2};
    case 12:
      return {Family::redis, 7, 4};
    case 13:
      return {Family::redis, 8, 6};
    case 14:
      return {Family::redis, 8, 8};
    default:
      return dialect.version < 10 ? TargetTraits{Family::redis, 5, 0}
                                  : TargetTraits{Family::redis, 8, 10};
  }
}

Dialect newest_dialect_of(const TargetTraits& target) {
  if (is_valkey(target, 9, 0)) return {Family::valkey, valkey_version};
  return {Family::redis, newest_redis_version(target)};
}

void RdbCopy::begin(Bytes& out, Dialect source, const TargetTraits* target) {
  source_ = source;
  written_ = target != nullptr ? newest_dialect_of(*target) : source;
  // Older versions differ in numbers and checksum, not in values.
  if (written_.family == Family::redis)
    written_.version = std::max(written_.version, oldest_version_written);
  target_ = target != nullptr ? *target : oldest_reader_of(source);
  is_same_ = target == nullptr ||
             (written_.family == source_.family && written_.version == source_.version);
  crc_ = 0;
  const std::size_t at = out.size();
  out += written_.family == Family::valkey ? fmt::format("VALKEY{:03}", written_.version)
                                           : fmt::format("REDIS{:04}", written_.version);
  crc_ = crc64(crc_, ByteView(out).substr(at));
  // Redis 7.0 rdb.c rdbSaveInfoAuxFields.
  if (is_base_) aux("aof-base", "1", out);
}

void RdbCopy::go_on(Dialect source) {
  source_ = source;
  is_same_ = written_.family == source_.family && written_.version == source_.version;
}

bool RdbCopy::has_functions() const {
  return written_.version >= first_version_with_functions;
}

Choice::Loss RdbCopy::judge(const Event& key) const {
  if (!key.key_meta.empty() && !is_same_) return Choice::Loss::key_meta;
  const bool is_reference = source_.family == Family::redis &&
                            (key.type == template_listpack_ref || key.type == template_array_ref);
  if (is_reference) return Choice::Loss::value;
  if (is_same_ || key.type == type::module_2) return Choice::Loss::nothing;
  ChoiceRules rules;
  rules.restore_max_bytes = std::numeric_limits<std::size_t>::max();
  const Choice choice = choose(key.type, "", 0, source_, target_, rules);
  return choice.way == Choice::Way::raw ? Choice::Loss::nothing : Choice::Loss::value;
}

void RdbCopy::aux(ByteView name, ByteView text, Bytes& out) {
  const std::size_t at = out.size();
  append_opcode(out, opcode::aux);
  append_string(out, name);
  append_string(out, text);
  crc_ = crc64(crc_, ByteView(out).substr(at));
}

void RdbCopy::head_of_key(const Event& event, Bytes& out) {
  if (event.expire_ms) {
    append_opcode(out, opcode::expire_time_ms);
    append_number(out, static_cast<std::uint64_t>(*event.expire_ms), 8, false);
  }
  if (event.idle_s) {
    append_opcode(out, opcode::idle);
    append_length(out, *event.idle_s);
  }
  if (event.freq) {
    append_opcode(out, opcode::freq);
    out += static_cast<char>(*event.freq);
  }
  if (!event.key_meta.empty()) {
    append_opcode(out, opcode::key_meta);
    out += event.key_meta;
  }
  append_opcode(out, event.type);
  append_string(out, event.key);
}

void RdbCopy::take(const Event& event, ByteView consumed, Bytes& out) {
  using Kind = Event::Kind;
  if (event.kind == Kind::aux) {
    if (std::find(kept_aux.begin(), kept_aux.end(), event.name) != kept_aux.end())
      aux(event.name, event.text, out);
    return;
  }
  const std::size_t at = out.size();
  switch (event.kind) {
    case Kind::select_db:
      append_opcode(out, opcode::select_db);
      append_length(out, static_cast<std::uint64_t>(event.db));
      break;
    case Kind::resize_db:
      append_opcode(out, opcode::resize_db);
      append_length(out, event.db_keys);
      append_length(out, event.db_expires);
      break;
    case Kind::function:
      append_opcode(out, opcode::function2);
      append_string(out, event.text);
      break;
    case Kind::key:
      head_of_key(event, out);
      out += event.value;
      break;
    case Kind::big_key:
      head_of_key(event, out);
      break;
    case Kind::element:
    case Kind::big_key_end:
      out += consumed;
      break;
    case Kind::header:
    case Kind::aux:
    case Kind::skipped:
    case Kind::end:
      break;
  }
  crc_ = crc64(crc_, ByteView(out).substr(at));
}

void RdbCopy::end(Bytes& out) {
  const std::size_t at = out.size();
  append_opcode(out, opcode::eof);
  crc_ = crc64(crc_, ByteView(out).substr(at));
  append_number(out, crc_, static_cast<int>(checksum_size), false);
}

}  // namespace keyferry::rdb
