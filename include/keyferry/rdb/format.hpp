// Numbers of the RDB format, each with where it comes from. Type bytes are read together with the
// Dialect: Redis and Valkey forked behind RDB 11. (Values: Redis 7.0.15 rdb.h; Valkey 9.1.2 rdb.h.)
// Names and facts only: value_walker steps over values by the layouts given here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "keyferry/base/bytes.hpp"

namespace keyferry::rdb {

enum class Family : std::uint8_t { redis, valkey };

// From the magic: "REDIS0010" or "VALKEY080". Before the magic was read: version 0.
struct Dialect {
  Family family = Family::redis;
  int version = 0;
};

// "REDIS" and 4 digits, or since Valkey 9.0 "VALKEY" and 3 digits (Valkey 9.1.2 rdb.c rdbSaveRio).
constexpr std::size_t magic_size = 9;
constexpr ByteView redis_magic = "REDIS";
constexpr ByteView valkey_magic = "VALKEY";

// Files from this version on end with 8 bytes of CRC64, little endian; 0 = not computed (Redis 2.6
// rdb.c).
constexpr int first_version_with_checksum = 5;
constexpr std::size_t checksum_size = 8;

// What the first byte of a record may be besides a value type. Names: Redis rdb.h RDB_OPCODE_*.
namespace opcode {
// Redis Enterprise, between keys: one length each (a file of librdb's tests; Redis Enterprise).
constexpr std::uint8_t enterprise_ram_lru = 107;
constexpr std::uint8_t enterprise_slot_num = 121;
constexpr std::uint8_t hash_template =
    242;  // Redis, RDB 15: id, field names of many hashes. Redis 8.10 (documentation)
constexpr std::uint8_t update = 242;  // Valkey, RDB 81: a command inside the snapshot. Not read
constexpr std::uint8_t key_meta =
    243;  // Redis, RDB 13: module data of the next key. Redis 8.6 rdb.h
constexpr std::uint8_t slot_import =
    243;  // Valkey, RDB 80: job, slots that are not the source's yet. Valkey 9.1.2 rdb.h
constexpr std::uint8_t slot_info =
    244;  // RDB 12, cluster mode: slot, keys, expires. Redis 7.4 rdb.h
constexpr std::uint8_t function2 = 245;  // RDB 10: library source. Redis 7.0 rdb.h
constexpr std::uint8_t function_pre_ga =
    246;  // RDB 10, 7.0-rc1 and rc2: name, engine, description, source. Redis 7.0 rdb.h
constexpr std::uint8_t module_aux = 247;  // RDB 9: module data outside of keys. Redis 5.0 rdb.h
constexpr std::uint8_t idle = 248;        // RDB 9: seconds, maxmemory-policy *lru. Redis 5.0 rdb.h
constexpr std::uint8_t freq = 249;        // RDB 9: one byte, maxmemory-policy *lfu. Redis 5.0 rdb.h
constexpr std::uint8_t aux = 250;         // RDB 7: name, text. Redis 3.2 rdb.h
constexpr std::uint8_t resize_db = 251;   // RDB 7: keys, expires: hints. Redis 3.2 rdb.h
constexpr std::uint8_t expire_time_ms =
    252;  // RDB 3: int64, little endian since RDB 9. Redis 2.6 rdb.h
constexpr std::uint8_t expire_time =
    253;                                 // RDB 1: int32 seconds, no longer written. Redis 2.2 rdb.h
constexpr std::uint8_t select_db = 254;  // RDB 1. Redis 2.2 rdb.h
constexpr std::uint8_t eof = 255;        // RDB 1. Redis 2.2 rdb.h
}  // namespace opcode

// Special string encodings: low six bits of a length byte 11xxxxxx (Redis rdb.h RDB_ENC_*).
namespace string_encoding {
constexpr std::uint8_t int8 = 0;
constexpr std::uint8_t int16 = 1;
constexpr std::uint8_t int32 = 2;
constexpr std::uint8_t lzf = 3;
}  // namespace string_encoding

// Length bytes that announce a wider big-endian number (Redis rdb.h RDB_32BITLEN, RDB_64BITLEN of
// RDB 8).
constexpr std::uint8_t length_32bit = 0x80;
constexpr std::uint8_t length_64bit = 0x81;

// Limits that no true snapshot exceeds: proto-max-bulk-len ends below 4 GiB in practice (default
// 512 MiB), and a collection of 2^40 elements would not fit into any machine.
constexpr std::uint64_t max_string_bytes = std::uint64_t{4} << 30;
constexpr std::uint64_t max_elements = std::uint64_t{1} << 40;

// Hash slots of a cluster (Redis cluster.h CLUSTER_SLOTS).
constexpr std::uint64_t slot_count = 16384;

// First RDB versions of the opcodes that mean nothing, or something else, before.
constexpr int first_version_with_key_meta = 13;
constexpr int first_version_with_templates = 15;
constexpr int first_valkey_version = 80;

// Value types that code asks for by name (Redis rdb.h RDB_TYPE_*).
namespace type {
constexpr std::uint8_t string = 0;
constexpr std::uint8_t module_2 = 7;
constexpr std::uint8_t stream_listpacks = 15;
constexpr std::uint8_t stream_listpacks_2 = 19;
constexpr std::uint8_t stream_listpacks_3 = 21;
constexpr std::uint8_t stream_listpacks_4 = 26;
constexpr std::uint8_t stream_listpacks_5 = 27;
}  // namespace type

// How the bytes of a value follow each other behind its key:
//   s string        l length                  8 eight raw bytes       i string of 16 raw bytes
//   (stream node ID) d old double    c quicklist container     g 16 raw bytes (ID)     M module
//   items up to their end tag        4 four raw bytes         ( ... ) a length, then that many
//   times what is between the parentheses
// Streams: header, entries, groups with their pending entries, consumers with their own (Redis 7.2
// rdb.c rdbSaveObject, OBJ_STREAM); since RDB 13 the table of XADD IDMP, since RDB 14 each group's
// entries without owner.
namespace layout {
constexpr const char* one_string = "s";
constexpr const char* strings = "(s)";
constexpr const char* string_pairs = "(ss)";
constexpr const char* stream = "(is)lll(sll(g8l)(s8(g)))";
constexpr const char* stream2 = "(is)llllllll(slll(g8l)(s8(g)))";
constexpr const char* stream3 = "(is)llllllll(slll(g8l)(s88(g)))";
constexpr const char* stream4 = "(is)llllllll(slll(g8l)(s88(g)))ll(s(sll))ll";
constexpr const char* stream5 = "(is)llllllll(slll(g8l)(s88(g))(g))ll(s(sll))ll";
constexpr const char* module = "lM";
constexpr const char* slot_import = "s(ll)";
constexpr const char* key_meta = "(4M)";
// No layout describes it: its end is where its elements end.
constexpr const char* by_elements = nullptr;
}  // namespace layout

enum class DataType : std::uint8_t { string, list, set, zset, hash, module, stream, array };

// What TYPE answers.
constexpr const char* data_type_name(DataType type) {
  constexpr std::array<const char*, 8> names = {"string", "list",   "set",    "zset",
                                                "hash",   "module", "stream", "array"};
  return names.at(static_cast<std::size_t>(type));
}

struct ValueType {
  const char* name = nullptr;  // as in rdb.h, lower case; nullptr: not a type this reader knows
  DataType data = DataType::string;
  const char* encoding = "";
  const char* layout = nullptr;
  bool refuses_empty =
      false;      // zero elements: servers skip the key (Redis >= 6.2 rdb.c RDB_LOAD_ERR_EMPTY_KEY)
  int since = 0;  // types behind the fork: the first RDB version of the dialect that has it
};

// Types common to Redis and Valkey (below first_dialect_type), and those of the Redis dialect, by
// type byte. Type 6 (module of 4.0 release candidates) cannot be stepped over; 8 was never used; 33
// is reserved.
inline constexpr std::array<ValueType, 33> redis_types = {{
    /*  0 RDB 1, Redis 2.2  */ {"string", DataType::string, "plain", layout::one_string},
    /*  1 RDB 1, Redis 2.2  */ {"list", DataType::list, "linkedlist", layout::strings, true},
    /*  2 RDB 1, Redis 2.2  */ {"set", DataType::set, "hashtable", layout::strings, true},
    /*  3 RDB 1, Redis 2.2  */ {"zset", DataType::zset, "skiplist", "(sd)", true},
    /*  4 RDB 1, Redis 2.2  */ {"hash", DataType::hash, "hashtable", layout::string_pairs, true},
    /*  5 RDB 8, Redis 4.0  */ {"zset_2", DataType::zset, "skiplist", "(s8)", true},
    /*  6 */ {},
    /*  7 RDB 8, Redis 4.0  */ {"module_2", DataType::module, "module", layout::module},
    /*  8 */ {},
    /*  9 RDB 2, Redis 2.4  */ {"hash_zipmap", DataType::hash, "zipmap", layout::one_string},
    /* 10 RDB 2, Redis 2.4  */ {"list_ziplist", DataType::list, "ziplist", layout::one_string},
    /* 11 RDB 2, Redis 2.4  */ {"set_intset", DataType::set, "intset", layout::one_string},
    /* 12 RDB 2, Redis 2.4  */ {"zset_ziplist", DataType::zset, "ziplist", layout::one_string},
    /* 13 RDB 4, Redis 2.6  */ {"hash_ziplist", DataType::hash, "ziplist", layout::one_string},
    /* 14 RDB 7, Redis 3.2  */
    {"list_quicklist", DataType::list, "quicklist", layout::strings, true},
    /* 15 RDB 9, Redis 5.0  */ {"stream_listpacks", DataType::stream, "stream", layout::stream},
    /* 16 RDB 10, Redis 7.0 */ {"hash_listpack", DataType::hash, "listpack", layout::one_string},
    /* 17 RDB 10, Redis 7.0 */ {"zset_listpack", DataType::zset, "listpack", layout::one_string},
    /* 18 RDB 10, Redis 7.0 */ {"list_quicklist_2", DataType::list, "quicklist", "(cs)", true},
    /* 19 RDB 10, Redis 7.0 */ {"stream_listpacks_2", DataType::stream, "stream", layout::stream2},
    /* 20 RDB 11, Redis 7.2 */ {"set_listpack", DataType::set, "listpack", layout::one_string},
    /* 21 RDB 11, Redis 7.2 */ {"stream_listpacks_3", DataType::stream, "stream", layout::stream3},
    // 22 and 23: written by 7.4 release candidates only, still read by 7.4 to 8.6 (RESTORE matrix)
    /* 22 RDB 12, 7.4-rc1  */
    {"hash_metadata_pre_ga", DataType::hash, "hashtable", "(lss)", true, 12},
    /* 23 RDB 12, 7.4-rc1  */
    {"hash_listpack_ex_pre_ga", DataType::hash, "listpack", layout::one_string, false, 12},
    /* 24 RDB 12, Redis 7.4 */ {"hash_metadata", DataType::hash, "hashtable", "8(lss)", true, 12},
    /* 25 RDB 12, Redis 7.4 */
    {"hash_listpack_ex", DataType::hash, "listpack", "8s", false, 12},
    /* 26 RDB 13, Redis 8.6 */
    {"stream_listpacks_4", DataType::stream, "stream", layout::stream4, false, 13},
    // From here on: known from documentation and our own encoder, no server was at hand.
    /* 27 RDB 14, Redis 8.8 */
    {"stream_listpacks_5", DataType::stream, "stream", layout::stream5, false, 14},
    /* 28 RDB 14, Redis 8.8 */ {"array", DataType::array, "array", layout::by_elements, true, 14},
    /* 29 RDB 15, Redis 8.10 (DUMP) */
    {"hash_template_listpack", DataType::hash, "template", layout::by_elements, false, 15},
    /* 30 RDB 15, Redis 8.10 */
    {"hash_template_listpack_ref", DataType::hash, "template", layout::by_elements, false, 15},
    /* 31 RDB 15, Redis 8.10 (DUMP) */
    {"hash_template_array", DataType::hash, "template", layout::by_elements, false, 15},
    /* 32 RDB 15, Redis 8.10 */
    {"hash_template_array_ref", DataType::hash, "template", layout::by_elements, false, 15},
}};

constexpr std::uint8_t first_dialect_type = 22;

// Valkey's own types, from first_dialect_type on (Valkey 9.1.2 rdb.h). 23 (RDB 81) is not read: a
// source only writes it to replicas that announce Valkey 9.2.
inline constexpr std::array<ValueType, 1> valkey_types = {{
    /* 22 RDB 80, Valkey 9.0 */ {"hash_2", DataType::hash, "hashtable", "(ss8)", true, 80},
}};

// Stands for every type byte that this reader does not know.
inline constexpr ValueType no_value_type;

// The row of `byte` in `dialect`; its name is nullptr when this reader cannot step over such a
// value. The row lives as long as the program.
constexpr const ValueType& value_type(std::uint8_t byte, Dialect dialect) {
  const ValueType* row = &no_value_type;
  if (byte < first_dialect_type || dialect.family == Family::redis) {
    if (byte < redis_types.size()) row = &redis_types[byte];
  } else if (byte - std::size_t{first_dialect_type} < valkey_types.size()) {
    row = &valkey_types[byte - std::size_t{first_dialect_type}];
  }
  return row->since <= dialect.version ? *row : no_value_type;
}

}  // namespace keyferry::rdb
