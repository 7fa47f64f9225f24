// Snapshot values as commands for the target, appended to a byte buffer in wire form. Pure.
#pragma once

#include "keyferry/rdb/rdb_reader.hpp"
#include "keyferry/rdb/target.hpp"

namespace keyferry::rdb {

// Appends the command that recreates the key of `event` (Kind::key) on the target:
//  - a plain or integer string without LRU/LFU data: SET key value [PXAT ms] (cheapest for the
//  target, its measured
//    cost is below RESTORE's), PXAT only for targets >= 6.2 (any Valkey);
//  - everything else, LZF strings included: RESTORE key ttl payload REPLACE ABSTTL [IDLETIME s |
//  FREQ n], payload =
//    type byte + raw value + footer (u16 LE `dialect.version` of the source, CRC64 LE).
// ttl is the absolute expiry in ms, "0" for none; an absolute expiry of 0 or below is sent as 1
// (already expired). With use_set = false always RESTORE.
void append_restore(Bytes& out, const Event& event, Dialect source, TargetTraits target,
                    bool use_set = true, bool replace = true);

// Appends FUNCTION LOAD REPLACE <source text>.
void append_function_load(Bytes& out, ByteView library);

}  // namespace keyferry::rdb
