// A control connection to a Redis or Valkey server: connect, authenticate, ask, read one reply at a
// time. Used for INFO, CLUSTER SLOTS, handshakes and hand-carried commands; bulk traffic goes
// through sink/lane and source/psync, which take the stream over after `open`. Executor thread
// only.
#pragma once

#include "keyferry/config/options.hpp"
#include "keyferry/net/stream.hpp"
#include "keyferry/resp/resp.hpp"

namespace keyferry {

class Connection {
 public:
  explicit Connection(const asio::any_io_executor& executor) : stream_(executor) {}

  // Connects to `host`, by way of options.address_map (or to the unix path of options.uri; or,
  // whatever `host` says, to the master that the Sentinels of options.uri name at this moment),
  // with TLS when options.uri says so, sends AUTH when there is a password, CLIENT SETNAME
  // options.client_name-`name`. Errors: unreachable, refused_by_peer (with the server's words).
  // Bounded by connect_timeout_ms.
  Task<Error> open(const EndOptions& options, HostPort host, std::string name);

  // Connects to a Sentinel of options.uri, with the secret for Sentinels, and asks it where the
  // master is. Bounded by connect_timeout_ms.
  Task<Error> open_sentinel(const EndOptions& options, HostPort sentinel, HostPort& master);
  // Whom the last open() connected to, before options.address_map; of a unix socket nobody.
  const HostPort& host() const { return host_; }

  // Sends `wire` (one command) and reads its reply; error replies are values. Bounded by `limit`.
  Task<Result<RespValue>> call(Bytes wire, Millis limit);

  // Reads what the server sends of itself. Bounded by `limit`.
  Task<Result<RespValue>> read(Millis limit);

  // Sends `wire`, several commands at once, and reads that many replies.
  Task<Result<std::vector<RespValue>>> call_all(Bytes wire, std::size_t replies, Millis limit);

  // Sends `wire` and steps over `replies` replies without storing them; the result is the first
  // error among them (without '-'), empty for none. Bounded by `limit`.
  Task<Result<std::string>> deliver(Bytes wire, std::uint32_t replies, Millis limit);

  // Reads one line up to "\n" (without CR LF), skipping nothing; for PSYNC answers. At most 64 KiB.
  Task<Result<Bytes>> read_line(Millis limit);
  // Bytes read behind the last reply or line; hands them over once.
  Bytes take_unread();

  // A reply that takes more than this is Errc::data_refused. Set before it is asked for.
  std::size_t reply_max_bytes = static_cast<std::size_t>(-1);

  Stream& stream() { return stream_; }
  void close(bool abort = false) { stream_.close(abort); }

 private:
  Task<Error> open_unbounded(const EndOptions& options, HostPort host, std::string name);
  Task<Error> connect(const EndOptions& options, HostPort host);
  Task<Error> ask_sentinel(const EndOptions& options, HostPort sentinel, HostPort& master);
  Task<Error> authenticate(const std::string& user, const std::string& password);
  Task<Error> ask_sentinels(const EndOptions& options, HostPort& master);
  Task<Error> require_master();
  Task<Error> call_unbounded(const Bytes& wire, RespValue& reply);
  Task<Error> call_all_unbounded(const Bytes& wire, std::vector<RespValue>& replies);
  Task<Error> read_reply(RespValue& reply);
  Task<Error> deliver_unbounded(const Bytes& wire, std::uint32_t replies, std::string& first_error);
  Task<Error> read_line_unbounded(Bytes& line);
  Task<Error> fill();

  Stream stream_;
  HostPort host_;
  Bytes unread_;
};

}  // namespace keyferry
