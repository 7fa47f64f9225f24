// Reads keys in a canonical form that two servers of different versions and encodings share. Part
// of compare().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/keyspace.hpp"

namespace keyferry::test {

// What both servers can tell; compare() asks only for that.
struct ReadFeatures {
  bool exact_expiry = false;     // PEXPIRETIME, Redis 7.0
  bool stream_counters = false;  // entries-added, max-deleted-entry-id, Redis 7.0
  bool entries_read = false;     // of groups
  bool field_ttl = false;        // HPEXPIRETIME
};

struct KeyImage {
  std::string type;             // "none" when the key does not exist
  std::int64_t expiry_ms = -1;  // absolute; -1 none
  std::string value;            // canonical text, for people and for hashing
};

// Reads `keys` (all of one node) through `node`, pipelined; images in the same order.
std::vector<KeyImage> read_keys(RespClient& node, const std::vector<std::string>& keys,
                                const ReadFeatures& features);

}  // namespace keyferry::test
