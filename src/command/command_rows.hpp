// The rows of the command table: one per command, alphabetical within its group. Included by
// command_table.cpp only.
//
// Key positions: COMMAND of Redis 7.0.15 and src/commands/*.json of Redis 7.4 and newer; which
// names reach a replica: replication streams recorded from Redis 2.2 to 8.6 and Valkey 7.2 to 9.1.
// test/command/command_server_test.cpp compares the rows with the COMMAND reply of every server
// release at hand.
//
// "Absolute" is the cautious reading: what removes elements (HDEL, SREM, ZREM, LTRIM: an emptied
// key goes together with its TTL), reads other keys (SUNIONSTORE), or depends on positions (LSET)
// is not. Nor are the commands that set a field's TTL: delivered late they remove the field, and
// with the last one the key.
#pragma once

#include <array>

#include "keyferry/command/command_table.hpp"

namespace keyferry::rows {

constexpr CommandInfo keys(std::string_view name, int first = 1, int last = 1, int step = 1) {
  CommandInfo info;
  info.name = name;
  info.first = static_cast<std::int8_t>(first);
  info.last = static_cast<std::int8_t>(last);
  info.step = static_cast<std::int8_t>(step);
  return info;
}

constexpr CommandInfo absolute(CommandInfo info, AbsoluteWhen when = AbsoluteWhen::always) {
  info.is_absolute = true;
  info.absolute_when = when;
  return info;
}

constexpr CommandInfo split(CommandInfo info, SplitShape shape) {
  info.split = shape;
  return info;
}

constexpr CommandInfo ttl(CommandInfo info) {
  info.sets_ttl = true;
  return info;
}

constexpr CommandInfo flush(CommandInfo info) {
  info.flushes = true;
  return info;
}

constexpr CommandInfo shaped(KeyShape shape, CommandInfo info) {
  info.shape = shape;
  return info;
}

// args[first] = number of keys; a destination at `destination` when not 0.
constexpr CommandInfo counted(std::string_view name, int first, int destination = 0, int step = 1) {
  return shaped(KeyShape::num_keys, keys(name, first, destination, step));
}

constexpr CommandInfo keyless(std::string_view name, CommandKind kind) {
  CommandInfo info = shaped(KeyShape::none, keys(name, 0, 0, 0));
  info.kind = kind;
  return info;
}

constexpr CommandInfo never(CommandInfo info) {
  info.kind = CommandKind::never;
  return info;
}

constexpr std::array all{
    // Keys of any type.
    keys("COPY", 1, 2), absolute(split(keys("DEL", 1, -1), SplitShape::keys)),
    keys("DELEX"),    // Redis 8.4; reaches replicas as DEL
    keys("DELIFEQ"),  // Valkey 9.0; reaches replicas as DEL
    ttl(keys("EXPIRE")), ttl(absolute(keys("EXPIREAT"), AbsoluteWhen::no_option)), keys("MOVE"),
    ttl(absolute(keys("PERSIST"))), ttl(keys("PEXPIRE")),
    ttl(absolute(keys("PEXPIREAT"), AbsoluteWhen::no_option)), keys("RENAME", 1, 2),
    keys("RENAMENX", 1, 2), absolute(keys("RESTORE"), AbsoluteWhen::restore),
    absolute(keys("RESTORE-ASKING"), AbsoluteWhen::restore), shaped(KeyShape::sort, keys("SORT")),
    absolute(split(keys("UNLINK", 1, -1), SplitShape::keys)),

    // Strings and bitmaps.
    keys("APPEND"), keys("BITFIELD"), keys("BITOP", 2, -1), keys("DECR"), keys("DECRBY"),
    keys("GCRA"),  // reserved name of Redis 8.8
    absolute(keys("GETDEL")), keys("GETEX"), absolute(keys("GETSET")), keys("INCR"), keys("INCRBY"),
    keys("INCRBYFLOAT"),
    keys("INCREX"),  // Redis 8.8
    absolute(split(keys("MSET", 1, -1, 2), SplitShape::key_value_pairs)),
    absolute(counted("MSETEX", 1, 0, 2), AbsoluteWhen::msetex),  // Redis 8.4, Valkey 9.1
    split(keys("MSETNX", 1, -1, 2), SplitShape::key_value_pairs), absolute(keys("PSETEX")),
    absolute(keys("SET"), AbsoluteWhen::set), absolute(keys("SETBIT")), absolute(keys("SETEX")),
    keys("SETNX"), absolute(keys("SETRANGE")),

    // Lists.
    keys("BLMOVE", 1, 2), keys("BLMOVEM", 1, 2),  // Redis 8.10
    counted("BLMPOP", 2), keys("BLPOP", 1, -2), keys("BRPOP", 1, -2), keys("BRPOPLPUSH", 1, 2),
    keys("LINSERT"), keys("LMOVE", 1, 2), keys("LMOVEM", 1, 2),  // Redis 8.10
    counted("LMPOP", 1), keys("LPOP"), keys("LPUSH"), keys("LPUSHX"), keys("LREM"), keys("LSET"),
    keys("LTRIM"), keys("RPOP"), keys("RPOPLPUSH", 1, 2), keys("RPUSH"), keys("RPUSHX"),

    // Sets.
    absolute(keys("SADD")), keys("SDIFFSTORE", 1, -1), keys("SINTERSTORE", 1, -1),
    keys("SMOVE", 1, 2), keys("SPOP"), keys("SREM"), keys("SUNIONSTORE", 1, -1),

    // Sorted sets and places.
    counted("BZMPOP", 2), keys("BZPOPMAX", 1, -2), keys("BZPOPMIN", 1, -2),
    absolute(keys("GEOADD"), AbsoluteWhen::zadd), shaped(KeyShape::georadius, keys("GEORADIUS")),
    shaped(KeyShape::georadius, keys("GEORADIUSBYMEMBER")), keys("GEOSEARCHSTORE", 1, 2),
    absolute(keys("ZADD"), AbsoluteWhen::zadd), counted("ZDIFFSTORE", 2, 1), keys("ZINCRBY"),
    counted("ZINTERSTORE", 2, 1), counted("ZMPOP", 1), keys("ZPOPMAX"), keys("ZPOPMIN"),
    keys("ZRANGESTORE", 1, 2), keys("ZREM"), keys("ZREMRANGEBYLEX"), keys("ZREMRANGEBYRANK"),
    keys("ZREMRANGEBYSCORE"), counted("ZUNIONSTORE", 2, 1),

    // Hashes.
    keys("HDEL"),
    ttl(keys("HEXPIRE")),    // Redis 7.4, Valkey 9.0
    ttl(keys("HEXPIREAT")),  // Redis 7.4, Valkey 9.0
    keys("HGETDEL"),         // Redis 8.0, Valkey 9.1
    keys("HGETEX"),          // Redis 8.0, Valkey 9.0
    keys("HINCRBY"), keys("HINCRBYFLOAT"), absolute(keys("HMSET")),
    ttl(absolute(keys("HPERSIST"))),  // Redis 7.4, Valkey 9.0
    ttl(keys("HPEXPIRE")),            // Redis 7.4, Valkey 9.0
    ttl(keys("HPEXPIREAT")),          // Redis 7.4, Valkey 9.0
    absolute(keys("HSET")),
    absolute(keys(
        "HSETC")),  // Redis 8.10, internal: what HIMPORT SET leaves in the stream; replaces the key
    keys("HSETEX"),  // Redis 8.0, Valkey 9.0
    keys("HSETNX"),

    // HyperLogLog. PFCOUNT writes the cached count, so Redis may propagate it.
    keys("PFADD"), keys("PFCOUNT", 1, -1), keys("PFDEBUG", 2, 2), keys("PFMERGE", 1, -1),

    // Streams.
    keys("XACK"),
    keys("XACKDEL"),  // Redis 8.2
    keys("XADD"), keys("XAUTOCLAIM"),
    keys("XCFGSET"),  // Redis 8.6
    keys("XCLAIM"), keys("XDEL"),
    keys("XDELEX"),  // Redis 8.2
    keys("XGROUP", 2, 2),
    keys("XIDMPRECORD"),  // Redis 8.6, internal: AOF rewrite
    keys("XNACK"),        // Redis 8.8
    shaped(KeyShape::xread, keys("XREADGROUP")), keys("XSETID"), keys("XTRIM"),

    // Vector sets (Redis 8.0) and arrays (Redis 8.8).
    keys("ARDEL"), keys("ARDELRANGE"), keys("ARINSERT"), keys("ARMSET"), keys("ARRING"),
    keys("ARSEEK"), keys("ARSET"), keys("VADD"), keys("VREM"), keys("VSETATTR"),

    // Scripts: sources up to Redis 4.0 send them verbatim.
    counted("EVAL", 2), counted("EVALSHA", 2), counted("FCALL", 2),

    // No keys: every node, a channel, or the stream itself. A channel is not a key: filters on keys
    // must not see it.
    flush(keyless("FLUSHALL", CommandKind::all_nodes)),
    flush(keyless("FLUSHDB", CommandKind::all_nodes)), keyless("FUNCTION", CommandKind::all_nodes),
    keyless("SCRIPT", CommandKind::all_nodes), flush(keyless("SWAPDB", CommandKind::all_nodes)),
    keyless("PUBLISH", CommandKind::publish), keyless("SPUBLISH", CommandKind::spublish),
    keyless("EXEC", CommandKind::control), keyless("MULTI", CommandKind::control),
    keyless("PING", CommandKind::control), keyless("REPLCONF", CommandKind::control),
    keyless("SELECT", CommandKind::control),

    // Housekeeping of the source's own cluster; MIGRATE would move keys of the target away.
    keyless("CLUSTER", CommandKind::never), never(shaped(KeyShape::migrate, keys("MIGRATE", 3, 3))),
    keyless("TRIMSLOTS", CommandKind::never),  // Redis 8.4: slots that moved to another shard
};

}  // namespace keyferry::rows
