#include "keyferry/cli/check.hpp"

#include <algorithm>
#include <iterator>

#include <boost/asio/this_coro.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "keyferry/base/log.hpp"
#include "keyferry/cli/cli.hpp"
#include "keyferry/pipeline/cutover.hpp"
#include "keyferry/pipeline/preflight_facts.hpp"

namespace keyferry {
namespace {

std::ptrdiff_t count_of(const std::vector<Finding>& findings, Grade verdict) {
  return std::count_if(findings.begin(), findings.end(),
                       [verdict](const Finding& one) { return one.verdict == verdict; });
}

}  // namespace

std::string check_text(const std::vector<Finding>& findings) {
  std::size_t width = 0;
  for (const Finding& one : findings)
    width = std::max(width, one.name.size());
  std::string out;
  for (const Finding& one : findings) {
    fmt::format_to(std::back_inserter(out), "{:<5} {:<{}}  {}\n", to_string(one.verdict), one.name,
                   width, one.text);
    if (one.advice.empty()) continue;
    fmt::format_to(std::back_inserter(out), "      {:<{}}  -> {}\n", "", width, one.advice);
  }
  fmt::format_to(std::back_inserter(out), "{} ok, {} warnings, {} failed\n",
                 count_of(findings, Grade::ok), count_of(findings, Grade::warn),
                 count_of(findings, Grade::fail));
  return out;
}

std::string check_json(const std::vector<Finding>& findings) {
  namespace json = boost::json;
  Grade worst = Grade::ok;
  json::array checks;
  for (const Finding& one : findings) {
    worst = std::max(worst, one.verdict);
    checks.push_back(json::object{{"verdict", to_string(one.verdict)},
                                  {"name", one.name},
                                  {"text", one.text},
                                  {"advice", one.advice}});
  }
  const json::object document{{"verdict", to_string(worst)}, {"checks", std::move(checks)}};
  return json::serialize(document);
}

int check_exit_code(const std::vector<Finding>& findings) {
  const auto is_unreachable = [](const Finding& one) { return one.is_unreachable; };
  if (std::any_of(findings.begin(), findings.end(), is_unreachable)) {
    return exit_code(Error(Errc::unreachable, ""));
  }
  return count_of(findings, Grade::fail) > 0 ? exit_code(Error(Errc::data_refused, "")) : 0;
}

int check_command(const CommandLine& command_line, bool json) {
  const Result<Options> options = load_options(command_line, environment());
  if (!options) {
    print_problems(options.error().what);
    return exit_code(options.error());
  }
  // What connections have to say is part of the findings.
  open_log(LogLevel::error, options->log_format, "");
  std::vector<Finding> findings;
  Error error = run_alone(check_link(*options, true, findings));
  if (error) {
    print_problems(error.what);
    return exit_code(error);
  }
  fmt::print("{}", json ? check_json(findings) + "\n" : check_text(findings));
  return check_exit_code(findings);
}

namespace {

// Of every node, when the source is a cluster; one that cannot be reached does not keep the others
// from it.
Task<Error> lower_fences(const Options& options) {
  if (!options.sources.empty())
    co_return Error(Errc::usage, "a link of several sources does not hand over: nothing is fenced");
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  std::vector<EndOptions> nodes;
  Error first = co_await find_fenced(options.source, nodes);
  for (const EndOptions& node : nodes) {
    SourceFence fence(executor, node);
    Error error = co_await fence.open("");
    if (!error) error = co_await fence.lower("0");
    if (error && !first) first = with_context("source " + fence.name(), std::move(error));
  }
  co_return first;
}

}  // namespace

int undo_fence_command(const CommandLine& command_line) {
  const Result<Options> options = load_options(command_line, environment());
  if (!options) {
    print_problems(options.error().what);
    return exit_code(options.error());
  }
  Error error = run_alone(lower_fences(*options));
  if (error) {
    print_problems(error.what);
    return exit_code(error);
  }
  fmt::print("the source takes writes again (min-replicas-to-write is 0)\n");
  return 0;
}

}  // namespace keyferry
