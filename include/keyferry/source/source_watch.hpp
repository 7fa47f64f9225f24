// What keyspace events do not tell, found by looking at INFO now and then: flushes, groups of
// streams that were read from, function libraries, another server behind the address. Pure: two
// readings in, what happened between them out.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

// From INFO everything (Redis >= 2.8; any Valkey).
struct SourceReading {
  std::string run_id;
  std::string replid;
  std::string role;
  bool is_cut_off = false;  // a replica without its master, or loading from it
  bool counts_commands = false;
  // Calls so far, failed ones left out where the server tells (Redis 6.2).
  std::uint64_t flushes = 0;      // FLUSHALL, FLUSHDB, SWAPDB
  std::uint64_t group_reads = 0;  // XREADGROUP, XACK, XCLAIM, XAUTOCLAIM: no event, new PEL
  std::uint64_t functions = 0;    // FUNCTION LOAD, DELETE, FLUSH, RESTORE
  std::map<std::int32_t, std::uint64_t> keys;  // by database
};
SourceReading read_source(ByteView info);

struct SourceChange {
  bool is_flushed = false;  // keys may have gone without an event
  bool group_reads = false;
  bool functions = false;
  bool is_other = false;  // another server, or one that took over another's data: anything
};
SourceChange compare_readings(const SourceReading& before, const SourceReading& now);

}  // namespace keyferry
