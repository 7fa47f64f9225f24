// One byte stream to a server: TCP or unix socket behind one type (asio's generic stream protocol),
// with or without TLS over it. Not thread safe: the owner's executor only.
#pragma once

#include <memory>
#include <span>
#include <string>

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "keyferry/base/bytes.hpp"
#include "keyferry/config/options.hpp"
#include "keyferry/net/task.hpp"

namespace keyferry {

class Stream {
 public:
  explicit Stream(const asio::any_io_executor& executor) : socket_(executor) {}

  // Resolves and connects; each address of the name in turn. No deadline of its own: wrap in
  // with_deadline.
  Task<Error> connect_tcp(HostPort address);
  Task<Error> connect_unix(std::string path);
  // Over the connection just made: speaks TLS from here on. `host` is what SNI and the check of the
  // certificate go by, unless the options name another.
  Task<Error> start_tls(TlsOptions options, std::string host);

  // Reads at least one byte into [data, data + size); the result is how many. End of file is an
  // error.
  Task<Result<std::size_t>> read_some(char* data, std::size_t size);
  // Writes everything. The buffers' bytes must stay valid until it returns.
  Task<Error> write(std::span<const asio::const_buffer> buffers);
  Task<Error> write(ByteView bytes);

  // Ends every pending read and write with an error; harmless when closed. abort = reset instead of
  // FIN, so that nothing still buffered is delivered.
  void close(bool abort = false);
  bool is_open() const { return socket_.is_open(); }

  bool is_tls() const { return tls_ != nullptr; }

  // Numeric addresses of both ends ("" for unix sockets or when not connected).
  std::string local_address() const;
  std::string remote_address() const;

 private:
  struct Tls;

  asio::generic::stream_protocol::socket socket_;
  // Shared with the operations under way, which may still be unwinding when the next connection is
  // made.
  std::shared_ptr<Tls> tls_;
};

}  // namespace keyferry
