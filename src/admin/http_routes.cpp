#include "keyferry/admin/http_routes.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "keyferry/admin/dashboard.hpp"
#include "keyferry/admin/metrics.hpp"
#include "keyferry/admin/status_json.hpp"
#include "keyferry/admin/token.hpp"
#include "keyferry/config/option_value.hpp"

namespace keyferry {
namespace {

constexpr std::int64_t fresh_for_ms = 10'000;

constexpr const char* plain_text = "text/plain; charset=utf-8";
constexpr const char* json_text = "application/json";
constexpr const char* page_text = "text/html; charset=utf-8";
constexpr const char* event_text = "text/event-stream";
constexpr const char* metrics_format = "text/plain; version=0.0.4; charset=utf-8";

HttpReply plain(unsigned status, std::string body) {
  return {status, plain_text, body + "\n", "", ""};
}

// "a&verbose&b=1" has "verbose" and "b".
bool has_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view one = query.substr(0, query.find('&'));
    if (one.substr(0, one.find('=')) == name) return true;
    query.remove_prefix(std::min(query.size(), one.size() + 1));
  }
  return false;
}

// Calls `take` with name and value of each parameter until it returns what is wrong; that.
template <class Take>
std::string each_parameter(std::string_view query, Take take) {
  while (!query.empty()) {
    const std::string_view one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), one.size() + 1));
    const std::size_t equals = std::min(one.find('='), one.size());
    std::string wrong = take(one.substr(0, equals), one.substr(std::min(equals + 1, one.size())));
    if (!wrong.empty()) return wrong;
  }
  return {};
}

// A page of another site in the operator's browser can POST here too; browsers say so in Origin.
// Behind a proxy that speaks TLS the scheme is https.
bool is_from_another_site(const HttpRequest& request) {
  return !request.origin.empty() && request.origin != "http://" + request.host &&
         request.origin != "https://" + request.host;
}

std::optional<VerifyLevel> parse_level(std::string_view name) {
  if (name == "exists") return VerifyLevel::exists;
  if (name == "ttl") return VerifyLevel::ttl;
  if (name == "digest") return VerifyLevel::digest;
  if (name == "full") return VerifyLevel::full;
  return std::nullopt;
}

// Whether the Host field is an address or localhost. A name could be one that another site has
// turned to point at this machine ("DNS rebinding"); its page and Origin would look like ours.
bool is_addressed_directly(std::string_view host) {
  if (host.empty() || host.starts_with('[')) return true;
  const std::string_view name = host.substr(0, host.find(':'));
  return name == "localhost" || name.find_first_not_of("0123456789.") == name.npos;
}

}  // namespace

struct HttpRoutes::Visit {
  std::string_view query;
  std::shared_ptr<const Status> status;
  std::int64_t now_ms;
};

struct HttpRoutes::Row {
  std::string_view path;
  std::string_view method;
  HttpReply (HttpRoutes::*answer)(const Visit&) const;
};

const HttpRoutes::Row HttpRoutes::rows[] = {
    {"/", "GET", &HttpRoutes::page},          {"/status", "GET", &HttpRoutes::status},
    {"/events", "GET", &HttpRoutes::events},  {"/metrics", "GET", &HttpRoutes::metrics},
    {"/livez", "GET", &HttpRoutes::livez},    {"/readyz", "GET", &HttpRoutes::readyz},
    {"/drain", "POST", &HttpRoutes::drain},   {"/pause", "POST", &HttpRoutes::pause},
    {"/resume", "POST", &HttpRoutes::resume}, {"/stop", "POST", &HttpRoutes::stop},
    {"/resync", "POST", &HttpRoutes::resync}, {"/cutover", "POST", &HttpRoutes::cutover},
    {"/limits", "POST", &HttpRoutes::limits}, {"/verify", "POST", &HttpRoutes::verify},
};

HttpRoutes::HttpRoutes(const StatusBoard& board, std::int64_t ready_lag_bytes, Control control,
                       std::int64_t started_ms, std::string token)
    : board_(board),
      ready_lag_bytes_(ready_lag_bytes),
      control_(std::move(control)),
      started_ms_(started_ms),
      token_(std::move(token)) {}

HttpReply HttpRoutes::answer(const HttpRequest& request, std::int64_t now_ms) const {
  const std::string_view target = request.target;
  const std::size_t mark = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, mark);
  for (const Row& row : rows) {
    if (row.path != path) continue;
    if (row.method != request.method) {
      return {405, plain_text, "method not allowed\n", std::string(row.method), ""};
    }
    if (row.method == "POST" && is_from_another_site(request)) {
      return plain(403, "request comes from a page of another site");
    }
    if (row.method == "POST" && token_.empty() && !is_addressed_directly(request.host)) {
      return plain(403, "without http.token_file only an address or localhost may be asked");
    }
    if (row.method == "POST" && !is_authorized(request)) {
      HttpReply reply = plain(401, "needs the token of http.token_file (Authorization: Bearer)");
      reply.challenge = "Bearer realm=\"keyferry\"";
      return reply;
    }
    const Visit visit{target.substr(std::min(mark + 1, target.size())), board_.read(), now_ms};
    return (this->*row.answer)(visit);
  }
  return plain(404, "not found");
}

HttpReply HttpRoutes::page(const Visit&) const {
  return {200, page_text, std::string(dashboard_page()), "", "", dashboard_policy()};
}

HttpReply HttpRoutes::events(const Visit&) const {
  return {200, event_text, "", "", "", "", "/status"};
}

HttpReply HttpRoutes::status(const Visit& visit) const {
  return {200, json_text, status_json(*visit.status) + "\n", "", ""};
}

HttpReply HttpRoutes::metrics(const Visit& visit) const {
  return {200, metrics_format, metrics_text(*visit.status), "", ""};
}

// A stopped link publishes no more and is as it should be (stop.then: idle); a restart would not
// help it.
HttpReply HttpRoutes::livez(const Visit& visit) const {
  if (visit.status->phase == Phase::stopped || is_fresh(visit)) return plain(200, "ok");
  return plain(503, "no status was published for 10 s");
}

HttpReply HttpRoutes::readyz(const Visit& visit) const {
  const Status& now = *visit.status;
  std::string problems;
  if (now.phase != Phase::steady) {
    problems += fmt::format("\nphase is {}, not steady", to_string(now.phase));
  }
  if (!is_fresh(visit)) problems += "\nno status was published for 10 s";
  if (!now.lag_bytes) {
    problems += "\nlag is unknown";
  } else if (*now.lag_bytes > ready_lag_bytes_) {
    problems += fmt::format("\nlag is {} bytes, above http.ready_lag_bytes = {}", *now.lag_bytes,
                            ready_lag_bytes_);
  }
  if (problems.empty()) return plain(200, "ready");
  return plain(503, has_parameter(visit.query, "verbose") ? "not ready" + problems : "not ready");
}

HttpReply HttpRoutes::drain(const Visit& visit) const {
  return control(visit, ControlVerb::drain, Phase::draining);
}

HttpReply HttpRoutes::pause(const Visit& visit) const {
  return control(visit, ControlVerb::pause, Phase::paused);
}

HttpReply HttpRoutes::resume(const Visit& visit) const {
  const bool is_paused = visit.status->phase == Phase::paused;
  return control(visit, ControlVerb::resume, is_paused ? Phase::catch_up : visit.status->phase);
}

HttpReply HttpRoutes::stop(const Visit& visit) const {
  return control(visit, ControlVerb::stop, Phase::stopped);
}

HttpReply HttpRoutes::resync(const Visit& visit) const {
  const Status& now = *visit.status;
  const bool is_following = now.phase == Phase::steady || now.phase == Phase::catch_up;
  if (!is_following || now.cutover.is_running() || now.verify.running)
    return {409U, json_text, fmt::format("{{\"phase\":\"{}\"}}\n", to_string(now.phase)), "", ""};
  if (!now.can_resync) {
    return plain(409,
                 "a full sync empties the target first: not where the target held keys before the "
                 "link began, nor for a source that is a cluster, a list, a file or scanned");
  }
  return control(visit, ControlVerb::resync, Phase::snapshot);
}

// How it goes is in the status. A link that is not following its source has nothing to hand over; a
// scanned source has no offset to reach.
HttpReply HttpRoutes::cutover(const Visit& visit) const {
  const Phase phase = visit.status->phase;
  const bool is_following = phase == Phase::steady || phase == Phase::catch_up;
  const bool is_possible = is_following && !visit.status->scan && cut_over;
  if (!is_possible || visit.status->cutover.is_running()) {
    return {409U, json_text, fmt::format("{{\"phase\":\"{}\"}}\n", to_string(phase)), "", ""};
  }
  CutoverRequest request;
  const auto take = [&request](std::string_view name, std::string_view value) -> std::string {
    if (name == "pause_timeout_ms") {
      request.pause_timeout_ms = parse_integer(value);
      const bool is_good = request.pause_timeout_ms && *request.pause_timeout_ms >= 1000;
      return is_good ? "" : "pause_timeout_ms: milliseconds, 1000 at least";
    }
    request.verify_sample = name == "verify" && value == "sample";
    return request.verify_sample ? "" : "there are pause_timeout_ms=N and verify=sample";
  };
  const std::string wrong = each_parameter(visit.query, take);
  if (!wrong.empty()) return plain(400, wrong);
  cut_over(request);
  return {202U, json_text, fmt::format("{{\"phase\":\"{}\"}}\n", to_string(phase)), "", ""};
}

// Sizes as in the options; what is not named stays as it is. Answers with the new limits.
HttpReply HttpRoutes::limits(const Visit& visit) const {
  struct Parameter {
    std::string_view name;
    std::optional<std::int64_t> RateChange::*change;
    std::int64_t RateLimits::*limit;
  };
  constexpr Parameter parameters[] = {
      {"target_ops_per_s", &RateChange::target_ops_per_s, &RateLimits::target_ops_per_s},
      {"target_bytes_per_s", &RateChange::target_bytes_per_s, &RateLimits::target_bytes_per_s},
      {"source_bytes_per_s", &RateChange::source_bytes_per_s, &RateLimits::source_bytes_per_s}};
  RateChange change;
  if (visit.query.empty())
    return plain(400, "write /limits?target_ops_per_s=N and the like; 0 = no limit");
  const auto take = [&](std::string_view name, std::string_view text) -> std::string {
    const auto at = std::find_if(std::begin(parameters), std::end(parameters),
                                 [&](const Parameter& each) { return each.name == name; });
    if (at == std::end(parameters))
      return "there are target_ops_per_s, target_bytes_per_s and source_bytes_per_s";
    const auto value = parse_size(text);
    if (!value || *value < 0) return std::string(at->name) + ": not a size";
    change.*at->change = value;
    return {};
  };
  const std::string wrong = each_parameter(visit.query, take);
  if (!wrong.empty()) return plain(400, wrong);
  const bool is_over =
      visit.status->phase == Phase::stopped || visit.status->phase == Phase::failed;
  if (is_over || !change_limits) return plain(409, "the link has ended");
  change_limits(change);
  std::string text;
  for (const Parameter& each : parameters) {
    text += fmt::format("{}\"{}\":{}", text.empty() ? "" : ",", each.name,
                        (change.*each.change).value_or(visit.status->limits.*each.limit));
  }
  return {202, json_text, "{" + text + "}\n", "", ""};
}

// How it goes is in the status. `sample=1%` may come as `sample=1%25`.
HttpReply HttpRoutes::verify(const Visit& visit) const {
  VerifyRequest wanted;
  for (std::string_view query = visit.query; !query.empty();) {
    const std::string_view one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), one.size() + 1));
    const std::size_t equals = std::min(one.find('='), one.size());
    const std::string_view name = one.substr(0, equals);
    std::string value(one.substr(std::min(equals + 1, one.size())));
    if (name == "level") wanted.level = parse_level(value);
    if (name == "level" && wanted.level) continue;
    if (value.ends_with("%25")) value.resize(value.size() - 2);
    if (name == "sample") wanted.part = parse_percent(value);
    if (name == "sample" && wanted.part) continue;
    if (name == "repair" || name == "repair_extra") {
      (name == "repair" ? wanted.repair : wanted.repair_extra) = value != "false";
      continue;
    }
    return plain(400, "there are level=exists|ttl|digest|full, sample=1%, repair, repair_extra");
  }
  const Phase phase = visit.status->phase;
  // A link that scans its source has no stream to repair in order with: compared from beside it.
  const bool is_following =
      (phase == Phase::steady || phase == Phase::catch_up) && !visit.status->scan;
  if (!start_verify || !is_following || visit.status->verify.running)
    return {409U, json_text, fmt::format("{{\"phase\":\"{}\"}}\n", to_string(phase)), "", ""};
  start_verify(wanted);
  return {202, json_text, fmt::format("{{\"phase\":\"{}\"}}\n", to_string(phase)), "", ""};
}

// 202 names the phase the verb leads to; 409 the one that makes it impossible.
HttpReply HttpRoutes::control(const Visit& visit, ControlVerb verb, Phase next) const {
  const bool accepted = control_(verb);
  const Phase phase = accepted ? next : visit.status->phase;
  return {accepted ? 202U : 409U, json_text,
          fmt::format("{{\"phase\":\"{}\"}}\n", to_string(phase)), "", ""};
}

bool HttpRoutes::is_authorized(const HttpRequest& request) const {
  if (token_.empty()) return true;
  constexpr std::string_view scheme = "Bearer ";
  const std::string_view given = request.authorization;
  return given.starts_with(scheme) && is_token(given.substr(scheme.size()), token_);
}

// Whether the pipeline published lately; before its first time it has as long from the start.
bool HttpRoutes::is_fresh(const Visit& visit) const {
  const std::int64_t last_ms = std::max(visit.status->published_ms, started_ms_);
  return visit.now_ms - last_ms <= fresh_for_ms;
}

}  // namespace keyferry
