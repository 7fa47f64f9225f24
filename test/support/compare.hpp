// Compares two whole data sets, standalone or cluster on either side: every key of every database
// in both directions, by what a client can read (never DUMP): type, value, absolute expiry, streams
// with groups and pending entries, functions. Quick enough for a million keys: each side is read
// once into a table of digests, and only keys that differ are read again. Reads both sides; changes
// nothing.
#pragma once

#include <string>
#include <vector>

#include "support/keyspace.hpp"

namespace keyferry::test {

struct Difference {
  enum class Kind { missing, extra, type, value, expiry, functions };
  Kind kind = Kind::value;
  int db = 0;
  std::string key;
  std::string detail;  // both sides, shortened
};

struct CompareOptions {
  std::size_t max_differences = 100;
  // Keys of the target with these prefixes are not looked at (our own records).
  std::vector<std::string> ignored_prefixes = {"keyferry:"};
  // Where both servers know PEXPIRETIME expiries must be equal to the millisecond, else within
  // this.
  std::int64_t expiry_tolerance_ms = 50;
  // Keys of the target have come to their node by MIGRATE, which sends the time that is left.
  bool were_moved = false;
  // Compare the entries-read of stream groups even where a replica loses it (see
  // Keyspace::keeps_entries_read).
  bool entries_read = false;
};

// Empty when the two are the same. A key that differs is read again a few times before it is
// reported, so that keys which expire while we look are no difference.
std::vector<Difference> compare(const Endpoint& source, const Endpoint& target,
                                const CompareOptions& options = {});

// All differences, one per line, for failure messages: EXPECT_EQ(describe(compare(a, b)), "").
std::string describe(const std::vector<Difference>& differences);

// Number of keys in all databases.
std::size_t key_count(const Endpoint& endpoint);

}  // namespace keyferry::test
