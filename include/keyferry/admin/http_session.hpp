// One HTTP connection: reads requests with Beast, asks `handle`, writes the replies. Knows limits
// and time-outs, not paths (http_routes does). Admin thread only.
#pragma once

#include "keyferry/admin/http_routes.hpp"
#include "keyferry/admin/listener.hpp"

namespace keyferry {

constexpr std::uint32_t http_header_limit_bytes = 8 * 1024;
constexpr std::uint64_t http_body_limit_bytes = 64 * 1024;

using HttpHandle = std::function<HttpReply(const HttpRequest&)>;

// What all sessions of one server share.
struct HttpService {
  static constexpr std::size_t max_event_clients = 16;

  HttpHandle handle;
  Millis timeout{10'000};
  Millis event_interval{1000};
  std::size_t event_clients = 0;  // pages that are open now
};

// Serves `client` until it closes, errs, or takes longer than `timeout` for a request or a reply; a
// client of server-sent events, until it no longer takes them. Both outlive the await.
Task<Error> serve_http(Client& client, HttpService& service);

}  // namespace keyferry
