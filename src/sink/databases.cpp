// RedisSink: which databases the target has. A cluster usually has one; Valkey 9 may have more
// (cluster-databases), on every node as many as it was started with.
#include "keyferry/base/log.hpp"
#include "keyferry/cluster/redirect.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {

Task<Error> RedisSink::require_db(std::int32_t db) {
  if (known_dbs_.contains(db)) co_return Error();
  Error error = co_await ask_for_db(db);
  if (error || !lacks_db(db)) co_return error;
  co_return Error(Errc::data_refused,
                  fmt::format("the source uses database {}, which the target, a cluster, does not "
                              "have: {} (databases.map and databases.prefix can put it elsewhere)",
                              db, missing_dbs_.at(db)));
}

// Error: it cannot be known, or a standalone target has not got it.
Task<Error> RedisSink::ask_for_db(std::int32_t db) {
  if (nodes_.is_cluster()) co_return co_await ask_cluster_for_db(db);
  const Endpoint node = nodes_.map().masters().front();
  Bytes ping = make_command({"PING"});
  auto reply = co_await call_in(node, db, std::move(ping));
  if (!reply) co_return with_context("target " + to_string(node), reply.error());
  if (reply->is_error()) {
    co_return Error(Errc::usage, fmt::format("target {} has no database {}: {}", to_string(node),
                                             db, reply->text));
  }
  known_dbs_.insert(db);
  co_return Error();
}

// All of its masters now; others are asked when a connection to them is made.
Task<Error> RedisSink::ask_cluster_for_db(std::int32_t db) {
  const std::vector<Endpoint> masters = nodes_.map().masters();
  for (const Endpoint& node : masters) {
    Bytes select = make_command({"SELECT", std::to_string(db)});
    auto reply = co_await call_in(node, db, std::move(select));
    if (!reply) co_return with_context("target " + to_string(node), reply.error());
    if (!reply->is_error()) continue;
    if (judge_reply(reply->text).verdict != Verdict::refused)
      co_return Error(Errc::unreachable,
                      fmt::format("target {}: {}", to_string(node), reply->text));
    missing_dbs_[db] = fmt::format("{}: {}", to_string(node), reply->text);
    co_return Error();
  }
  known_dbs_.insert(db);
  nodes_.require_database(db);
  couriers_.require_database(db);
  events_.highest_db = nodes_.highest_db();
  if (cluster_) cluster_->highest_db = nodes_.highest_db();
  log_info("the target cluster has several databases: used={}", db);
  co_return Error();
}

// What copies go to may be a database that no command was ever sent to (MOVE, COPY ... DB).
Task<Error> RedisSink::ask_for_copies() {
  if (!nodes_.is_cluster()) co_return Error();
  for (std::size_t i = 0; copies_ && i < copies_->keys.size(); ++i) {
    const KeyCopy& copy = copies_->keys[i];
    std::int32_t db = copy.db;
    if (db != 0 && transform != nullptr) copy_wires(copy, db);
    if (has_asked_for_db(db)) continue;
    Error error = co_await ask_for_db(db);
    if (error) co_return error;
  }
  co_return Error();
}

}  // namespace keyferry
