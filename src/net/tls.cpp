#include "keyferry/net/tls.hpp"

#include <cstdio>

#include <boost/asio/ip/address.hpp>

namespace keyferry {
namespace {

using boost::system::error_code;

Error unusable(const std::string& option, const std::string& path, const std::string& why) {
  return Error(Errc::usage, "tls." + option + " " + path + ": " + why);
}

// The first line of a file; empty when it cannot be read, which OpenSSL then reports as a wrong
// password.
std::string first_line(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return {};
  char text[1024] = {};
  const std::size_t size = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  const std::string line(text, size);
  return line.substr(0, line.find_first_of("\r\n"));
}

Error load_own_certificate(asio::ssl::context& context, const TlsOptions& options) {
  if (options.cert_file.empty()) return Error();
  error_code ec;
  // Set in any case: without one OpenSSL would ask on the terminal.
  const std::string password =
      options.key_password_file.empty() ? std::string() : first_line(options.key_password_file);
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
