#include "keyferry/net/stream.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <sys/un.h>

#include "keyferry/net/tls.hpp"

namespace keyferry {
namespace {

using asio::ip::tcp;

Error io_error(const char* doing, const boost::system::error_code& ec) {
  return Error(Errc::unreachable, std::string(doing) + ": " + ec.message());
}

// The numeric address inside a generic endpoint; empty for anything but TCP.
template <class GenericEndpoint>
std::string numeric(const GenericEndpoint& from) {
  const int family = from.data()->sa_family;
  if (family != AF_INET && family != AF_INET6) return {};
  tcp::endpoint endpoint;
  endpoint.resize(from.size());
  std::memcpy(endpoint.data(), from.data(), from.size());
  return endpoint.address().to_string();
}

// OpenSSL's reason in words: "certificate verify failed" alone does not say what to mend.
Error handshake_error(const boost::system::error_code& ec, long verified) {
  std::string what = "TLS handshake: " + ec.message();
  if (verified != X509_V_OK) {
    what += std::string(": ") + X509_verify_cert_error_string(verified);
  }
  return Error(Errc::unreachable, what);
}

}  // namespace

struct Stream::Tls {
  Tls(std::shared_ptr<asio::ssl::context> given, asio::generic::stream_protocol::socket& socket)
      : context(std::move(given)), stream(socket, *context) {}
  std::shared_ptr<asio::ssl::context> context;
  asio::ssl::stream<asio::generic::stream_protocol::socket&> stream;
};

Task<Error> Stream::connect_tcp(HostPort address) {
  tcp::resolver resolver(co_await asio::this_coro::executor);
  auto [resolve_ec, found] =
      co_await resolver.async_resolve(address.host, std::to_string(address.port), use_tuple);
  if (resolve_ec) co_return io_error("resolve", resolve_ec);

  boost::system::error_code last = asio::error::host_not_found;
  for (const auto& entry : found) {
    close();
    auto [ec] = co_await socket_.async_connect(entry.endpoint(), use_tuple);
    last = ec;
    if (!ec) break;
  }
  if (last) {
    close();
    co_return io_error("connect", last);
  }
  boost::system::error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::keep_alive(true), ignored);
  co_return Error();
}

Task<Error> Stream::connect_unix(std::string path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    co_return Error(Errc::usage, "the path of a unix socket has at most 107 bytes: " + path);
  }
  const asio::local::stream_protocol::endpoint endpoint(path);
  auto [ec] = co_await socket_.async_connect(endpoint, use_tuple);
  if (ec) co_return io_error("connect", ec);
  co_return Error();
}

Task<Error> Stream::start_tls(TlsOptions options, std::string host) {
  auto context = make_tls_context(options);
  if (!context) co_return context.error();
  const auto tls = std::make_shared<Tls>(std::move(*context), socket_);
  const std::string name = options.server_name.empty() ? host : options.server_name;
  SSL* const handle = tls->stream.native_handle();
  if (!name.empty() && !is_numeric_address(name)) {
    SSL_ctrl(handle, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             const_cast<char*>(name.c_str()));
  }
  boost::system::error_code ec;
  if (options.verify == TlsVerify::full) {
    tls->stream.set_verify_callback(asio::ssl::host_name_verification(name), ec);
  }
  auto [failed] = co_await tls->stream.async_handshake(asio::ssl::stream_base::client, use_tuple);
  if (failed) {
    long verified = options.verify == TlsVerify::none ? X509_V_OK : SSL_get_verify_result(handle);
    // The chain was good, so it was our check of the name that said no.
    const bool is_verify_failure =
        failed.message().find("certificate verify failed") != std::string::npos;
    if (is_verify_failure && (verified == X509_V_OK || verified == X509_V_ERR_UNSPECIFIED))
      verified = X509_V_ERR_HOSTNAME_MISMATCH;
    co_return handshake_error(failed, verified);
  }
  tls_ = tls;
  co_return Error();
}

Task<Result<std::size_t>> Stream::read_some(char* data, std::size_t size) {
  const auto buffer = asio::buffer(data, size);
  if (const auto tls = tls_) {
    auto [tls_ec, count] = co_await tls->stream.async_read_some(buffer, use_tuple);
    if (tls_ec) co_return io_error("read", tls_ec);
    co_return count;
  }
  auto [ec, n] = co_await socket_.async_read_some(buffer, use_tuple);
  if (ec) co_return io_error("read", ec);
  co_return n;
}

Task<Error> Stream::write(std::span<const asio::const_buffer> buffers) {
  if (const auto tls = tls_) {
    auto [tls_ec, count] = co_await asio::async_write(tls->stream, buffers, use_tuple);
    if (tls_ec) co_return io_error("write", tls_ec);
    co_return Error();
  }
  auto [ec, n] = co_await asio::async_write(socket_, buffers, use_tuple);
  if (ec) co_return io_error("write", ec);
  co_return Error();
}

Task<Error> Stream::write(ByteView bytes) {
  const auto buffer = asio::buffer(bytes.data(), bytes.size());
  if (const auto tls = tls_) {
    auto [tls_ec, count] = co_await asio::async_write(tls->stream, buffer, use_tuple);
    if (tls_ec) co_return io_error("write", tls_ec);
    co_return Error();
  }
  auto [ec, n] = co_await asio::async_write(socket_, buffer, use_tuple);
  if (ec) co_return io_error("write", ec);
  co_return Error();
}

void Stream::close(bool abort) {
  boost::system::error_code ignored;
  if (abort && socket_.is_open()) {
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  }
  socket_.close(ignored);
  // No close_notify: every protocol spoken here marks its own ends.
  tls_.reset();
}

std::string Stream::local_address() const {
  boost::system::error_code ec;
  const auto endpoint = socket_.local_endpoint(ec);
  return ec ? std::string() : numeric(endpoint);
}

std::string Stream::remote_address() const {
  boost::system::error_code ec;
  const auto endpoint = socket_.remote_endpoint(ec);
  return ec ? std::string() : numeric(endpoint);
}

}  // namespace keyferry
