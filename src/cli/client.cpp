#include "keyferry/cli/client.hpp"

#include <chrono>
#include <cstdio>
#include <thread>

#include <fmt/core.h>
#include <unistd.h>

#include "keyferry/cli/cli.hpp"
#include "keyferry/cli/http_client.hpp"
#include "keyferry/cli/status_screen.hpp"
#include "keyferry/config/rules.hpp"
#include "keyferry/config/secret.hpp"

namespace keyferry {
namespace {

constexpr const char* default_address = "127.0.0.1:8484";  // of http.listen
constexpr std::chrono::seconds refresh{1};

std::string given_or(const std::string& given, const Environment& environment, const char* name,
                     const char* fallback) {
  if (!given.empty()) return given;
  const auto found = environment.find(name);
  return found == environment.end() || found->second.empty() ? fallback : found->second;
}

struct Server {
  std::string address;
  std::string token;
};

Result<Server> find_server(const ClientOptions& options, const Environment& environment) {
  Server server;
  server.address = given_or(options.http, environment, "KEYFERRY_HTTP_LISTEN", default_address);
  const std::string file =
      given_or(options.token_file, environment, "KEYFERRY_HTTP_TOKEN_FILE", "");
  if (file.empty()) return server;
  Result<std::string> token = read_secret(file);
  if (!token) return Error(Errc::usage, "the token file " + file + " " + token.error().what);
  server.token = std::move(*token);
  return server;
}

int fail(const Error& error) {
  print_problems(error.what);
  return exit_code(error);
}

Result<std::string> read_status(const Server& server, bool json) {
  Result<HttpAnswer> answer = http_call(server.address, "GET", "/status", "");
  if (!answer) return answer.error();
  if (answer->status != 200) {
    return Error(Errc::unreachable, fmt::format("GET /status: {}", answer->status));
  }
  return json ? std::move(answer->body) : status_screen(answer->body);
}

}  // namespace

int status_command(const ClientOptions& options, const Environment& environment) {
  const Result<Server> server = find_server(options, environment);
  if (!server) return fail(server.error());
  const bool redraws = options.watch && !options.json && isatty(STDOUT_FILENO) == 1;
  while (true) {
    const Result<std::string> shown = read_status(*server, options.json);
    if (!shown) return fail(shown.error());
    // Home, then clear what the last screen left behind.
    fmt::print("{}{}", redraws ? "\x1b[H\x1b[2J" : "", *shown);
    if (!options.watch) return 0;
    if (!redraws && !options.json) fmt::print("\n");
    std::fflush(stdout);
    std::this_thread::sleep_for(refresh);
  }
}

int control_command(const std::string& verb, const ClientOptions& options,
                    const Environment& environment) {
  const Result<Server> server = find_server(options, environment);
  if (!server) return fail(server.error());
  const Result<HttpAnswer> answer = http_call(server->address, "POST", "/" + verb, server->token);
  if (!answer) return fail(answer.error());
  std::string body = answer->body;
  while (!body.empty() && body.back() == '\n')
    body.pop_back();
  if (answer->status != 202) {
    return fail(Error(Errc::refused_by_peer,
                      fmt::format("{} says no: {} {}", server->address, answer->status, body)));
  }
  fmt::print("{}\n", body);
  return 0;
}

int verify_running(const std::string& query, const ClientOptions& options,
                   const Environment& environment, VerifySummary& summary) {
  const Result<Server> server = find_server(options, environment);
  if (!server) return fail(server.error());
  const Result<std::string> before = read_status(*server, true);
  if (!before) return fail(before.error());
  const std::uint64_t earlier = verify_outcome(*before).attempt;
  const Result<HttpAnswer> answer =
      http_call(server->address, "POST", "/verify?" + query, server->token);
  if (!answer) return fail(answer.error());
  if (answer->status != 202) {
    return fail(Error(Errc::refused_by_peer, fmt::format("{} says no: {} {}", server->address,
                                                         answer->status, answer->body)));
  }
  constexpr int polls_until_begun = 50;
  for (int polls = 0;; ++polls) {
    const Result<std::string> status = read_status(*server, true);
    if (!status) return fail(status.error());
    summary = verify_outcome(*status);
    const bool has_begun = summary.attempt != earlier;
    if (has_begun && !summary.running) return 0;
    if (!has_begun && polls > polls_until_begun)
      return fail(Error(Errc::unreachable, "the link is in no state for it; its log says why"));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

namespace {

// What is asked for, as HTTP wants it: "cutover?pause_timeout_ms=10000&verify=sample".
Result<std::string> cutover_path(const ClientOptions& options) {
  std::string query;
  if (!options.pause_timeout.empty()) {
    const auto time = parse_ttl_policy("+" + options.pause_timeout);
    if (!time || time->shift_ms < 1000)
      return Error(Errc::usage, "--pause-timeout: write it like 10s or 1500ms; 1s at least");
    query = fmt::format("?pause_timeout_ms={}", time->shift_ms);
  }
  if (options.verify.empty()) return "cutover" + query;
  if (options.verify != "sample") return Error(Errc::usage, "--verify: there is only sample");
  return fmt::format("cutover{}{}verify=sample", query, query.empty() ? '?' : '&');
}

void print_outcome(const CutoverOutcome& outcome) {
  if (outcome.sampled_keys > 0) fmt::print("{} keys were compared, equal\n", outcome.sampled_keys);
  fmt::print("writes were held back for {} ms\n", outcome.pause_ms);
}

}  // namespace

int cutover_command(const ClientOptions& options, const Environment& environment) {
  const Result<std::string> path = cutover_path(options);
  if (!path) return fail(path.error());
  const Result<Server> server = find_server(options, environment);
  if (!server) return fail(server.error());
  const Result<std::string> before = read_status(*server, true);
  if (!before) return fail(before.error());
  const std::uint64_t earlier = cutover_outcome(*before).attempt;
  if (const int code = control_command(*path, options, environment); code != 0) return code;
  std::string last;
  while (true) {
    const Result<std::string> status = read_status(*server, true);
    if (!status) return fail(status.error());
    const CutoverOutcome outcome = cutover_outcome(*status);
    if (outcome.attempt == earlier) {  // not published yet
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    if (outcome.state != last) fmt::print("cutover: {}\n", outcome.state);
    std::fflush(stdout);
    last = outcome.state;
    if (outcome.state == "committed" && outcome.pause_ms > 0) {
      print_outcome(outcome);
      if (outcome.problem.empty()) return 0;
    }
    if (!outcome.problem.empty()) return fail(Error(Errc::unreachable, outcome.problem));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace keyferry
