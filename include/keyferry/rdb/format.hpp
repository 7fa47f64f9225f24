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
constexpr std::uint8_t slot_info =
    244;  // RDB 12, cluster mode: slot, keys, expires. Redis 7.4 rdb.h
constexpr std::uint8_t function2 = 245;   // RDB 10: library source. Redis 7.0 rdb.h
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

// Value types that code asks for by name (Redis rdb.h RDB_TYPE_*).
namespace type {
constexpr std::uint8_t string = 0;
}  // namespace type

// How the bytes of a value follow each other behind its key:
//   s string        l length                  8 eight raw bytes       i string of 16 raw bytes
//   (stream node ID) d old double    c quicklist container     g 16 raw bytes (ID)     M module
//   items up to their end tag ( ... ) a length, then that many times what is between the
//   parentheses
// Streams: header, entries, groups with their pending entries, consumers with their own (Redis 7.2
// rdb.c rdbSaveObject, OBJ_STREAM).
namespace layout {
constexpr const char* one_string = "s";
constexpr const char* strings = "(s)";
constexpr const char* string_pairs = "(ss)";
constexpr const char* stream = "(is)lll(sll(g8l)(s8(g)))";
constexpr const char* stream2 = "(is)llllllll(slll(g8l)(s8(g)))";
constexpr const char* stream3 = "(is)llllllll(slll(g8l)(s88(g)))";
constexpr const char* module = "lM";
}  // namespace layout

struct ValueType {
  const char* name = nullptr;  // as in rdb.h, lower case; nullptr: not a type this reader knows
  const char* layout = nullptr;
  bool refuses_empty =
      false;  // zero elements: servers skip the key (Redis >= 6.2 rdb.c RDB_LOAD_ERR_EMPTY_KEY)
};

// Types common to Redis and Valkey, and those of the Redis dialect that are read, by type byte.
// Types 6 (module of 4.0 release candidates) cannot be stepped over; 8 was never used.
constexpr std::array<ValueType, 26> value_types = {{
    /*  0 RDB 1, Redis 2.2  */ {"string", layout::one_string},
    /*  1 RDB 1, Redis 2.2  */ {"list", layout::strings, true},
    /*  2 RDB 1, Redis 2.2  */ {"set", layout::strings, true},
    /*  3 RDB 1, Redis 2.2  */ {"zset", "(sd)", true},
    /*  4 RDB 1, Redis 2.2  */ {"hash", layout::string_pairs, true},
    /*  5 RDB 8, Redis 4.0  */ {"zset_2", "(s8)", true},
    /*  6 */ {},
    /*  7 RDB 8, Redis 4.0  */ {"module_2", layout::module},
    /*  8 */ {},
    /*  9 RDB 2, Redis 2.4  */ {"hash_zipmap", layout::one_string},
    /* 10 RDB 2, Redis 2.4  */ {"list_ziplist", layout::one_string},
    /* 11 RDB 2, Redis 2.4  */ {"set_intset", layout::one_string},
    /* 12 RDB 2, Redis 2.4  */ {"zset_ziplist", layout::one_string},
    /* 13 RDB 4, Redis 2.6  */ {"hash_ziplist", layout::one_string},
    /* 14 RDB 7, Redis 3.2  */ {"list_quicklist", layout::strings, true},
    /* 15 RDB 9, Redis 5.0  */ {"stream_listpacks", layout::stream},
    /* 16 RDB 10, Redis 7.0 */ {"hash_listpack", layout::one_string},
    /* 17 RDB 10, Redis 7.0 */ {"zset_listpack", layout::one_string},
    /* 18 RDB 10, Redis 7.0 */ {"list_quicklist_2", "(cs)", true},
    /* 19 RDB 10, Redis 7.0 */ {"stream_listpacks_2", layout::stream2},
    /* 20 RDB 11, Redis 7.2 */ {"set_listpack", layout::one_string},
    /* 21 RDB 11, Redis 7.2 */ {"stream_listpacks_3", layout::stream3},
    /* 22 Redis: 7.4 release candidates only; Valkey 9.0: hash with field TTLs */ {},
    /* 23 Redis: 7.4 release candidates only; Valkey 9.2 */ {},
    /* 24 RDB 12, Redis 7.4 */ {"hash_metadata", "8(lss)", true},
    /* 25 RDB 12, Redis 7.4 */ {"hash_listpack_ex", "8s"},
}};

constexpr std::uint8_t first_dialect_type = 22;
constexpr int first_version_with_field_ttl = 12;

// The row of `byte` in `dialect`; its name is nullptr when this reader cannot step over such a
// value.
constexpr ValueType value_type(std::uint8_t byte, Dialect dialect) {
  if (byte >= value_types.size()) return {};
  const bool redis12 =
      dialect.family == Family::redis && dialect.version >= first_version_with_field_ttl;
  return byte < first_dialect_type || redis12 ? value_types[byte] : ValueType{};
}

}  // namespace keyferry::rdb
