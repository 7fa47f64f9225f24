#include "keyferry/source/key_copier.hpp"

#include <algorithm>

#include "keyferry/base/number.hpp"
#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {

KeyCopier::KeyCopier(const asio::any_io_executor& executor, const EndOptions& options)
    : options_(options), connection_(executor) {}

Task<Error> KeyCopier::open() {
  if (open_) co_return Error();
  const HostPort host = options_.uri.hosts.empty() ? HostPort() : options_.uri.hosts.front();
  Error error = co_await connection_.open(options_, host, "healer");
  open_ = !error;
  co_return error;
}

Task<std::size_t> KeyCopier::count_within(std::vector<std::pair<std::int32_t, Bytes>> keys,
                                          std::size_t most_bytes) {
  Error error = co_await open();
  if (error) co_return keys.size();
  Bytes wire;
  for (const auto& [db, key] : keys) {
    append_command(wire, {"SELECT", std::to_string(db)});
    append_command(wire, {"MEMORY", "USAGE", key});
  }
  auto replies = co_await connection_.call_all(std::move(wire), 2 * keys.size(),
                                               Millis(options_.reply_timeout_ms));
  if (!replies) {
    connection_.close();
    open_ = false;
    co_return keys.size();
  }
  std::size_t bytes = 0;
  std::size_t count = 0;
  for (; count < keys.size(); ++count) {
    bytes += static_cast<std::size_t>(std::max<std::int64_t>(0, (*replies)[2 * count + 1].integer));
    if (count > 0 && bytes > most_bytes) break;
  }
  co_return count;
}

Task<Result<KeyCopies>> KeyCopier::fetch(std::vector<std::pair<std::int32_t, Bytes>> keys) {
  Error error = co_await open();
  if (error) co_return error;
  auto copies = co_await fetch_on(keys);
  const bool is_redirected = !copies && (copies.error().what.find("MOVED ") != std::string::npos ||
                                         copies.error().what.find("ASK ") != std::string::npos ||
                                         copies.error().what.find("TRYAGAIN") != std::string::npos);
  if (!copies && has_pexpiretime_ && !is_redirected && copies.error().is(Errc::data_refused)) {
    has_pexpiretime_ = false;
    copies = co_await fetch_on(keys);
  }
  if (!copies) {
    connection_.close();
    open_ = false;
  }
  co_return copies;
}

// MULTI, TIME, (SELECT, DUMP, expiry) per key, INFO, EXEC: one step at the source, so that the
// offset INFO shows is the one at which the values hold.
Task<Result<KeyCopies>> KeyCopier::fetch_on(
    const std::vector<std::pair<std::int32_t, Bytes>>& keys) {
  Bytes wire = make_command({"MULTI"});
  append_command(wire, {"TIME"});
  for (const auto& [db, key] : keys) {
    append_command(wire, {"SELECT", std::to_string(db)});
    append_command(wire, {"DUMP", key});
    append_command(wire, {has_pexpiretime_ ? "PEXPIRETIME" : "PTTL", key});
  }
  append_command(wire, {"INFO", "replication"});
  append_command(wire, {"EXEC"});
  const std::size_t inside = 3 * keys.size() + 2;
  auto replies =
      co_await connection_.call_all(std::move(wire), inside + 2, Millis(options_.reply_timeout_ms));
  if (!replies) co_return replies.error();
  const RespValue& exec = replies->back();
  if (exec.is_error() || exec.items.size() != inside) {
    std::string what = exec.text;
    for (const RespValue& reply : *replies) {
      if (reply.is_error()) {
        what = reply.text;
        break;
      }
    }
    co_return Error(Errc::data_refused, "keys cannot be copied from the source: " + what);
  }
  KeyCopies copies;
  const ByteView info = exec.items.back().text;
  copies.replid = info_field(info, "master_replid");
  copies.at = leading_number(info_field(info, "master_repl_offset"));
  const std::int64_t now_ms = time_ms(exec.items.front()).value_or(0);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    KeyCopy copy;
    copy.db = keys[i].first;
    copy.key = keys[i].second;
    // A database that the source does not have holds no key.
    const bool has_db = !exec.items[3 * i + 1].is_error();
    const RespValue& dump = exec.items[3 * i + 2];
    const std::int64_t expiry = exec.items[3 * i + 3].integer;
    if (dump.is_error()) co_return Error(Errc::refused_by_peer, "DUMP: " + dump.text);
    if (has_db && !dump.is_null()) copy.payload = dump.text;
    if (expiry > 0) copy.expire_ms = has_pexpiretime_ ? expiry : now_ms + expiry;
    copies.keys.push_back(std::move(copy));
  }
  co_return copies;
}

}  // namespace keyferry
