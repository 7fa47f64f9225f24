// A listening socket and the sessions it has accepted: binding, the limit on how many,
// closing all of them. What is spoken in a session is the caller's function. Admin thread only, but
// for open() and port().
#pragma once

#include <functional>
#include <list>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>

#include "keyferry/net/task.hpp"

namespace keyferry {

// Beast's stream: a TCP socket whose reads and writes fail with beast::error::timeout at
// expires_after().
using Client = boost::beast::tcp_stream;

class Listener {
 public:
  static constexpr std::size_t max_clients = 64;
  // Speaks with one client until the conversation is over; the listener closes the socket
  // afterwards.
  using Serve = std::function<Task<Error>(Client&)>;

  // `refusal` goes to clients beyond max_clients before they are closed.
  Listener(const asio::any_io_executor& executor, Serve serve, std::string refusal);

  // Binds `address` ("host:port", host an IP literal or "localhost"; port 0 = any) now.
  // Errc::usage, naming `option` and the address, when it is no address of ours or taken. "" is no
  // error and leaves the listener off.
  Error open(std::string_view option, std::string_view address);
  bool is_open() const { return acceptor_.is_open(); }
  std::uint16_t port() const { return port_; }

  // Accepts until close(), then waits for the sessions.
  Task<Error> run();
  void close();

 private:
  Task<Error> session(std::list<Client>::iterator client);
  void refuse(asio::ip::tcp::socket socket);

  asio::ip::tcp::acceptor acceptor_;
  Serve serve_;
  std::string refusal_;
  std::uint16_t port_ = 0;
  std::list<Client> clients_;
};

}  // namespace keyferry
