// RedisSink: what is asked and told by hand, before and behind the snapshot: modules, import mode,
// and the keys that were there (snapshot.mirror).
#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/resp/reply_parser.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {
namespace {

// 64 bits of database and name.
std::uint64_t key_hash(ByteView key, std::int32_t db) {
  std::uint64_t hash = std::hash<ByteView>{}(key) + static_cast<std::uint64_t>(db);
  hash ^= hash >> 31;
  return hash * 0x9e3779b97f4a7c15ULL;
}

}  // namespace

// One command by hand, in any database, tried again while the node cannot be reached.
Task<Result<RespValue>> RedisSink::call_in(Endpoint node, std::int32_t db, Bytes command) {
  Backoff backoff(Millis(20), Millis(2000));
  const TimePoint begin = Clock::now();
  while (true) {
    auto reply = co_await call_once(node, db, command);
    const bool too_long = elapsed_ms(begin, Clock::now()) > options_.target.reconnect_max_s * 1000;
    if (reply || stopping_ || too_long) co_return reply;
    stats_.last_error = reply.error().what;
    co_await sleep_for(backoff.next());
  }
}

Task<Result<RespValue>> RedisSink::call_once(Endpoint node, std::int32_t db, Bytes command) {
  const Millis limit(options_.target.reply_timeout_ms);
  co_return co_await nodes_.call_in(std::move(node), db, std::move(command), limit);
}

// Every master, tried again while one is away.
Task<Error> RedisSink::tell_masters(Bytes command) {
  Backoff backoff(Millis(50), Millis(1000));
  const TimePoint begin = Clock::now();
  std::set<Endpoint> told;
  while (true) {
    Error error;
    const std::vector<Endpoint> masters = nodes_.map().masters();
    for (const Endpoint& node : masters) {
      if (told.contains(node)) continue;
      auto reply = co_await call_once(node, 0, command);
      const Verdict verdict =
          reply && reply->is_error() ? judge_reply(reply->text).verdict : Verdict::ok;
      if (!reply) error = with_context("target " + to_string(node), reply.error());
      if (verdict == Verdict::refused)
        co_return Error(Errc::data_refused, "target " + to_string(node) + ": " + reply->text);
      if (verdict != Verdict::ok) error = Error(Errc::unreachable, reply->text);
      if (!error) told.insert(node);
      if (error) break;
    }
    const bool too_long = elapsed_ms(begin, Clock::now()) > options_.target.reconnect_max_s * 1000;
    if (!error || stopping_ || too_long) co_return error;
    stats_.last_error = error.what;
    co_await sleep_for(backoff.next());
    // A replica may have taken the node's place.
    if (nodes_.is_cluster()) error = co_await nodes_.refresh();
  }
}

// MODULE LIST: an array of maps, flat in RESP2, with "name". Where it is not allowed there is none.
Task<Error> RedisSink::learn_modules() {
  load_.rules.restore_max_bytes = static_cast<std::size_t>(options_.snapshot_restore_max_bytes);
  const Bytes command = make_command({"MODULE", "LIST"});
  const Endpoint node = nodes_.map().masters().front();
  auto reply = co_await nodes_.call(node, command, Millis(options_.target.reply_timeout_ms));
  if (!reply) co_return reply.error();
  for (const RespValue& module : reply->items) {
    for (std::size_t i = 0; i + 1 < module.items.size(); i += 2) {
      if (module.items[i].text == "name") load_.modules.push_back(module.items[i + 1].text);
    }
  }
  load_.rules.modules = load_.modules;
  co_return Error();
}

// Valkey 8.1 and later: the source alone decides what has expired, until the link ends.
Task<Error> RedisSink::enter_import_mode() {
  if (!rdb::is_valkey(nodes_.identity().traits, 8, 1)) co_return Error();
  const Millis limit(options_.target.reply_timeout_ms);
  const Bytes get = make_command({"CONFIG", "GET", "import-mode"});
  const Bytes set = make_command({"CONFIG", "SET", "import-mode", "yes"});
  const Bytes source = make_command({"CLIENT", "IMPORT-SOURCE", "ON"});
  const std::vector<Endpoint> masters = nodes_.map().masters();
  for (const Endpoint& node : masters) {
    auto reply = co_await nodes_.call(node, get, limit);
    if (!reply) co_return reply.error();
    const std::string found = reply->items.size() == 2 ? reply->items[1].text : "";
    // Not known, not allowed, or somebody else's decision; another sink's is ours as well.
    if (found != "no" && (found != "yes" || shared == nullptr)) continue;
    reply = co_await nodes_.call(node, set, limit);
    if (!reply) co_return reply.error();
    if (reply->is_error()) {
      log_warn("target {} cannot be put into import mode: {}", to_string(node), reply->text);
      continue;
    }
    load_.import_mode.push_back(node);
    reply = co_await nodes_.call(node, source, limit);
    if (!reply) co_return reply.error();
  }
  if (!load_.import_mode.empty())
    log_info("import mode: the target expires nothing by itself while the link runs");
  co_return Error();
}

Task<void> RedisSink::restore_target() {
  if (load_.import_mode.empty()) co_return;
  TargetNodes nodes(executor_, options_.target);
  const Bytes set = make_command({"CONFIG", "SET", "import-mode", "no"});
  for (const Endpoint& node : load_.import_mode) {
    auto reply = co_await nodes.call(node, set, Millis(options_.target.connect_timeout_ms));
    if (!reply || reply->is_error())
      log_error("target {} is still in import mode: CONFIG SET import-mode no", to_string(node));
  }
  load_.import_mode.clear();
  nodes.close();
}

void RedisSink::note_kept(const rdb::Event& key) {
  const std::uint64_t hash = key_hash(key.key, key.db);
  const auto at = std::lower_bound(load_.found.begin(), load_.found.end(), hash);
  if (at != load_.found.end() && *at == hash)
    load_.kept[static_cast<std::size_t>(at - load_.found.begin())] = true;
}

// snapshot.mirror: eight bytes for each key that is in the target before the link begins.
Task<Error> RedisSink::note_existing_keys() {
  std::uint64_t ignored = 0;
  Error error = co_await for_each_target_db(false, ignored);
  std::sort(load_.found.begin(), load_.found.end());
  load_.kept.assign(load_.found.size(), false);
  co_return error;
}

Task<Error> RedisSink::find_wanted_keys(bool& found) {
  std::uint64_t ignored = 0;
  load_.one_is_enough = true;
  Error error = co_await for_each_target_db(false, ignored);
  load_.one_is_enough = false;
  found = !load_.found.empty();
  load_.found.clear();
  co_return error;
}

Task<Error> RedisSink::remove_leftovers() {
  if (load_.found.empty()) co_return Error();
  std::uint64_t removed = 0;
  Error error = co_await for_each_target_db(true, removed);
  if (!error) log_info("mirror: keys that the source does not have were removed: keys={}", removed);
  load_.found.clear();
  load_.kept.clear();
  co_return error;
}

Task<Error> RedisSink::for_each_target_db(bool remove, std::uint64_t& removed) {
  const std::vector<Endpoint> masters = nodes_.map().masters();
  for (const Endpoint& node : masters) {
    const Bytes keyspace = make_command({"INFO", "keyspace"});
    auto reply = co_await nodes_.call(node, keyspace, Millis(options_.target.reply_timeout_ms));
    if (!reply) co_return reply.error();
    for (const DatabaseKeys& found : read_keyspace(reply->text)) {
      Error error = co_await scan_node(node, found.db, remove, removed);
      if (error) co_return error;
    }
  }
  co_return Error();
}

// Notes the keys of one database, or removes those that were noted and are in no snapshot.
Task<Error> RedisSink::scan_node(Endpoint node, std::int32_t db, bool remove,
                                 std::uint64_t& removed) {
  std::string cursor = "0";
  do {
    Bytes scan = make_command({"SCAN", cursor, "COUNT", "1000"});
    auto page = co_await call_in(node, db, std::move(scan));
    if (!page) co_return page.error();
    if (page->items.size() != 2)
      co_return Error(Errc::unreachable, "SCAN on the target: " + escaped(page->text));
    cursor = page->items[0].text;
    std::vector<ByteView> leftovers;
    for (const RespValue& key : page->items[1].items) {
      const std::uint64_t hash = key_hash(key.text, db);
      if (is_own_key(key.text)) continue;
      if (shared != nullptr && !shared->slots[slot_of(key.text)]) continue;
      // Names are as at the source: mapping and mirror exclude each other.
      if (transform != nullptr && !transform->filter().on_name(db, key.text).keeps()) continue;
      if (!remove) {
        load_.found.push_back(hash);
        continue;
      }
      const auto at = std::lower_bound(load_.found.begin(), load_.found.end(), hash);
      const bool is_leftover = at != load_.found.end() && *at == hash &&
                               !load_.kept[static_cast<std::size_t>(at - load_.found.begin())];
      if (is_leftover) leftovers.push_back(key.text);
    }
    removed += leftovers.size();
    // A cluster takes one slot's keys at a time.
    const std::size_t step = nodes_.is_cluster() ? 1 : leftovers.size();
    for (std::size_t i = 0; i < leftovers.size(); i += step) {
      std::vector<ByteView> args(leftovers.begin() + static_cast<std::ptrdiff_t>(i),
                                 leftovers.begin() + static_cast<std::ptrdiff_t>(i + step));
      args.insert(args.begin(), "UNLINK");
      Bytes unlink;
      append_command(unlink, args);
      auto reply = co_await call_in(node, db, std::move(unlink));
      if (!reply) co_return reply.error();
      if (reply->is_error()) co_return Error(Errc::data_refused, "UNLINK: " + reply->text);
    }
    if (load_.one_is_enough && !load_.found.empty()) co_return Error();
  } while (cursor != "0");
  co_return Error();
}

}  // namespace keyferry
