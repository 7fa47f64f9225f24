// What TLS asks for, from options to a ready context: authorities, our certificate, what is checked
// of the server's. The handshake itself is net/stream's. Not the HTTP side, which has no TLS.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

#include "keyferry/config/options.hpp"

namespace keyferry {

namespace asio = boost::asio;

// The client context for one end. Errc::usage, naming the file, when one of them does not serve.
Result<std::shared_ptr<asio::ssl::context>> make_tls_context(const TlsOptions& options);

// Whether `host` is a numeric address: those are checked as such and never sent as SNI (RFC 6066,
// section 3).
bool is_numeric_address(const std::string& host);

}  // namespace keyferry
