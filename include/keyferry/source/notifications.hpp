// The subscriber link to one source node: keyspace events of every database, in the source's order.
// What they mean is key_events', what becomes of the keys is the caller's. It does not reconnect:
// what happened while nobody listened must be looked for. Pipeline thread only.
#pragma once

#include <span>
#include <vector>

#include "keyferry/net/connection.hpp"
#include "keyferry/source/key_events.hpp"

namespace keyferry {

class Notifications {
 public:
  // Options outlive the object.
  Notifications(const asio::any_io_executor& executor, const EndOptions& options);

  // Connects and subscribes; on return every event from now on will come.
  Task<Error> open(HostPort host);
  // The next events, at least one, unless the answer to a ping came. Views stay valid until the
  // next call. An error: the link is broken.
  Task<Result<std::span<const KeyEvent>>> next();
  // Asks for a pong: when pongs() reaches the result, every event up to this moment was given out.
  Task<Result<std::uint64_t>> ping();
  std::uint64_t pongs() const { return pongs_; }
  void close() { connection_.close(); }

 private:
  Task<Error> fill();
  bool take_pushes(Error& error);

  const EndOptions& options_;
  Connection connection_;
  Bytes buffer_;
  std::size_t buffer_at_ = 0;
  std::size_t buffer_end_ = 0;
  std::vector<KeyEvent> events_;
  bool is_subscribed_ = false;
  std::uint64_t pings_ = 0;
  std::uint64_t pongs_ = 0;
};

}  // namespace keyferry
