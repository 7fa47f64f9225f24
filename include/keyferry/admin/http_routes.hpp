// What each HTTP path answers (interface "HTTP"): a request in, a reply out. Pure: no socket and no
// clock, so the tests call it directly; http_session moves the bytes. Admin thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "keyferry/pipeline/status.hpp"
#include "keyferry/verify/plan.hpp"

namespace keyferry {

enum class ControlVerb { drain, pause, resume, stop, resync };
// Hands a verb to the pipeline. Called on the admin thread, so it must only post to the pipeline's
// executor; false when the link can no longer take it.
using Control = std::function<bool(ControlVerb)>;

// Hands new rate limits to the pipeline; called like Control.
using ChangeLimits = std::function<void(const RateChange&)>;

// Hands a cutover to the pipeline; called like Control.
using CutOver = std::function<void(const CutoverRequest&)>;
// Has the link compare both ends; called like Control.
using StartVerify = std::function<void(const VerifyRequest&)>;

struct HttpRequest {
  std::string method;
  std::string target;  // path, and a query after '?'
  std::string host;    // header fields, empty when not sent
  std::string origin;
  std::string authorization;
};

struct HttpReply {
  unsigned status = 200;
  std::string content_type;
  std::string body;
  std::string allow;      // 405 only
  std::string challenge;  // 401 only: WWW-Authenticate
  // With initializers, so that most replies need not name them.
  // NOLINTBEGIN(readability-redundant-member-init)
  std::string policy = {};     // the page only: Content-Security-Policy
  std::string events_of = {};  // not empty: server-sent events, the body of this path each second
  // NOLINTEND(readability-redundant-member-init)
};

class HttpRoutes {
 public:
  // `started_ms` and `now_ms` below: milliseconds of the steady clock, as Status::published_ms.
  // With a `token`, POST wants it as Authorization: Bearer.
  HttpRoutes(const StatusBoard& board, std::int64_t ready_lag_bytes, Control control,
             std::int64_t started_ms, std::string token = "");

  ChangeLimits change_limits;  // may be empty: there is nothing to limit
  CutOver cut_over;            // may be empty: there is nothing to hand over
  StartVerify start_verify;    // may be empty: there is nothing to compare

  HttpReply answer(const HttpRequest& request, std::int64_t now_ms) const;

 private:
  struct Visit;
  struct Row;
  static const Row rows[];

  HttpReply page(const Visit& visit) const;
  HttpReply events(const Visit& visit) const;
  HttpReply status(const Visit& visit) const;
  HttpReply metrics(const Visit& visit) const;
  HttpReply livez(const Visit& visit) const;
  HttpReply readyz(const Visit& visit) const;
  HttpReply drain(const Visit& visit) const;
  HttpReply pause(const Visit& visit) const;
  HttpReply resume(const Visit& visit) const;
  HttpReply stop(const Visit& visit) const;
  HttpReply resync(const Visit& visit) const;
  HttpReply cutover(const Visit& visit) const;
  HttpReply limits(const Visit& visit) const;
  HttpReply verify(const Visit& visit) const;
  HttpReply control(const Visit& visit, ControlVerb verb, Phase next) const;
  bool is_fresh(const Visit& visit) const;
  bool is_authorized(const HttpRequest& request) const;

  const StatusBoard& board_;
  std::int64_t ready_lag_bytes_;
  Control control_;
  std::int64_t started_ms_;
  std::string token_;
};

}  // namespace keyferry
