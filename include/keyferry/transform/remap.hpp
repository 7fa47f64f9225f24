// Under which database, name and expiry a key arrives: databases.*, transform.key_prefix.*,
// transform.ttl, compiled once. Pure; knows single keys, not commands (see rewrite_command).
//
//   name in the target = database prefix + add + replace(strip(name))
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/error.hpp"
#include "keyferry/config/rules.hpp"

namespace keyferry {

class Remap {
 public:
  // Changes nothing.
  Remap() = default;
  // Errc::usage when rules contradict each other.
  static Result<Remap> compile(const TransformOptions& options);

  bool is_active() const { return maps_databases_ || maps_keys_ || maps_ttl_; }
  bool maps_databases() const { return maps_databases_; }
  bool maps_keys() const { return maps_keys_; }  // names
  bool maps_ttl() const { return maps_ttl_; }

  std::int32_t db(std::int32_t source_db) const;
  // Appends the name that `key` of `source_db` has in the target.
  void append_key(Bytes& out, std::int32_t source_db, ByteView key) const;
  Bytes key(std::int32_t source_db, ByteView key) const;
  // Every database and name in the source that arrives as `key` in `target_db`; empty: none can.
  std::vector<std::pair<std::int32_t, Bytes>> origins(std::int32_t target_db, ByteView key) const;
  // The expiry in the target: absolute unix time in ms, nullopt = never. A shifted one is never 0
  // or below.
  std::optional<std::int64_t> expire(std::optional<std::int64_t> source_ms) const;
  const TtlPolicy& ttl() const { return ttl_; }

  // Whether another database of the source could put keys into the same database of the target.
  // Only databases that some rule names are known; any other keeps its number.
  bool shares_database(std::int32_t source_db) const;
  // Whether keys of both databases get the same names.
  bool same_names(std::int32_t a, std::int32_t b) const { return prefix_of(a) == prefix_of(b); }
  // Two names of the source may become one in the target, as far as the rules alone can tell.
  bool may_collide() const { return may_collide_; }

  // What was changed here must not change between two runs of a link: 0 when nothing is.
  static std::uint64_t fingerprint(const FilterOptions& filter, const TransformOptions& transform,
                                   ByteView script);

 private:
  ByteView prefix_of(std::int32_t source_db) const;
  void add_origins(std::int32_t source_db, ByteView key,
                   std::vector<std::pair<std::int32_t, Bytes>>& out) const;

  std::map<std::int32_t, std::int32_t> databases_;
  std::map<std::int32_t, Bytes> prefixes_;
  Bytes strip_;
  std::vector<std::pair<Bytes, Bytes>> replace_;  // longest first
  Bytes add_;
  TtlPolicy ttl_;
  bool maps_databases_ = false;
  bool maps_keys_ = false;
  bool maps_ttl_ = false;
  bool may_collide_ = false;
};

}  // namespace keyferry
