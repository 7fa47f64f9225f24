#include "keyferry/pipeline/key_sample.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "keyferry/command/keys.hpp"
#include "keyferry/rdb/same_value.hpp"
#include "keyferry/source/source_watch.hpp"

namespace keyferry {
namespace {

constexpr std::int64_t large_bytes = 1024 * 1024;
// Both ends are read one after the other, and their clocks may differ by as much as is tolerated.
constexpr std::int64_t ttl_tolerance_ms = 2000;

HostPort first_host(const EndOptions& end) {
  return end.uri.hosts.empty() ? HostPort() : end.uri.hosts.front();
}

Error refused(const RespValue& reply) {
  return {Errc::refused_by_peer, reply.text};
}

}  // namespace

Task<Error> KeySample::open(EndOptions source) {
  if (rules_.has_script())
    co_return Error(Errc::usage, "a script decides what arrives; keys cannot be compared");
  sources_.push_back(std::make_unique<Connection>(executor_));
  Error error = co_await sources_.back()->open(source, first_host(source), "sample");
  if (error) co_return error;
  for (const Endpoint& master : target_.map().masters()) {
    if (targets_.contains(master)) continue;
    auto connection = std::make_unique<Connection>(executor_);
    const HostPort host{master.host, master.port};
    error = co_await connection->open(options_.target, host, "sample");
    if (error) co_return with_context("target", std::move(error));
    targets_[master] = std::move(connection);
  }
  co_return Error();
}

Task<Error> KeySample::compare(TimePoint until) {
  until_ = until;
  for (const auto& source : sources_) {
    Error error = co_await compare_source(*source);
    if (error) co_return error;
  }
  co_return Error();
}

// Every database that holds keys gets its share, and at least one key.
Task<Error> KeySample::compare_source(Connection& source) {
  Bytes info = make_command({"INFO", "keyspace"});
  auto reply = co_await ask(source, std::move(info), 1);
  if (!reply) co_return reply.error();
  const SourceReading reading = read_source(reply->front().text);
  std::uint64_t total = 0;
  for (const auto& [db, keys] : reading.keys)
    total += keys;
  for (const auto& [db, keys] : reading.keys) {
    if (!rules_.filter().on_database(db).keeps()) continue;
    const auto wanted = static_cast<std::uint64_t>(options_.cutover_sample_keys);
    const auto share = static_cast<std::int64_t>(std::max<std::uint64_t>(1, wanted * keys / total));
    Error error = co_await compare_db(source, db, share);
    if (error) co_return error;
  }
  co_return Error();
}

Task<Error> KeySample::compare_db(Connection& source, std::int32_t db, std::int64_t count) {
  std::vector<Key> here;
  Error error = co_await pick(source, db, count, here);
  if (!error) error = co_await leave_out_large(source, here);
  if (!error) error = co_await read(source, here);
  if (error) co_return error;
  std::vector<Key> there;
  there.reserve(here.size());
  for (const Key& key : here)
    there.push_back({rules_.remap().key(db, key.name), {}, -1});
  error = co_await read_target(rules_.remap().db(db), there);
  if (error) co_return with_context("target", std::move(error));
  for (std::size_t i = 0; i < here.size(); ++i) {
    error = judge(db, here[i], there[i]);
    if (error) co_return error;
  }
  co_return Error();
}

Task<Error> KeySample::pick(Connection& source, std::int32_t db, std::int64_t count,
                            std::vector<Key>& keys) {
  Bytes wire = make_command({"SELECT", std::to_string(db)});
  for (std::int64_t i = 0; i < count; ++i)
    append_command(wire, {"RANDOMKEY"});
  auto replies = co_await ask(source, std::move(wire), static_cast<std::size_t>(count) + 1);
  if (!replies) co_return replies.error();
  std::set<Bytes> names;
  for (std::size_t i = 0; i < replies->size(); ++i) {
    const RespValue& reply = (*replies)[i];
    if (reply.is_error()) co_return refused(reply);
    const bool is_wanted = i > 0 && !reply.is_null() && !is_own_key(reply.text) &&
                           rules_.filter().on_name(db, reply.text).keeps();
    if (is_wanted && names.insert(reply.text).second) keys.push_back({reply.text, {}, -1});
  }
  co_return Error();
}

// DUMP of a large value would hold up the source for all others. Before Redis 4.0 nobody tells.
Task<Error> KeySample::leave_out_large(Connection& source, std::vector<Key>& keys) {
  Bytes wire;
  for (const Key& key : keys)
    append_command(wire, {"MEMORY", "USAGE", key.name});
  auto replies = co_await ask(source, std::move(wire), keys.size());
  if (!replies) co_return replies.error();
  std::vector<Key> small;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const RespValue& reply = (*replies)[i];
    if (!reply.is_null() && (reply.is_error() || reply.integer <= large_bytes))
      small.push_back(std::move(keys[i]));
  }
  keys = std::move(small);
  co_return Error();
}

Task<Error> KeySample::read(Connection& connection, std::vector<Key>& keys) {
  Bytes wire;
  for (const Key& key : keys) {
    append_command(wire, {"DUMP", key.name});
    append_command(wire, {"PTTL", key.name});
  }
  auto replies = co_await ask(connection, std::move(wire), 2 * keys.size());
  if (!replies) co_return replies.error();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    RespValue& value = (*replies)[2 * i];
    const RespValue& ttl = (*replies)[2 * i + 1];
    if (value.is_error()) co_return refused(value);
    if (ttl.is_error()) co_return refused(ttl);
    keys[i].value = std::move(value.text);
    keys[i].ttl_ms = ttl.integer;
  }
  co_return Error();
}

Task<Error> KeySample::read_target(std::int32_t db, std::vector<Key>& keys) {
  const SlotMap& map = target_.map();
  std::map<Endpoint, std::vector<std::size_t>> by_node;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::uint16_t owner = map.owner_of(slot_of(keys[i].name));
    if (owner == SlotMap::no_owner) co_return Error(Errc::unreachable, "a slot has no owner");
    by_node[map.masters()[owner]].push_back(i);
  }
  for (const auto& [node, indexes] : by_node) {
    const auto connection = targets_.find(node);
    if (connection == targets_.end())
      co_return Error(Errc::unreachable, "slots move while keys are compared");
    Bytes select = make_command({"SELECT", std::to_string(db)});
    auto selected = co_await ask(*connection->second, std::move(select), 1);
    if (!selected) co_return selected.error();
    if (selected->front().is_error()) co_return refused(selected->front());
    std::vector<Key> part;
    for (const std::size_t i : indexes)
      part.push_back(keys[i]);
    Error error = co_await read(*connection->second, part);
    if (error) co_return error;
    for (std::size_t i = 0; i < indexes.size(); ++i)
      keys[indexes[i]] = std::move(part[i]);
  }
  co_return Error();
}

Task<Result<std::vector<RespValue>>> KeySample::ask(Connection& connection, Bytes wire,
                                                    std::size_t replies) {
  const auto left = std::chrono::duration_cast<Millis>(until_ - Clock::now());
  if (left <= Millis(0)) co_return Error(Errc::unreachable, "not through before the pause ends");
  if (replies == 0) co_return std::vector<RespValue>();
  co_return co_await connection.call_all(std::move(wire), replies, left);
}

Error KeySample::judge(std::int32_t db, const Key& source, const Key& target) {
  const auto differs = [&](std::string_view how) {
    return Error(Errc::data_refused, fmt::format("key \"{}\" (database {}) {} in the target",
                                                 escaped(source.name), db, how));
  };
  // Expired meanwhile, or about to.
  if (source.value.empty() || (source.ttl_ms >= 0 && source.ttl_ms < ttl_tolerance_ms)) return {};
  // What type, size and expiry keep out was decided when the key was written.
  if (target.value.empty()) {
    return rules_.filter().judges_values() ? Error() : differs("is missing");
  }
  bool same = false;
  if (Error error = rdb::same_value(source.value, target.value, same))
    return with_context(fmt::format("key \"{}\"", escaped(source.name)), std::move(error));
  if (!same) return differs("has another value");
  const std::int64_t now = unix_now_ms();
  std::optional<std::int64_t> wanted;
  if (source.ttl_ms >= 0) wanted = now + source.ttl_ms;
  wanted = rules_.remap().expire(wanted);
  const bool expires = target.ttl_ms >= 0;
  if (wanted.has_value() != expires ||
      (expires && std::abs(*wanted - now - target.ttl_ms) > ttl_tolerance_ms)) {
    return differs("expires at another time");
  }
  ++compared_;
  return {};
}

}  // namespace keyferry
