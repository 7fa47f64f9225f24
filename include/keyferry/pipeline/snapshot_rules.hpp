// The rules of filter, databases and transform applied to the events of a snapshot, one after the
// other: what does not travel is left out with all that belongs to it, the rest gets its name at
// the target. (The stream's batches go through Transform::apply as they are.) Executor thread only.
#pragma once

#include <functional>
#include <memory>
#include <unordered_set>

#include "keyferry/rdb/rdb_reader.hpp"
#include "keyferry/transform/transform.hpp"

namespace keyferry {

class SnapshotRules {
 public:
  // Names that keys have become: hashes, where names may collide.
  struct Names {
    std::unordered_set<std::uint64_t> hashes;
    bool is_full = false;
  };

  // Options and rules outlive it; the rules are compiled before the first event.
  SnapshotRules(const Options& options, Transform& rules) : options_(options), rules_(rules) {}

  // A key that does not travel; may be empty.
  std::function<void(const rdb::Event& key)> on_left_out;

  // Another snapshot begins.
  void begin();
  // It goes to the same place as others: their names count.
  void share(std::shared_ptr<Names> names) { names_ = std::move(names); }
  // Whether a key travels as far as its name, type and expiry tell (RdbReader::wants).
  bool wants(const rdb::Event& key, rdb::Dialect dialect);
  // Changes the event to what the target is to see; false: it is to see nothing. Views of the event
  // stay valid until the next call. data_refused: its new name is another key's (errors.policy).
  bool apply(rdb::Event& event, rdb::Dialect dialect, Error& error);
  // Keys of this snapshot that do not travel.
  std::uint64_t left_out() const { return left_out_; }

 private:
  bool admits(const rdb::Event& key, rdb::Dialect dialect, std::optional<std::uint64_t> bytes);
  bool apply_to_key(rdb::Event& key, Error& error);
  bool collides(std::int32_t db);
  Error collision(ByteView key, std::int32_t source_db);

  const Options& options_;
  Transform& rules_;
  Bytes mapped_key_;  // of the event that is looked at
  std::shared_ptr<Names> names_;
  bool leaving_out_ = false;     // the elements of a big key that does not travel
  bool leaving_out_db_ = false;  // what is told about a database that does not travel
  std::uint64_t left_out_ = 0;
};

}  // namespace keyferry
