// What the target can take, as far as it follows from its family and version (INFO). Facts as
// data; decides nothing (choice.hpp does). Valkey split off from Redis 7.2, so every Valkey has
// what Redis had until then.
#pragma once

#include "keyferry/rdb/format.hpp"

namespace keyferry::rdb {

struct TargetTraits {
  Family family = Family::redis;
  int major = 7;
  int minor = 0;
};

// Of either family; Redis versions above 7.2 say nothing about Valkey and must not be asked here.
constexpr bool is_at_least(const TargetTraits& target, int major, int minor) {
  if (target.family == Family::valkey) return true;
  return target.major > major || (target.major == major && target.minor >= minor);
}
constexpr bool is_redis(const TargetTraits& target, int major, int minor) {
  return target.family == Family::redis && is_at_least(target, major, minor);
}
constexpr bool is_valkey(const TargetTraits& target, int major, int minor) {
  return target.family == Family::valkey &&
         (target.major > major || (target.major == major && target.minor >= minor));
}

// SET ... PXAT. Redis 6.2, command documentation of SET.
constexpr bool has_set_pxat(const TargetTraits& target) {
  return is_at_least(target, 6, 2);
}
// HPEXPIREAT. Redis 7.4, Valkey 9.0, command documentation.
constexpr bool has_field_ttl(const TargetTraits& target) {
  return is_redis(target, 7, 4) || is_valkey(target, 9, 0);
}
// XGROUP CREATECONSUMER. Redis 6.2, command documentation of XGROUP.
constexpr bool has_create_consumer(const TargetTraits& target) {
  return is_at_least(target, 6, 2);
}
// XSETID ENTRIESADDED MAXDELETEDID, XGROUP CREATE ENTRIESREAD. Redis 7.0, command documentation.
constexpr bool has_stream_counters(const TargetTraits& target) {
  return is_at_least(target, 7, 0);
}

// The newest RDB version a target reads and every server of its family since then agrees on
// (Redis rdb.h RDB_VERSION: 5.0 9, 7.0 10, 7.2 11, 7.4 12, 8.6 13, 8.8 14, 8.10 15). Valkey reads
// its own 80 besides.
constexpr int newest_redis_version(const TargetTraits& target) {
  if (target.family == Family::valkey) return 11;
  if (is_at_least(target, 8, 10)) return 15;
  if (is_at_least(target, 8, 8)) return 14;
  if (is_at_least(target, 8, 6)) return 13;
  if (is_at_least(target, 7, 4)) return 12;
  if (is_at_least(target, 7, 2)) return 11;
  return is_at_least(target, 7, 0) ? 10 : 9;
}

}  // namespace keyferry::rdb
