// Keys whose value in the target can no longer be derived from the stream alone (a TTL command
// found the key gone, replies were lost with a connection, ...). Each is copied again from the
// source
// ("healed") before the link may call itself synced. Bounded; pure; knows no connection.
//
//   suspect --take--> healing --healed--> (gone)
//      ^                 |
//      +---- add --------+      what happens to it meanwhile makes it suspect again
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

class Suspects {
 public:
  using Key = std::pair<std::int32_t, Bytes>;  // database, name

  explicit Suspects(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // A key that does not fit any more only sets overflowed().
  void add(std::int32_t db, ByteView key);
  bool contains(std::int32_t db, ByteView key) const;

  // Up to `most` keys that nobody heals yet; they are being healed from now on.
  std::vector<Key> take(std::size_t most);
  // The same, all of the slot of the first: a cluster answers for no others together.
  std::vector<Key> take_of_one_slot(std::size_t most);
  // Those taken could not be fetched: suspect again.
  void give_back(const std::vector<Key>& keys);
  // A copy of the key has been applied. True unless it became suspect again since it was taken.
  bool healed(std::int32_t db, ByteView key);

  bool empty() const { return keys_.empty(); }
  std::size_t size() const { return keys_.size(); }
  // Some suspect could not be remembered: only a new snapshot can mend that.
  bool overflowed() const { return overflowed_; }
  void clear();

 private:
  enum class State : std::uint8_t { suspect, healing };

  std::map<Key, State> keys_;
  std::size_t waiting_ = 0;  // in State::suspect
  std::size_t bytes_ = 0;
  std::size_t max_bytes_;
  bool overflowed_ = false;
};

}  // namespace keyferry
