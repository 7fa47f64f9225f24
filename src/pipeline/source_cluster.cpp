#include "keyferry/pipeline/source_cluster.hpp"

#include <boost/asio/this_coro.hpp>

#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/observer.hpp"
#include "keyferry/resp/reply_parser.hpp"
#include "keyferry/source/source_watch.hpp"

namespace keyferry {
namespace {

// A node that does not answer by then is passed over.
constexpr std::int64_t answer_max_ms = 2000;
constexpr std::size_t counts_at_once = 1024;

}  // namespace

Task<Result<std::vector<std::int32_t>>> read_databases_of(TargetNodes& nodes, Endpoint node,
                                                          const EndOptions& options) {
  Bytes command = make_command({"INFO", "keyspace"});
  auto info =
      co_await nodes.call(std::move(node), std::move(command), Millis(options.reply_timeout_ms));
  if (!info) co_return info.error();
  if (info->is_error()) co_return Error(Errc::refused_by_peer, "INFO: " + info->text);
  std::vector<std::int32_t> out;
  for (const auto& [db, keys] : read_source(info->text).keys)
    out.push_back(db);
  co_return out;
}

// CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT speak of the selected database (Valkey 9.1).
Task<Result<std::vector<DbKey>>> read_keys_of(TargetNodes& nodes, Endpoint node, Slot slot,
                                              const EndOptions& options) {
  const Millis limit(options.reply_timeout_ms);
  const std::string number = std::to_string(slot);
  const auto dbs = co_await read_databases_of(nodes, node, options);
  if (!dbs) co_return dbs.error();
  std::vector<DbKey> out;
  for (const std::int32_t db : *dbs) {
    Bytes command = make_command({"CLUSTER", "COUNTKEYSINSLOT", number});
    auto count = co_await nodes.call_in(node, db, std::move(command), limit);
    if (!count) co_return count.error();
    // Some may come while we ask; of the stream they come as well.
    command =
        make_command({"CLUSTER", "GETKEYSINSLOT", number, std::to_string(count->integer + 16)});
    auto keys = co_await nodes.call_in(node, db, std::move(command), limit);
    if (!keys) co_return keys.error();
    if (keys->is_error())
      co_return Error(Errc::unreachable, "CLUSTER GETKEYSINSLOT: " + keys->text);
    for (RespValue& key : keys->items)
      out.emplace_back(db, std::move(key.text));
  }
  co_return out;
}

SourceCluster::SourceCluster(const asio::any_io_executor& executor, const EndOptions& options)
    : options_(options), nodes_(executor, options), readers_(executor, options) {}

Task<Error> SourceCluster::refresh() {
  std::vector<Endpoint> candidates;
  // One without slots may have joined just now, and not know all others yet.
  for (const ClusterShard& shard : view_.shards) {
    if (!shard.is_down && shard.slots.any()) candidates.push_back(shard.master);
  }
  for (const ClusterShard& shard : view_.shards)
    candidates.insert(candidates.end(), shard.replicas.begin(), shard.replicas.end());
  for (const HostPort& seed : options_.uri.hosts)
    candidates.push_back(Endpoint{seed.host, seed.port});
  Error error(Errc::usage, "source has no address");
  for (const Endpoint& node : candidates) {
    error = co_await read_view(node);
    if (!error) break;
    error = with_context("source " + to_string(node), std::move(error));
  }
  co_return error;
}

Task<Error> SourceCluster::read_view(Endpoint node) {
  const TimePoint now = Clock::now();
  Bytes command = make_command({"CLUSTER", "NODES"});
  const Millis limit(std::min(options_.connect_timeout_ms, answer_max_ms));
  auto reply = co_await nodes_.call(node, std::move(command), limit);
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::refused_by_peer, "CLUSTER NODES: " + reply->text);
  auto view = parse_cluster_nodes(reply->text, node.host);
  if (!view) co_return view.error();
  if (view->shards.empty()) co_return Error(Errc::unreachable, "the cluster has no masters");
  // One that was away does not know the latest yet.
  if (view->epoch < view_.epoch) co_return Error(Errc::unreachable, "is behind the others");
  view_ = std::move(*view);
  viewed_at_ = now;
  co_return Error();
}

Task<Result<SourceCluster::Reading>> SourceCluster::read_offset(Endpoint node) {
  Bytes command = make_command({"INFO", "replication"});
  const Millis limit(std::min(options_.connect_timeout_ms, answer_max_ms));
  auto reply = co_await readers_.call(node, std::move(command), limit);
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::refused_by_peer, "INFO: " + reply->text);
  const SourceHistory history = read_history(reply->text);
  Reading out;
  out.replid = history.replid;
  out.offset = history.offset;
  out.is_master = info_field(reply->text, "role") == "master";
  co_return out;
}

Task<Result<ClusterView>> SourceCluster::view_of(Endpoint node) {
  Bytes command = make_command({"CLUSTER", "NODES"});
  const Millis limit(std::min(options_.connect_timeout_ms, answer_max_ms));
  auto reply = co_await readers_.call(node, std::move(command), limit);
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::refused_by_peer, "CLUSTER NODES: " + reply->text);
  co_return parse_cluster_nodes(reply->text, node.host);
}

Task<bool> SourceCluster::serves(Endpoint node, ShardSlots slots) {
  const auto view = co_await view_of(node);
  for (std::size_t i = 0; view && i < view->shards.size(); ++i) {
    const ClusterShard& shard = view->shards[i];
    if (shard.master == node) co_return (slots & ~shard.slots).none();
  }
  co_return false;
}

Task<Result<std::vector<std::int32_t>>> SourceCluster::read_databases(Endpoint node) {
  co_return co_await read_databases_of(readers_, std::move(node), options_);
}

Task<Result<ShardSlots>> SourceCluster::slots_with_keys(Endpoint node, ShardSlots slots) {
  const auto dbs = co_await read_databases(node);
  if (!dbs) co_return dbs.error();
  Connection connection(co_await asio::this_coro::executor);
  const HostPort host{node.host, node.port};
  Error error = co_await connection.open(options_, host, "slots");
  if (error) co_return error;
  ShardSlots out;
  for (const std::int32_t db : *dbs) {
    for (std::size_t slot = 0; slot < slot_count;) {
      Bytes wire = make_command({"SELECT", std::to_string(db)});
      std::vector<std::size_t> asked;
      for (; slot < slot_count && asked.size() < counts_at_once; ++slot) {
        if (!slots[slot]) continue;
        append_command(wire, {"CLUSTER", "COUNTKEYSINSLOT", std::to_string(slot)});
        asked.push_back(slot);
      }
      const auto counts = co_await connection.call_all(std::move(wire), 1 + asked.size(),
                                                       Millis(options_.reply_timeout_ms));
      if (!counts) co_return counts.error();
      for (std::size_t i = 0; i < counts->size(); ++i) {
        const RespValue& count = (*counts)[i];
        if (count.is_error()) co_return Error(Errc::unreachable, count.text);
        if (i > 0 && count.integer != 0) out.set(asked[i - 1]);
      }
    }
  }
  co_return out;
}

Task<Result<std::vector<DbKey>>> SourceCluster::read_keys(Endpoint node, Slot slot) {
  co_return co_await read_keys_of(readers_, node, slot, options_);
}

void SourceCluster::close() {
  nodes_.close();
  readers_.close();
}

}  // namespace keyferry
