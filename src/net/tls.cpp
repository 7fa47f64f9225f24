#include "keyferry/net/tls.hpp"

#include <boost/asio/ip/address.hpp>

#include "keyferry/config/secret.hpp"

namespace keyferry {
namespace {

using boost::system::error_code;

Error unusable(const std::string& option, const std::string& path, const std::string& why) {
  return Error(Errc::usage, "tls." + option + " " + path + ": " + why);
}

Error load_own_certificate(asio::ssl::context& context, const TlsOptions& options) {
  if (options.cert_file.empty()) return Error();
  error_code ec;
  std::string password;  // set in any case: without one OpenSSL would ask on the terminal
  if (!options.key_password_file.empty()) {
    Result<std::string> secret = read_secret(options.key_password_file);
    if (!secret)
      return unusable("key_password_file", options.key_password_file, secret.error().what);
    password = std::move(*secret);
  }
  context.set_password_callback(
      [password](std::size_t, asio::ssl::context::password_purpose) { return password; }, ec);
  if (!ec) context.use_certificate_chain_file(options.cert_file, ec);
  if (ec) return unusable("cert_file", options.cert_file, ec.message());
  context.use_private_key_file(options.key_file, asio::ssl::context::pem, ec);
  if (ec) return unusable("key_file", options.key_file, ec.message());
  return Error();
}

}  // namespace

Result<std::shared_ptr<asio::ssl::context>> make_tls_context(const TlsOptions& options) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  error_code ec;
  // Redis and Valkey offer TLS 1.2 and 1.3 by default (Redis 7.0 redis.conf, tls-protocols).
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                           asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 |
                           asio::ssl::context::no_tlsv1_1 | asio::ssl::context::no_compression,
                       ec);
  if (options.verify == TlsVerify::none) {
    context->set_verify_mode(asio::ssl::verify_none, ec);
  } else {
    context->set_verify_mode(asio::ssl::verify_peer, ec);
    if (options.ca_file.empty()) {
      context->set_default_verify_paths(ec);
      if (ec) return unusable("ca_file", "(the system's)", ec.message());
    } else {
      context->load_verify_file(options.ca_file, ec);
      if (ec) return unusable("ca_file", options.ca_file, ec.message());
    }
  }
  Error error = load_own_certificate(*context, options);
  if (error) return error;
  return context;
}

bool is_numeric_address(const std::string& host) {
  error_code ec;
  asio::ip::make_address(host, ec);
  return !ec;
}

}  // namespace keyferry
