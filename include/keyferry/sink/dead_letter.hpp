// The dead-letter file: commands that the target refused for good, as RESP, in order, so that they
// can be looked at and replayed (`redis-cli --pipe < file`). Opened when the first one comes; every
// append is synced to disk before it counts.
#pragma once

#include <string>

#include "keyferry/base/bytes.hpp"
#include "keyferry/net/task.hpp"

namespace keyferry {

class DeadLetter {
 public:
  explicit DeadLetter(std::string path) : path_(std::move(path)) {}

  // Appends SELECT `db` and `wire`, and syncs. Errors: Errc::disk. `wire` must stay valid until it
  // returns.
  Task<Error> append(std::int32_t db, ByteView wire);

  std::uint64_t count() const { return count_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::uint64_t count_ = 0;
};

}  // namespace keyferry
