#include "keyferry/cli/http_client.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "keyferry/config/uri.hpp"
#include "keyferry/net/task.hpp"

namespace keyferry {
namespace {

namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr Millis limit{5000};
constexpr std::uint64_t body_max_bytes = 16 * 1024 * 1024;

Error failed(const boost::system::error_code& ec) {
  return Error(Errc::unreachable, ec.message());
}

Task<Error> exchange(HostPort server, http::request<http::string_body> request,
                     HttpAnswer& answer) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  tcp::resolver resolver(executor);
  auto [resolve_ec, found] =
      co_await resolver.async_resolve(server.host, std::to_string(server.port), use_tuple);
  if (resolve_ec) co_return failed(resolve_ec);
  boost::beast::tcp_stream stream(executor);
  stream.expires_after(limit);
  auto [connect_ec, endpoint] = co_await stream.async_connect(found, use_tuple);
  if (connect_ec) co_return failed(connect_ec);
  auto [write_ec, written] = co_await http::async_write(stream, request, use_tuple);
  if (write_ec) co_return failed(write_ec);
  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(body_max_bytes);
  auto [read_ec, read] = co_await http::async_read(stream, buffer, parser, use_tuple);
  if (read_ec) co_return failed(read_ec);
  answer.status = parser.get().result_int();
  answer.body = std::move(parser.get().body());
  co_return Error();
}

}  // namespace

Result<HttpAnswer> http_call(const std::string& address, const std::string& method,
                             const std::string& path, const std::string& token) {
  const Result<HostPort> server = parse_listen(address);
  if (!server) return with_context("--http", server.error());
  http::request<http::string_body> request(http::string_to_verb(method), path, 11);
  request.set(http::field::host, address);
  request.set(http::field::connection, "close");
  if (!token.empty()) request.set(http::field::authorization, "Bearer " + token);
  request.prepare_payload();
  HttpAnswer answer;
  Error error = run_alone(exchange(*server, std::move(request), answer));
  if (error) return with_context(address, std::move(error));
  return answer;
}

}  // namespace keyferry
