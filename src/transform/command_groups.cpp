#include "command_groups.hpp"

#include <algorithm>
#include <unordered_map>

namespace keyferry {
namespace {

struct GroupRow {
  ByteView group;
  ValueKind kind;
  std::vector<ByteView> commands;
};

// COMMAND DOCS of Redis 7.0.15 to 8.6 and Valkey 9.1; a group's other commands only read.
// RESTORE carries its type in its payload, so the group says nothing about it.
const std::vector<GroupRow>& group_rows() {
  using K = ValueKind;
  static const std::vector<GroupRow> rows = {
      {"generic",
       K::unknown,
       {"COPY", "DEL", "EXPIRE", "EXPIREAT", "MIGRATE", "MOVE", "PERSIST", "PEXPIRE", "PEXPIREAT",
        "RENAME", "RENAMENX", "RESTORE", "RESTORE-ASKING", "SORT", "UNLINK"}},
      {"string", K::string, {"APPEND", "DECR",  "DECRBY",  "DELEX",  "DELIFEQ", "GCRA",
                             "GETDEL", "GETEX", "GETSET",  "INCR",   "INCRBY",  "INCRBYFLOAT",
                             "INCREX", "MSET",  "MSETEX",  "MSETNX", "PSETEX",  "SET",
                             "SETEX",  "SETNX", "SETRANGE"}},
      {"bitmap", K::string, {"BITFIELD", "BITOP", "SETBIT"}},
      {"hyperloglog", K::string, {"PFADD", "PFCOUNT", "PFDEBUG", "PFMERGE"}},
      {"list", K::list, {"BLMOVE",     "BLMOVEM", "BLMPOP",    "BLPOP",  "BRPOP",
                         "BRPOPLPUSH", "LINSERT", "LMOVE",     "LMOVEM", "LMPOP",
                         "LPOP",       "LPUSH",   "LPUSHX",    "LREM",   "LSET",
                         "LTRIM",      "RPOP",    "RPOPLPUSH", "RPUSH",  "RPUSHX"}},
      {"set",
       K::set,
       {"SADD", "SDIFFSTORE", "SINTERSTORE", "SMOVE", "SPOP", "SREM", "SUNIONSTORE"}},
      {"sorted-set",
       K::zset,
       {"BZMPOP", "BZPOPMAX", "BZPOPMIN", "ZADD", "ZDIFFSTORE", "ZINCRBY", "ZINTERSTORE", "ZMPOP",
        "ZPOPMAX", "ZPOPMIN", "ZRANGESTORE", "ZREM", "ZREMRANGEBYLEX", "ZREMRANGEBYRANK",
        "ZREMRANGEBYSCORE", "ZUNIONSTORE"}},
      {"geo", K::zset, {"GEOADD", "GEORADIUS", "GEORADIUSBYMEMBER", "GEOSEARCHSTORE"}},
      {"hash",
       K::hash,
       {"HDEL", "HEXPIRE", "HEXPIREAT", "HGETDEL", "HGETEX", "HINCRBY", "HINCRBYFLOAT", "HMSET",
        "HPERSIST", "HPEXPIRE", "HPEXPIREAT", "HSET", "HSETC", "HSETEX", "HSETNX"}},
      {"stream",
       K::stream,
       {"XACK", "XACKDEL", "XADD", "XAUTOCLAIM", "XCFGSET", "XCLAIM", "XDEL", "XDELEX", "XGROUP",
        "XIDMPRECORD", "XNACK", "XREADGROUP", "XSETID", "XTRIM"}},
      {"array",
       K::array,
       {"ARDEL", "ARDELRANGE", "ARINSERT", "ARMSET", "ARRING", "ARSEEK", "ARSET"}},
      {"vector-set", K::module, {"VADD", "VREM", "VSETATTR"}},
      {"pubsub", K::unknown, {"PUBLISH", "SPUBLISH"}},
      {"scripting", K::unknown, {"EVAL", "EVALSHA", "FCALL", "FUNCTION", "SCRIPT"}},
      {"server",
       K::unknown,
       {"CLUSTER", "EXEC", "FLUSHALL", "FLUSHDB", "MULTI", "PING", "REPLCONF", "SELECT", "SWAPDB",
        "TRIMSLOTS"}},
  };
  return rows;
}

std::unordered_map<ByteView, std::size_t> make_groups() {
  std::unordered_map<ByteView, std::size_t> groups;
  for (const GroupRow& row : group_rows()) {
    for (const ByteView command : row.commands)
      groups.emplace(command, group_index(row.group));
  }
  return groups;
}

}  // namespace

std::size_t group_index(ByteView name) {
  const std::vector<std::string>& names = group_names();
  const auto at = std::find(names.begin(), names.end(), name);
  KEYFERRY_ASSERT(at != names.end());
  return static_cast<std::size_t>(at - names.begin());
}

// What the table lacks was learnt from the target: a module's.
std::size_t group_of(const CommandInfo& info) {
  static const std::unordered_map<ByteView, std::size_t> groups = make_groups();
  static const std::size_t of_modules = group_index("module");
  const auto at = groups.find(info.name);
  return at == groups.end() ? of_modules : at->second;
}

ValueKind kind_of_group(std::size_t group) {
  for (const GroupRow& row : group_rows()) {
    if (group_index(row.group) == group) return row.kind;
  }
  return ValueKind::module;
}

}  // namespace keyferry
