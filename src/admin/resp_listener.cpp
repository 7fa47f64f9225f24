#include "keyferry/admin/resp_listener.hpp"

#include <array>

#include <boost/asio/write.hpp>

namespace keyferry {

Task<Error> serve_resp(Client& client, const RespIdentity& identity, const RespControl& control,
                       const StatusBoard& board, RespTimeouts timeouts) {
  RespSession session(identity, &control);
  std::array<char, 4096> piece;  // small: what one read can ask for bounds the replies held
  const auto space = asio::buffer(piece);
  boost::system::error_code ignored;
  // A subscriber is never written to; only this notices one whose machine is gone.
  client.socket().set_option(asio::socket_base::keep_alive(true), ignored);

  for (bool goes_on = true; goes_on;) {
    if (session.is_subscribed()) {
      client.expires_never();
    } else {
      client.expires_after(timeouts.idle);
    }
    const auto [ec, n] = co_await client.async_read_some(space, use_tuple);
    if (ec) break;

    Bytes replies;
    goes_on = session.feed(ByteView(piece.data(), n), *board.read(), replies);
    const auto bytes = asio::buffer(replies);
    client.expires_after(timeouts.reply);
    const auto [write_ec, written] = co_await asio::async_write(client, bytes, use_tuple);
    if (write_ec) break;
  }
  client.socket().shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  co_return Error();
}

}  // namespace keyferry
