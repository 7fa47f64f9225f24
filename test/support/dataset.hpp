// Seeded test data over all core types and encodings, scaled by the number of keys. Keys come in
// blocks of Dataset::block_size that share one hash tag, "{t12}:list:3", and hold every type, so
// that multi-key commands have partners in their slot; a name implies its type. Blocks differ in
// size: block 0 holds a few huge values, every 50th (1000th above 100,000 keys) medium ones
// (hashtable, skiplist, several listpack nodes), all others small ones (intset, listpack, embstr).
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "support/keyspace.hpp"

namespace keyferry::test {

struct DatasetOptions {
  std::size_t keys = 2000;  // rounded up to whole blocks
  std::uint64_t seed = 1;
  bool cluster_safe = false;  // multi-key commands stay within a hash tag
  int databases = 4;          // blocks are dealt to databases 0..n-1
  int cluster_databases = 1;  // the same when cluster_safe
  bool expiries = true;       // on some keys, 1 to 100 hours ahead
  bool functions = true;      // one library, where the server knows FUNCTION
  bool field_ttls = false;    // expiry of hash fields, where the server knows it
  bool huge = true;           // block 0 with values of 1 MB and 10,000 elements
};

// The names of the keys and the making of their values; the live writer uses it too.
class Dataset {
 public:
  static constexpr std::size_t block_size = 20;

  explicit Dataset(const DatasetOptions& options);

  std::size_t blocks() const { return blocks_; }
  int databases() const { return databases_; }
  int database_of(std::size_t block) const { return static_cast<int>(block) % databases_; }
  const DatasetOptions& options() const { return options_; }

  // The name of the `number`-th key of a type in a block. How many there are per block: str 4, int
  // 2, list 2, hash 2, zset 2, one each of bin, long, set, iset, float, bits, hll, stream (geo is a
  // zset named geo).
  static std::string name(std::size_t block, const char* type, std::size_t number = 0);

  // The commands that make all keys of a block, for a server of that version.
  std::vector<Args> block_commands(std::size_t block, const Keyspace& server) const;

 private:
  DatasetOptions options_;
  std::size_t blocks_;
  int databases_;
};

// Fills an empty server or cluster; returns the number of keys. 1M keys take some 10 s.
std::size_t fill(const Endpoint& endpoint, const DatasetOptions& options = {});

// `count` string keys "key:<i>" with incompressible values; the quickest way to a large data set.
void fill_strings(const Endpoint& endpoint, std::size_t count, std::size_t value_size = 32);

// Values: compressible words, or any bytes.
std::string words(std::mt19937_64& random, std::size_t size);
std::string any_bytes(std::mt19937_64& random, std::size_t size);

}  // namespace keyferry::test
