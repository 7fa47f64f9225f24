#include "keyferry/cli/forget.hpp"

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include "keyferry/base/log.hpp"
#include "keyferry/cli/cli.hpp"
#include "keyferry/resp/resp.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {
namespace {

// Our keys of one master.
Task<Result<std::vector<std::string>>> find_records(TargetNodes& nodes, Endpoint node,
                                                    Millis limit) {
  std::vector<std::string> found;
  std::string cursor = "0";
  do {
    Bytes scan = make_command({"SCAN", cursor, "MATCH", "keyferry:*", "COUNT", "1000"});
    auto reply = co_await nodes.call(node, std::move(scan), limit);
    if (!reply) co_return reply.error();
    if (!reply->is_array() || reply->items.size() != 2)
      co_return Error(Errc::refused_by_peer, "SCAN: " + reply->text);
    cursor = reply->items[0].text;
    for (const RespValue& key : reply->items[1].items)
      found.push_back(key.text);
  } while (cursor != "0");
  co_return found;
}

Task<Error> remove_records(const Options& options, std::size_t& removed) {
  TargetNodes nodes(co_await asio::this_coro::executor, options.target);
  const Millis limit(options.target.reply_timeout_ms);
  Error error = co_await nodes.open();
  if (error) co_return error;
  std::vector<std::pair<Endpoint, std::string>> keys;
  for (const auto& [node, identity] : nodes.masters()) {
    auto found = co_await find_records(nodes, node, limit);
    if (!found) co_return with_context("target " + to_string(node), found.error());
    for (std::string& key : *found)
      keys.emplace_back(node, std::move(key));
  }
  for (const auto& [node, key] : keys) {
    if (!key.ends_with(":lease")) continue;
    co_return Error(Errc::usage,
                    "an instance runs a link into this target (" + key + "): stop it first");
  }
  for (const auto& [node, key] : keys) {
    Bytes command = make_command({"DEL", key});
    auto reply = co_await nodes.call(node, std::move(command), limit);
    if (!reply) co_return reply.error();
    if (reply->is_error())
      co_return Error(Errc::refused_by_peer, "DEL " + key + ": " + reply->text);
    ++removed;
  }
  nodes.close();
  co_return Error();
}

}  // namespace

int forget_command(const CommandLine& command_line) {
  const Result<Options> options = load_options(command_line, environment());
  if (!options) {
    print_problems(options.error().what);
    return exit_code(options.error());
  }
  open_log(LogLevel::error, options->log_format, "");
  std::size_t removed = 0;
  Error error = run_alone(remove_records(*options, removed));
  if (error) {
    print_problems(error.what);
    return exit_code(error);
  }
  fmt::print("removed {} keys of our own\n", removed);
  return 0;
}

}  // namespace keyferry
