// One HTTP connection: reads requests with Beast, asks `handle`, writes the replies. Knows limits
// and time-outs, not paths (http_routes does). Admin thread only.
#pragma once

#include "keyferry/admin/http_routes.hpp"
#include "keyferry/admin/listener.hpp"

namespace keyferry {

constexpr std::uint32_t http_header_limit_bytes = 8 * 1024;
constexpr std::uint64_t http_body_limit_bytes = 64 * 1024;

using HttpHandle = std::function<HttpReply(const HttpRequest&)>;

// Serves `client` until it closes, errs, or takes longer than `timeout` for a request or a reply.
// `handle` and the client are the caller's and outlive the await.
Task<Error> serve_http(Client& client, const HttpHandle& handle, Millis timeout);

}  // namespace keyferry
