#include "keyferry/pipeline/cutover.hpp"

#include <fmt/format.h>

#include "keyferry/base/number.hpp"
#include "keyferry/cluster/shards.hpp"
#include "keyferry/pipeline/sink_status.hpp"
#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {
namespace {

constexpr const char* out_of_reach = "1000000";
constexpr Millis call_limit{2000};

}  // namespace

Task<Error> SourceFence::open(std::string replid) {
  replid_ = std::move(replid);
  const HostPort host = options_.uri.hosts.empty() ? HostPort() : options_.uri.hosts.front();
  Error error = co_await connection_.open(options_, host, "cutover");
  if (error) co_return error;
  if (!replid_.empty()) {
    auto at = co_await offset();
    if (!at) co_return at.error();
    error = co_await must_hold();
    if (error) co_return error;
  }
  // Its name before Redis 5.0 is the second one.
  for (const char* name : {"min-replicas-to-write", "min-slaves-to-write"}) {
    auto value = co_await setting(name);
    if (!value) co_return value.error();
    if (!*value) continue;
    setting_ = name;
    replaced_ = **value;
    co_return Error();
  }
  co_return Error(Errc::refused_by_peer, "the source has no min-replicas-to-write");
}

Task<Result<std::optional<std::string>>> SourceFence::setting(const char* name) {
  Bytes get = make_command({"CONFIG", "GET", name});
  auto reply = co_await connection_.call(std::move(get), call_limit);
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::refused_by_peer, "CONFIG GET: " + reply->text);
  std::optional<std::string> value;
  if (reply->items.size() >= 2) value = reply->items[1].text;
  co_return value;
}

// A largest lag of 0 makes min-replicas-to-write void (Redis 2.8 to 8.4 replication.c,
// refreshGoodSlavesCount).
Task<Error> SourceFence::must_hold() {
  for (const char* name : {"min-replicas-max-lag", "min-slaves-max-lag"}) {
    auto value = co_await setting(name);
    if (!value) co_return value.error();
    if (*value == "0")
      co_return Error(Errc::refused_by_peer,
                      fmt::format("{0} is 0, so no fence would hold; CONFIG SET {0} 10", name));
  }
  co_return Error();
}

Task<Error> SourceFence::pause(Millis limit) {
  Bytes command = make_command({"CLIENT", "PAUSE", std::to_string(limit.count()), "WRITE"});
  Error error = co_await must(std::move(command));
  // Without an answer it may hold all the same.
  is_paused_ = !error.is(Errc::refused_by_peer);
  co_return error;
}

Task<Error> SourceFence::unpause() {
  if (!std::exchange(is_paused_, false)) co_return Error();
  Bytes command = make_command({"CLIENT", "UNPAUSE"});
  co_return co_await must(std::move(command));
}

Task<Result<Offset>> SourceFence::offset() {
  Bytes command = make_command({"INFO", "replication"});
  auto reply = co_await connection_.call(std::move(command), call_limit);
  if (!reply) co_return reply.error();
  if (info_field(reply->text, "role") != "master")
    co_return Error(Errc::unreachable, "it is no master (any more); writes are paused at a master");
  if (info_field(reply->text, "master_replid") != replid_)
    co_return Error(Errc::unreachable, "it has another history now");
  co_return leading_number<Offset>(info_field(reply->text, "master_repl_offset"));
}

Task<Error> SourceFence::raise() {
  Bytes fence = make_command({"CONFIG", "SET", setting_, out_of_reach});
  co_return co_await must(std::move(fence));
}

Task<Error> SourceFence::end_clients() {
  Bytes kill = make_command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  co_return co_await must(std::move(kill));
}

Task<Error> SourceFence::lower(std::string min_replicas) {
  Bytes command = make_command({"CONFIG", "SET", setting_, min_replicas});
  co_return co_await must(std::move(command));
}

std::string SourceFence::name() const {
  return shown_host(options_.uri);
}

Task<Error> SourceFence::must(Bytes command) {
  auto reply = co_await connection_.call(std::move(command), call_limit);
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::refused_by_peer, reply->text);
  co_return Error();
}

EndOptions node_of(const EndOptions& source, const Endpoint& node) {
  EndOptions out = source;
  HostPort host;
  host.host = node.host;
  host.port = node.port;
  out.uri.hosts.assign(1, host);
  return out;
}

namespace {

Task<Error> ask_for_nodes(EndOptions source, HostPort host, std::vector<EndOptions>& nodes) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  Connection connection(executor);
  Error error = co_await connection.open(source, host, "cutover");
  if (error) co_return error;
  Bytes info = make_command({"INFO", "cluster"});
  auto reply = co_await connection.call(std::move(info), call_limit);
  if (!reply) co_return reply.error();
  nodes.assign(1, source);
  if (info_field(reply->text, "cluster_enabled") != "1") co_return Error();
  Bytes ask = make_command({"CLUSTER", "NODES"});
  auto text = co_await connection.call(std::move(ask), call_limit);
  if (!text) co_return text.error();
  if (text->is_error()) co_return Error(Errc::refused_by_peer, "CLUSTER NODES: " + text->text);
  const auto view = parse_cluster_nodes(text->text, connection.stream().remote_address());
  if (!view) co_return view.error();
  nodes.clear();
  for (const ClusterShard& shard : view->shards)
    nodes.push_back(node_of(source, shard.master));
  for (const ClusterShard& shard : view->shards) {
    for (const Endpoint& replica : shard.replicas)
      nodes.push_back(node_of(source, replica));
  }
  co_return Error();
}

}  // namespace

Task<Error> find_fenced(EndOptions source, std::vector<EndOptions>& nodes) {
  std::vector<HostPort> seeds = source.uri.hosts;
  if (seeds.empty()) seeds.emplace_back();
  if (!source.uri.sentinel_master.empty()) seeds.resize(1);
  Error error;
  for (const HostPort& seed : seeds) {
    error = co_await ask_for_nodes(source, seed, nodes);
    if (!error) break;
  }
  co_return error;
}

}  // namespace keyferry
