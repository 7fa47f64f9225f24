// RedisSink: times of expiry that were put off while a file was loaded (command/expiry) become what
// the file says.
#include "keyferry/command/expiry.hpp"

#include "keyferry/base/log.hpp"
#include "keyferry/resp/reply_parser.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {
Task<Error> RedisSink::settle_expiries() {
  std::uint64_t settled = 0;
  const std::vector<Endpoint> masters = nodes_.map().masters();
  for (const Endpoint& node : masters) {
    Connection connection(executor_);
    const HostPort host{node.host, node.port};
    Error error = co_await connection.open(options_.target, host, "expiry");
    if (!error) error = co_await settle_expiries_of(connection, settled);
    connection.close();
    if (error) co_return with_context("target " + to_string(node), std::move(error));
  }
  if (settled > 0) log_info("times of expiry are what the file says: keys={}", settled);
  co_return Error();
}

Task<Error> RedisSink::settle_expiries_of(Connection& connection, std::uint64_t& settled) {
  const Millis limit(options_.target.reply_timeout_ms);
  Bytes info = make_command({"INFO", "keyspace"});
  auto keyspace = co_await connection.call(std::move(info), limit);
  if (!keyspace) co_return keyspace.error();
  std::int32_t selected_db = 0;
  for (const auto& [db, keys, expires] : read_keyspace(keyspace->text)) {
    if (expires == 0) continue;
    if (db != std::exchange(selected_db, db)) {
      Bytes select = make_command({"SELECT", std::to_string(db)});
      auto selected = co_await connection.call(std::move(select), limit);
      if (!selected) co_return selected.error();
    }
    std::string cursor = "0";
    do {
      Bytes scan = make_command({"SCAN", cursor, "COUNT", "1000"});
      auto page = co_await connection.call(std::move(scan), limit);
      if (!page) co_return page.error();
      if (page->items.size() != 2)
        co_return Error(Errc::unreachable, "SCAN on the target: " + escaped(page->text));
      cursor = page->items[0].text;
      Error error = co_await settle_page(connection, page->items[1].items, settled);
      if (error) co_return error;
    } while (cursor != "0");
  }
  co_return Error();
}

Task<Error> RedisSink::settle_page(Connection& connection, const std::vector<RespValue>& keys,
                                   std::uint64_t& settled) {
  const Millis limit(options_.target.reply_timeout_ms);
  const bool has_time = rdb::is_at_least(nodes_.identity().traits, 7, 0);  // PEXPIRETIME
  Bytes ask = make_command({"TIME"});
  for (const RespValue& key : keys)
    append_command(ask, {has_time ? "PEXPIRETIME" : "PTTL", key.text});
  auto times = co_await connection.call_all(std::move(ask), keys.size() + 1, limit);
  if (!times) co_return times.error();
  const auto now_ms = time_ms(times->front());
  if (!now_ms) co_return Error(Errc::refused_by_peer, "TIME: " + times->front().text);
  Bytes move;
  std::size_t moved = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const RespValue& reply = (*times)[i + 1];
    if (reply.is_error()) co_return Error(Errc::unreachable, "expiry of a key: " + reply.text);
    const std::int64_t expire_ms = has_time ? reply.integer : *now_ms + reply.integer;
    if (reply.integer < 0 || !is_put_off(expire_ms) || is_own_key(keys[i].text)) continue;
    append_command(move,
                   {"PEXPIREAT", keys[i].text, std::to_string(expire_ms - expiry_put_off_ms)});
    ++moved;
  }
  if (moved == 0) co_return Error();
  settled += moved;
  auto refusal =
      co_await connection.deliver(std::move(move), static_cast<std::uint32_t>(moved), limit);
  if (!refusal) co_return refusal.error();
  co_return refusal->empty() ? Error() : Error(Errc::unreachable, "PEXPIREAT: " + *refusal);
}

}  // namespace keyferry
