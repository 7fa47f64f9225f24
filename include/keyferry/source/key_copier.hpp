// Reads keys from the source together with the stream offset they stand for, in one step (MULTI),
// over a connection of its own. Pipeline thread only.
#pragma once

#include <utility>

#include "keyferry/command/key_copy.hpp"
#include "keyferry/net/connection.hpp"

namespace keyferry {

class KeyCopier {
 public:
  KeyCopier(const asio::any_io_executor& executor, const EndOptions& options);

  // The source may be elsewhere now.
  void reconnect() {
    connection_.close();
    open_ = false;
  }
  // How many of these keys, from the first on, hold about `most_bytes` together; at least one. What
  // the source does not tell counts for nothing.
  Task<std::size_t> count_within(std::vector<std::pair<std::int32_t, Bytes>> keys,
                                 std::size_t most_bytes);
  // Value and expiry of each (database, key). Errors: unreachable, refused_by_peer.
  Task<Result<KeyCopies>> fetch(std::vector<std::pair<std::int32_t, Bytes>> keys);
  void stop() { connection_.close(); }

 private:
  Task<Error> open();
  Task<Result<KeyCopies>> fetch_on(const std::vector<std::pair<std::int32_t, Bytes>>& keys);

  const EndOptions& options_;
  Connection connection_;
  bool open_ = false;
  bool has_pexpiretime_ = true;  // Redis >= 7.0, every Valkey
};

}  // namespace keyferry
