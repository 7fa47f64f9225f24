#include "keyferry/sink/topology.hpp"

#include "keyferry/base/log.hpp"
#include "keyferry/base/number.hpp"
#include "keyferry/cluster/redirect.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {
namespace {

Endpoint endpoint_of(const HostPort& host) {
  return {host.host, host.port};
}

Error named(const Endpoint& node, Error error) {
  return with_context("target " + to_string(node), std::move(error));
}

}  // namespace

ServerIdentity read_identity(ByteView info) {
  ServerIdentity out;
  out.run_id = info_field(info, "run_id");
  out.replid = info_field(info, "master_replid");
  out.role = info_field(info, "role");
  out.is_cluster =
      info_field(info, "redis_mode") == "cluster" || info_field(info, "cluster_enabled") == "1";
  ByteView version = info_field(info, "redis_version");
  // Valkey keeps redis_version at 7.2.4 and says its own version beside it (Valkey 8.1.1 INFO).
  if (const ByteView valkey = info_field(info, "valkey_version"); !valkey.empty()) {
    version = valkey;
    out.traits.family = rdb::Family::valkey;
  }
  out.version = version;
  out.traits.major = leading_number<int>(version);
  const std::size_t dot = version.find('.');
  out.traits.minor = dot == ByteView::npos ? 0 : leading_number<int>(version.substr(dot + 1));
  return out;
}

// Both at once: database 0 is selected again whatever the first answer is.
Task<Error> check_database(Connection& connection, std::int32_t db, Millis limit) {
  Bytes wire = make_command({"SELECT", std::to_string(db)});
  append_command(wire, {"SELECT", "0"});
  auto replies = co_await connection.call_all(std::move(wire), 2, limit);
  if (!replies) co_return replies.error();
  const RespValue& reply = replies->front();
  if (!reply.is_error()) co_return Error();
  const bool is_final = judge_reply(reply.text).verdict == Verdict::refused;
  co_return Error(is_final ? Errc::usage : Errc::unreachable,
                  fmt::format("has no database {}: {}", db, reply.text));
}

std::int64_t unix_now_ms() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<Millis>(since).count();
}

Error refuse_same(const ServerIdentity& source, const Endpoint& node,
                  const ServerIdentity& target) {
  const bool same = !source.run_id.empty() && target.run_id == source.run_id;
  const bool same_history = !source.replid.empty() && target.replid == source.replid;
  if (!same && !same_history) return Error();
  return Error(Errc::usage, "source and target " + to_string(node) +
                                " are the same server or share its history");
}

std::optional<std::int64_t> read_clock_ahead(const RespValue& time, std::int64_t sent,
                                             std::int64_t received) {
  const auto theirs = time_ms(time);
  if (!theirs) return std::nullopt;
  return *theirs - (sent + received) / 2;  // it was asked half a round trip ago
}

Task<Result<std::optional<std::int64_t>>> TargetNodes::clock_ahead_ms() {
  const Endpoint node = map_.masters().front();
  const Bytes time = make_command({"TIME"});
  const std::int64_t sent = unix_now_ms();
  auto reply = co_await call(node, time, Millis(options_.reply_timeout_ms));
  if (!reply) co_return named(node, reply.error());
  co_return read_clock_ahead(*reply, sent, unix_now_ms());
}

Task<Error> TargetNodes::open() {
  Error last(Errc::usage, "target has no address");
  // A unix socket has no host; it is one node under an empty name.
  std::vector<HostPort> seeds = options_.uri.hosts;
  // Nor has what Sentinels name at each connect.
  if (!options_.uri.sentinel_master.empty()) seeds = {HostPort{options_.uri.sentinel_master, 0}};
  if (seeds.empty()) seeds.emplace_back();
  for (const HostPort& seed : seeds) {
    const Endpoint node = endpoint_of(seed);
    last = co_await identify(node, identity_);
    if (last) continue;
    if (options_.topology == Topology::standalone) identity_.is_cluster = false;
    if (options_.topology == Topology::cluster && !identity_.is_cluster) {
      co_return Error(Errc::usage, "target " + to_string(node) + " is not a cluster");
    }
    if (!identity_.is_cluster) {
      map_.assign(0, slot_count - 1, node);
      masters_[node] = identity_;
    } else {
      last = co_await read_map(node);
      if (last) co_return named(node, std::move(last));
      if (map_.covered_slots() != slot_count) {
        co_return named(node,
                        Error(Errc::unreachable, fmt::format("the cluster covers {} of {} slots",
                                                             map_.covered_slots(), slot_count)));
      }
    }
    for (const Endpoint& master : map_.masters()) {
      Error error = co_await identify(master, masters_[master]);
      if (error) co_return named(master, std::move(error));
      if (masters_[master].role != "master") {
        co_return Error(Errc::usage, "target " + to_string(master) + " is a replica, not a master");
      }
    }
    co_return co_await learn_commands(map_.masters().front());
  }
  co_return with_context("target", std::move(last));
}

Task<Error> TargetNodes::identify(const Endpoint& node, ServerIdentity& identity) {
  const Bytes command = make_command({"INFO"});
  auto info = co_await call(node, command, Millis(options_.connect_timeout_ms));
  if (!info) co_return info.error();
  if (info->is_error()) co_return Error(Errc::refused_by_peer, "INFO: " + info->text);
  identity = read_identity(info->text);
  co_return Error();
}

Task<Error> TargetNodes::read_map(const Endpoint& from) {
  const Millis limit(options_.connect_timeout_ms);
  const Bytes shards = make_command({"CLUSTER", "SHARDS"});
  auto reply = co_await call(from, shards, limit);
  if (!reply) co_return reply.error();
  const bool has_shards = !reply->is_error();  // Redis >= 7.0
  if (!has_shards) {
    const Bytes slots = make_command({"CLUSTER", "SLOTS"});
    reply = co_await call(from, slots, limit);
    if (!reply) co_return reply.error();
    if (reply->is_error()) co_return Error(Errc::unreachable, "CLUSTER SLOTS: " + reply->text);
  }
  auto map = has_shards ? parse_cluster_shards(*reply, from.host, options_.uri.tls)
                        : parse_cluster_slots(*reply, from.host);
  if (!map) co_return map.error();
  map_ = std::move(*map);
  co_return Error();
}

Task<Error> TargetNodes::refresh() {
  if (!is_cluster()) co_return Error();
  std::vector<Endpoint> candidates = map_.masters();
  for (const HostPort& seed : options_.uri.hosts)
    candidates.push_back(endpoint_of(seed));
  Error last;
  for (const Endpoint& node : candidates) {
    last = co_await read_map(node);
    if (!last) co_return Error();
  }
  co_return last;
}

Task<Error> TargetNodes::learn_commands(const Endpoint& from) {
  const Bytes command = make_command({"COMMAND"});
  auto reply = co_await call(from, command, Millis(options_.connect_timeout_ms));
  if (!reply) co_return named(from, reply.error());
  // Where COMMAND is not allowed the static table must do.
  const std::size_t learnt = reply->is_array() ? learnt_.learn(*reply) : 0;
  if (learnt > 0) log_info("learnt commands from the target: count={}", learnt);
  co_return Error();
}

Task<Error> TargetNodes::find_keys(bool& found, std::vector<std::string> except) {
  const Millis limit(options_.reply_timeout_ms);
  std::int64_t keys = 0;
  for (const Endpoint& master : map_.masters()) {
    const Bytes keyspace = make_command({"INFO", "keyspace"});
    auto reply = co_await call(master, keyspace, limit);
    if (!reply) co_return named(master, reply.error());
    for (const DatabaseKeys& one : read_keyspace(reply->text))
      keys += static_cast<std::int64_t>(one.keys);
  }
  for (const std::string& key : except) {
    if (keys <= 0) break;
    const Bytes exists = make_command({"EXISTS", key});
    const std::uint16_t owner = map_.owner_of(slot_of(key));
    auto reply =
        co_await call(map_.masters()[owner == SlotMap::no_owner ? 0 : owner], exists, limit);
    if (!reply) co_return reply.error();
    keys -= reply->integer;
  }
  found = keys > 0;
  co_return Error();
}

Task<void> TargetNodes::take_turn() {
  while (busy_)
    co_await free_.wait();
  busy_ = true;
}

void TargetNodes::end_turn() {
  busy_ = false;
  free_.notify();
}

Task<Result<RespValue>> TargetNodes::call(Endpoint node, Bytes command, Millis limit) {
  co_await take_turn();
  auto connection = co_await connection_to(node);
  if (!connection) {
    end_turn();
    co_return connection.error();
  }
  auto reply = co_await (*connection)->call(std::move(command), limit);
  if (!reply) connections_.erase(node);
  end_turn();
  co_return reply;
}

Task<Result<RespValue>> TargetNodes::call_in(Endpoint node, std::int32_t db, Bytes command,
                                             Millis limit) {
  if (db == 0) co_return co_await call(std::move(node), std::move(command), limit);
  co_await take_turn();
  auto connection = co_await connection_to(node);
  if (!connection) {
    end_turn();
    co_return connection.error();
  }
  auto reply = co_await call_selected(**connection, db, std::move(command), limit);
  if (!reply) connections_.erase(node);
  end_turn();
  co_return reply;
}

// One after the other: where the database is not there, nothing may be done to another one.
Task<Result<RespValue>> TargetNodes::call_selected(Connection& connection, std::int32_t db,
                                                   Bytes command, Millis limit) {
  Bytes select = make_command({"SELECT", std::to_string(db)});
  auto reply = co_await connection.call(std::move(select), limit);
  if (!reply || reply->is_error()) co_return reply;
  reply = co_await connection.call(std::move(command), limit);
  if (!reply) co_return reply;
  select = make_command({"SELECT", "0"});
  auto back = co_await connection.call(std::move(select), limit);
  if (!back) co_return back.error();
  if (back->is_error()) co_return Error(Errc::unreachable, "SELECT 0: " + back->text);
  co_return reply;
}

Task<Result<std::string>> TargetNodes::deliver(Endpoint node, Bytes wire, std::uint32_t replies,
                                               Millis limit) {
  co_await take_turn();
  auto connection = co_await connection_to(node);
  if (!connection) {
    end_turn();
    co_return connection.error();
  }
  auto answer = co_await (*connection)->deliver(std::move(wire), replies, limit);
  if (!answer) connections_.erase(node);
  end_turn();
  co_return answer;
}

Task<Result<Connection*>> TargetNodes::connection_to(const Endpoint& node) {
  if (const auto& kept = connections_[node]; kept) co_return kept.get();
  auto fresh = std::make_unique<Connection>(executor_);
  const HostPort host{node.host, node.port};
  Error error = co_await fresh->open(options_, host, "control");
  if (!error && highest_db_ > 0)
    error = co_await check_database(*fresh, highest_db_, Millis(options_.connect_timeout_ms));
  if (error) co_return error;
  auto& kept = connections_[node];
  kept = std::move(fresh);
  co_return kept.get();
}

void TargetNodes::stay_with(const HostPort& master) {
  for (auto& [node, connection] : connections_) {
    if (!connection || connection->host() == master) continue;
    if (busy_) {
      connection->close();
    } else {
      connection.reset();
    }
  }
}

void TargetNodes::close() {
  for (auto& [node, connection] : connections_) {
    if (connection) connection->close();
  }
}

}  // namespace keyferry
