#include "keyferry/admin/http_session.hpp"

#include <array>
#include <optional>
#include <utility>

#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

namespace keyferry {
namespace {

namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Response = http::response<http::string_body>;

constexpr Millis linger_for{1000};

HttpRequest plain(const http::request<http::string_body>& request) {
  HttpRequest out;
  out.method = request.method_string();
  out.target = request.target();
  out.host = request[http::field::host];
  out.origin = request[http::field::origin];
  out.authorization = request[http::field::authorization];
  return out;
}

Response to_response(HttpReply reply, bool keep_alive) {
  Response response(http::int_to_status(reply.status), 11);
  response.set(http::field::content_type, reply.content_type);
  response.set(http::field::cache_control, "no-store");
  response.set("X-Content-Type-Options", "nosniff");
  if (!reply.policy.empty()) {
    response.set("Content-Security-Policy", reply.policy);
    response.set("Referrer-Policy", "no-referrer");
  }
  if (!reply.allow.empty()) response.set(http::field::allow, reply.allow);
  if (!reply.challenge.empty()) response.set(http::field::www_authenticate, reply.challenge);
  response.keep_alive(keep_alive);
  response.body() = std::move(reply.body);
  response.prepare_payload();
  return response;
}

// What a request deserves that could not be read; nothing when there is nobody left to tell.
std::optional<HttpReply> refusal(error_code ec) {
  const char* type = "text/plain; charset=utf-8";
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
    return HttpReply{431, type, "header fields too large\n", "", ""};
  }
  if (ec == http::error::body_limit) return HttpReply{413, type, "body too large\n", "", ""};
  if (ec == http::error::end_of_stream || ec == http::error::partial_message) return {};
  if (ec.category() != http::make_error_code(http::error::end_of_stream).category()) return {};
  return HttpReply{400, type, "bad request\n", "", ""};
}

Task<error_code> write(Client& client, HttpReply reply, bool keep_alive, Millis timeout) {
  Response response = to_response(std::move(reply), keep_alive);
  client.expires_after(timeout);
  const auto [ec, n] = co_await http::async_write(client, response, use_tuple);
  co_return ec;
}

// Closing over unread bytes would reset the connection and could take the reply with it: wait for
// the client to close first, for a moment.
Task<void> linger(Client& client) {
  error_code failed;
  client.socket().shutdown(tcp::socket::shutdown_send, failed);
  client.expires_after(linger_for);
  std::array<char, 4096> discarded;
  const auto space = asio::buffer(discarded);
  while (!failed) {
    const auto [ec, n] = co_await client.async_read_some(space, use_tuple);
    failed = ec;
  }
}

// Ends when the client closes or says anything: it has asked for all that there is.
Task<Error> wait_for_word(Client& client) {
  co_await client.socket().async_wait(tcp::socket::wait_read, use_tuple);
  co_return Error();
}

HttpReply too_many_pages() {
  return {503U, "text/plain; charset=utf-8", "too many pages are open\n", "", ""};
}

// A client that takes nothing is noticed as soon as this little is on its way to it.
constexpr int event_send_buffer_bytes = 32 * 1024;

Task<void> send_events(Client& client, HttpService& service, HttpReply reply) {
  error_code ignored;
  client.socket().set_option(asio::socket_base::send_buffer_size(event_send_buffer_bytes), ignored);
  HttpRequest request;
  request.method = "GET";
  request.target = reply.events_of;
  std::string text = "HTTP/1.1 200 OK\r\nContent-Type: " + reply.content_type +
                     "\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
                     "Connection: close\r\n\r\nretry: 2000\n\n";
  for (Error is_quiet(Errc::unreachable, ""); is_quiet;) {
    text += "data: " + service.handle(request).body + "\n";  // the body is one line
    client.expires_after(service.timeout);
    const auto bytes = asio::buffer(text);
    const auto [ec, n] = co_await asio::async_write(client, bytes, use_tuple);
    if (ec) co_return;
    client.expires_never();
    text.clear();
    is_quiet = co_await with_deadline(service.event_interval, wait_for_word(client));
  }
}

}  // namespace

Task<Error> serve_http(Client& client, HttpService& service) {
  const Millis timeout = service.timeout;
  boost::beast::flat_buffer buffer(2 * http_header_limit_bytes);
  for (bool keep_alive = true; keep_alive;) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(http_header_limit_bytes);
    parser.body_limit(http_body_limit_bytes);
    client.expires_after(timeout);
    const auto [ec, n] = co_await http::async_read(client, buffer, parser, use_tuple);
    if (ec) {
      std::optional<HttpReply> reply = refusal(ec);
      if (!reply) co_return Error();
      co_await write(client, std::move(*reply), false, timeout);
      break;
    }
    keep_alive = parser.get().keep_alive();
    HttpReply reply = service.handle(plain(parser.get()));
    if (!reply.events_of.empty()) {
      if (service.event_clients < HttpService::max_event_clients) {
        ++service.event_clients;
        co_await send_events(client, service, std::move(reply));
        --service.event_clients;
        co_return Error();
      }
      reply = too_many_pages();
    }
    if (co_await write(client, std::move(reply), keep_alive, timeout)) co_return Error();
  }
  co_await linger(client);
  co_return Error();
}

}  // namespace keyferry
