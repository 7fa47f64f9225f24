#include "keyferry/admin/listener.hpp"

#include <exception>

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

#include "keyferry/base/log.hpp"
#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr Millis accept_pause{100};

// "127.0.0.1:8484", "[::1]:8484", "localhost:8484".
Result<tcp::endpoint> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return Error(Errc::usage, "not a host:port");
  std::uint16_t port = 0;
  if (!read_number(text.substr(colon + 1), port)) return Error(Errc::usage, "not a port number");
  std::string_view host = text.substr(0, colon);
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  error_code ec;
  const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, ec);
  if (ec) return Error(Errc::usage, "not an IP address (or localhost)");
  return tcp::endpoint(address, port);
}

error_code bind_and_listen(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
  error_code ec;
  acceptor.open(endpoint.protocol(), ec);
  // A restart must not wait for the old sessions' TIME_WAIT; a second listener is still refused.
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(tcp::acceptor::max_listen_connections, ec);
  return ec;
}

}  // namespace

Listener::Listener(const asio::any_io_executor& executor, Serve serve, std::string refusal)
    : acceptor_(executor), serve_(std::move(serve)), refusal_(std::move(refusal)) {}

Error Listener::open(std::string_view option, std::string_view address) {
  if (address.empty()) return {};
  const Result<tcp::endpoint> endpoint = parse_address(address);
  if (!endpoint) return with_context(fmt::format("{} {}", option, address), endpoint.error());

  if (const error_code ec = bind_and_listen(acceptor_, *endpoint)) {
    error_code ignored;
    acceptor_.close(ignored);
    return Error(Errc::usage, fmt::format("{} {}: {}", option, address, ec.message()));
  }
  error_code ec;
  port_ = acceptor_.local_endpoint(ec).port();
  return {};
}

Task<Error> Listener::run() {
  Scope sessions(acceptor_.get_executor());
  while (acceptor_.is_open()) {
    auto [ec, socket] = co_await acceptor_.async_accept(use_tuple);
    if (!acceptor_.is_open()) break;
    if (ec) {
      // Out of file descriptors, most likely: those of the data path come first.
      log_debug("admin: accept failed error=\"{}\"", ec.message());
      co_await sleep_for(accept_pause);
      continue;
    }
    if (clients_.size() >= max_clients) {
      refuse(std::move(socket));
      continue;
    }
    clients_.emplace_back(std::move(socket));
    sessions.spawn(session(std::prev(clients_.end())));
  }
  co_return co_await sessions.join();
}

void Listener::close() {
  error_code ignored;
  acceptor_.close(ignored);
  for (Client& client : clients_)
    client.close();
}

// One bad session must not end the others, so nothing leaves it.
Task<Error> Listener::session(std::list<Client>::iterator client) {
  try {
    const Error error = co_await serve_(*client);
    if (error) log_debug("admin: session ended error=\"{}\"", error.what);
  } catch (const std::exception& e) {
    log_error("admin: session threw error=\"{}\"", e.what());
  }
  clients_.erase(client);
  co_return Error();
}

// The send buffer of a fresh socket is empty, so the short text never blocks.
void Listener::refuse(tcp::socket socket) {
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(refusal_), ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

}  // namespace keyferry
