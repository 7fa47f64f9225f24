// Filter, mapping, script and rate limits of a scanned link: whether a key travels, under which
// name, and how soon the next one may. Knows single keys; nothing here waits.
#pragma once

#include "keyferry/base/rate.hpp"
#include "keyferry/pipeline/status.hpp"
#include "keyferry/rdb/rdb_reader.hpp"
#include "keyferry/transform/transform.hpp"

namespace keyferry {

class ScanRules {
 public:
  // Errc::usage: rules that cannot be right, or that do not go together with scanning.
  Error compile(const Options& options);
  bool is_active() const { return transform_.is_active(); }
  // Names or databases differ between the ends.
  bool maps_places() const {
    return transform_.remap().maps_keys() || transform_.remap().maps_databases();
  }
  Transform& transform() { return transform_; }
  const Transform& transform() const { return transform_; }

  // By database and name alone: before anything else is asked of the source.
  bool wants(std::int32_t db, ByteView key) const {
    return !is_active() || transform_.filter().on_name(db, key).keeps();
  }
  // The same for a key that was found by scanning; counts it when it stays behind.
  bool admits_name(std::int32_t db, ByteView key);
  bool admits_functions() const;

  // Changes the event (names of the source) to what the target is to see; false: this value does
  // not travel. `bytes`: of the value. The event's key then points into `name`.
  bool apply(rdb::Event& event, rdb::Dialect dialect, std::uint64_t bytes, Bytes& name);
  // Only the place: database and name in the target.
  void place(std::int32_t& db, ByteView& key, Bytes& name) const;

  bool is_limited() const { return ops_.is_set() || bytes_.is_set() || source_.is_set(); }
  void change_limits(const RateChange& change);
  RateLimits limits() const {
    return {ops_.per_second(), bytes_.per_second(), source_.per_second()};
  }
  void spend_target(std::int64_t ops, std::size_t bytes, TimePoint now);
  void spend_source(std::size_t bytes, TimePoint now);
  Millis wait(TimePoint now) const;

 private:
  Transform transform_;
  RateLimit ops_;
  RateLimit bytes_;
  RateLimit source_;
};

}  // namespace keyferry
