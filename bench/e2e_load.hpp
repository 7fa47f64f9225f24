// The data of the bench, written pipelined with the bytes made in place: quick enough that filling
// a source is no part of the waiting. Seeded, so that every repeat and both competitors get the
// same.
#pragma once

#include <cstddef>

#include "support/server.hpp"

namespace keyferry::bench {

// `keys` keys: 60% strings of 100 bytes, a sixth of those with an expiry hours ahead; 10% each of
// hashes, lists, sets and sorted sets of ten elements.
void write_mixed(const test::RedisServer& server, std::size_t keys);

// `ops` times SET of a random one of a million 16-byte keys, values of 3 to 16 bytes.
void write_sets(const test::RedisServer& server, std::size_t ops);
// The same of INCRs.
void write_increments(const test::RedisServer& server, std::size_t ops);

}  // namespace keyferry::bench
