// Keys whose value in the target can no longer be derived from the stream alone (a TTL command
// found the key gone, replies were lost with a connection, a command over several slots wrote it,
// ...). Each is copied again from the source ("healed") before the link may call itself synced.
// Bounded; pure; knows no connection.
//
//   suspect --take--> healing --healed--> (gone)
//      ^                 |
//      +---- add --------+      what happens to it behind the copy makes it suspect again
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "keyferry/base/bytes.hpp"
#include "keyferry/command/batch.hpp"

namespace keyferry {

class Suspects {
 public:
  using Key = std::pair<std::int32_t, Bytes>;  // database, name

  // Behind every command: mended only by a copy that is asked for from now on.
  static constexpr Offset whenever = std::numeric_limits<Offset>::max();

  explicit Suspects(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // `behind`: end of the command that made it suspect; a copy made there or later mends it.
  // `since`: a start of the stream from here finds out anew, 0 = none does. A key that does not fit
  // any more only sets overflowed().
  void add(std::int32_t db, ByteView key, Offset behind = whenever, Offset since = 0);
  bool contains(std::int32_t db, ByteView key) const;

  // Up to `most` keys that nobody heals yet, each in its turn; they are being healed from now on.
  std::vector<Key> take(std::size_t most);
  // The same, all of the slot of the first: a cluster answers for no others together.
  std::vector<Key> take_of_one_slot(std::size_t most);
  // Those taken could not be fetched: suspect again.
  void give_back(const std::vector<Key>& keys);
  // Those taken were copied as they were at `at`.
  void copied(std::int32_t db, ByteView key, Offset at);
  // Its copy of `at` has been applied. True unless it became suspect again since it was taken.
  bool healed(std::int32_t db, ByteView key, Offset at = whenever);

  // The lowest `since` of all.
  Offset oldest() const { return since_.empty() ? whenever : since_.begin()->first; }
  // Those that nobody heals yet.
  std::size_t waiting() const { return waiting_; }
  bool empty() const { return keys_.empty(); }
  std::size_t size() const { return keys_.size(); }
  // Some suspect could not be remembered: only a new snapshot can mend that.
  bool overflowed() const { return overflowed_; }
  void clear();
  // Those of one database are as they should be.
  void clear_database(std::int32_t db);

 private:
  struct Entry {
    bool is_healing = false;
    Offset since = 0;
    Offset again = 0;          // `since` of what the copy under way does not mend
    Offset covers = whenever;  // offset of the copy that was asked for last
  };
  using Entries = std::map<Key, Entry>;

  void change_since(Entry& entry, Offset since);
  void forget_since(Offset since);
  void take_one(Entries::iterator at, std::vector<Key>& taken);

  Entries keys_;
  std::map<Offset, std::size_t> since_;  // how many keys have it
  Key next_;                             // whose turn it is
  std::size_t waiting_ = 0;
  std::size_t bytes_ = 0;
  std::size_t max_bytes_;
  bool overflowed_ = false;
};

}  // namespace keyferry
