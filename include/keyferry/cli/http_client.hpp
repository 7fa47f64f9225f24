// One HTTP request to a running keyferry, and its answer; for `keyferry status`, `drain` and the
// like. Blocks until it is done or a time limit is over.
#pragma once

#include <string>

#include "keyferry/base/error.hpp"

namespace keyferry {

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};

// `address` is HOST:PORT. With a token, it is sent as Authorization: Bearer. Errc::unreachable when
// nobody answers within 5 s, Errc::usage for an address that is none.
Result<HttpAnswer> http_call(const std::string& address, const std::string& method,
                             const std::string& path, const std::string& token);

}  // namespace keyferry
