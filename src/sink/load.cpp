// RedisSink: the snapshot beyond plain RESTORE: which form each value takes, values that come
// element by element, keys that the target already has, and what the target is told before and
// after.
#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {
namespace {

// A part of a large value: some hundred round trips per second carry tens of MB.
constexpr std::size_t part_bytes = 256 * 1024;
constexpr std::uint64_t losses_told = 20;

std::string name_of(ByteView key, std::int32_t db) {
  return fmt::format("key \"{}\" (database {})", escaped(key), db);
}

// 64 bits of database and name.
std::uint64_t key_hash(ByteView key, std::int32_t db) {
  std::uint64_t hash = std::hash<ByteView>{}(key) + static_cast<std::uint64_t>(db);
  hash ^= hash >> 31;
  return hash * 0x9e3779b97f4a7c15ULL;
}

}  // namespace

rdb::Choice RedisSink::choose(const rdb::Event& key, rdb::Dialect dialect) const {
  return rdb::choose(key.type, key.value, key.value.size(), dialect, nodes_.identity().traits,
                     load_.rules);
}

// A value that cannot go as its raw bytes.
Error RedisSink::put_foreign(const rdb::Event& key, const rdb::Choice& choice,
                             const rdb::HashTemplates* templates) {
  if (std::exchange(load_.key_exists, false)) {
    ++stats_.existing_keys;
    return Error();
  }
  if (choice.loss != rdb::Choice::Loss::nothing) {
    if (Error error = judge_loss(key.key, key.db, choice.loss)) return error;
  }
  if (choice.way == rdb::Choice::Way::nothing) return Error();
  rdb::WholeValue value;
  value.key = key.key;
  value.type = key.type;
  value.bytes = key.value;
  value.dialect = load_.dialect;
  value.expire_ms = key.expire_ms;
  value.templates = templates;
  auto rewritten = rdb::rewrite_value(value, nodes_.identity().traits);
  if (!rewritten) return rewritten.error();
  if (rewritten->lost_remembered) {
    if (Error error = judge_loss(key.key, key.db, rdb::Choice::Loss::remembered)) return error;
  }
  if (rewritten->part.replies == 0) return Error();
  ++stats_.rewritten_keys;
  Unit unit;
  unit.slot = slot_of(key.key);
  unit.db = key.db;
  put_part(unit, std::move(rewritten->part));
  return Error();
}

Error RedisSink::begin_key(const rdb::Event& key, rdb::Dialect dialect) {
  ++stats_.snapshot_keys;
  load_.dialect = dialect;
  load_.skipping = is_own_key(key.key);
  if (load_.skipping) {
    ++stats_.filtered;
    return Error();
  }
  if (!load_.found.empty()) note_kept(key);
  if (std::exchange(load_.key_exists, false)) {
    ++stats_.existing_keys;
    load_.skipping = true;
    return Error();
  }
  const rdb::Choice choice =
      rdb::choose(key.type, "", SIZE_MAX, dialect, nodes_.identity().traits, load_.rules);
  if (choice.loss != rdb::Choice::Loss::nothing) {
    if (Error error = judge_loss(key.key, key.db, choice.loss)) return error;
  }
  load_.skipping = choice.way != rdb::Choice::Way::rewrite;
  if (load_.skipping) return Error();
  ++stats_.rewritten_keys;
  load_.slot = slot_of(key.key);
  load_.db = key.db;
  load_.rewriter.emplace(nodes_.identity().traits, part_bytes);
  load_.rewriter->begin(key.key, key.expire_ms);
  return Error();
}

Error RedisSink::add_element(const rdb::Element& element) {
  if (load_.skipping) return Error();
  load_.rewriter->add(element);
  if (load_.rewriter->is_full()) send_part(load_.rewriter->take(), false);
  return Error();
}

Task<Error> RedisSink::end_key(const rdb::Event& key) {
  if (std::exchange(load_.skipping, false)) co_return Error();
  rdb::Rewriter& rewriter = *load_.rewriter;
  rewriter.end(key.type == rdb::type::string);
  send_part(rewriter.take(), true);
  std::vector<rdb::Rewriter::Claims> claims = rewriter.claims();
  Error error;
  if (rewriter.lost_remembered())
    error = judge_loss(key.key, key.db, rdb::Choice::Loss::remembered);
  load_.rewriter.reset();
  if (!error) error = co_await pause();
  if (!error && rdb::has_stream_counters(nodes_.identity().traits))
    error = co_await check_claims(key, std::move(claims));
  co_return error;
}

// Whether every stream group has as many pending entries as it was given.
Task<Error> RedisSink::check_claims(const rdb::Event& key,
                                    std::vector<rdb::Rewriter::Claims> claims) {
  const std::uint16_t owner = nodes_.map().owner_of(slot_of(key.key));
  const Endpoint node = nodes_.map().masters()[owner == SlotMap::no_owner ? 0 : owner];
  for (const rdb::Rewriter::Claims& wanted : claims) {
    Bytes command = make_command({"XPENDING", key.key, wanted.group});
    auto reply = co_await call_in(node, key.db, std::move(command));
    if (!reply) co_return reply.error();
    // An error: the stream has expired, or moved away meanwhile.
    if (reply->items.empty()) continue;
    const auto found = static_cast<std::uint64_t>(reply->items[0].integer);
    if (found >= wanted.count) continue;
    const std::string what = fmt::format(
        "{} would lose {} pending entries of group \"{}\" whose messages were deleted; they only "
        "travel with the whole stream, within snapshot.restore_max_bytes",
        name_of(key.key, key.db), wanted.count - found, escaped(wanted.group));
    Error error = lose(what, "LOSSY", options_.snapshot_on_lossy == LossPolicy::stop);
    if (error) co_return error;
  }
  co_return Error();
}

Task<Error> RedisSink::pause() {
  if (load_.alone) {
    Error error = co_await idle();
    load_.alone = false;
    if (error) co_return error;
  }
  co_return co_await wait_for_room();
}

// The parts of one value go through one lane, each behind the one before.
void RedisSink::send_part(rdb::Rewriter::Part part, bool is_last) {
  if (part.replies == 0) return;
  Unit unit;
  unit.slot = load_.slot;
  unit.db = load_.db;
  unit.commands = is_last ? 1 : 0;
  load_.alone = load_.rewriter->is_stream();
  put_part(unit, std::move(part));
  const std::uint16_t lane = lane_of_slot_[load_.slot];
  if (lane != held_lane) flush_loading(lane);
}

// On a cluster several commands are one transaction: only then an ASK is good for all of them.
Bytes RedisSink::part_wire(Unit& unit, rdb::Rewriter::Part part) const {
  unit.replies = part.replies;
  unit.load = part.has_entries ? Load::entries : Load::other;
  const bool as_transaction = part.replies > 1 && (nodes_.is_cluster() || part.has_entries);
  if (!as_transaction) return std::move(part.wire);
  unit.is_group = true;
  unit.replies += 2;
  Bytes wire = "*1\r\n$5\r\nMULTI\r\n";
  wire.append(part.wire).append("*1\r\n$4\r\nEXEC\r\n");
  return wire;
}

void RedisSink::put_part(Unit unit, rdb::Rewriter::Part part) {
  Bytes wire = part_wire(unit, std::move(part));
  const std::uint16_t lane = lane_of_slot_[unit.slot];
  if (lane == held_lane) {
    put_held(unit, std::move(wire));
    return;
  }
  Loading& loading = loading_[lane];
  const std::size_t before = loading.wires.size();
  if (loading.units.empty()) {
    loading.wires = std::move(wire);
  } else {
    loading.wires += wire;
  }
  loading.units.emplace_back(before, unit);
  if (loading.wires.size() >= loading_flush_bytes) flush_loading(lane);
}

void RedisSink::put_held(Unit unit, Bytes wire) {
  const auto cargo = std::make_shared<Cargo>();
  unit.wire = cargo->made.emplace_back(std::move(wire));
  const TimePoint now = Clock::now();
  const auto ticket = watermark_.open(watermark_.applied(), 1, now);
  ++outstanding_units_;
  outstanding_bytes_ += unit.wire.size();
  holds_[unit.slot].later.push_back({unit, cargo, ticket, now});
}

Error RedisSink::judge_loss(ByteView key, std::int32_t db, rdb::Choice::Loss loss) {
  const bool module = loss == rdb::Choice::Loss::module;
  const bool is_fatal = module ? options_.snapshot_on_unknown_module == ModulePolicy::stop
                               : options_.snapshot_on_lossy == LossPolicy::stop;
  return lose(name_of(key, db) + " would lose " + rdb::describe(loss),
              module ? "UNKNOWN_MODULE" : "LOSSY", is_fatal);
}

// Counted by kind; the first ones are named.
Error RedisSink::lose(const std::string& what, const char* kind, bool is_fatal) {
  ++stats_.errors[kind];
  stats_.last_error = what;
  const char* const option =
      kind == std::string_view("UNKNOWN_MODULE") ? "on_unknown_module" : "on_lossy";
  if (is_fatal) {
    ++stats_.failed;
    return Error(Errc::data_refused, fmt::format("{} (snapshot.{} is stop)", what, option));
  }
  if (++load_.losses <= losses_told) log_warn("{}", what);
  if (load_.losses == losses_told) log_warn("further losses are only counted");
  return Error();
}

// A refusal of a snapshot unit that is none, or that can be dealt with. False: `error` stands.
bool RedisSink::take_load_refusal(HeldUnit& held, std::string& error) {
  Answered answered;
  answered.units = 1;
  answered.commands = held.unit.commands;
  answered.bytes = held.unit.wire.size();
  // Redis 5.0 to 8.0, Valkey: t_stream.c xaddCommand.
  const bool repeated = held.unit.load == Load::entries &&
                        error.find("equal or smaller than the target stream") != std::string::npos;
  if (repeated) {
    acknowledge(held.ticket, answered, held.received);
    return true;
  }
  if (held.unit.load != Load::raw) return false;
  if (error.starts_with("BUSYKEY")) {
    const bool skip = options_.snapshot_on_existing_key == ExistingKey::skip;
    // After a lost connection it may well be ours.
    if (!skip && !held.unit.was_sent) {
      error += " (snapshot.on_existing_key is fail)";
      return false;
    }
    if (skip) ++stats_.existing_keys;
    acknowledge(held.ticket, answered, held.received);
    return true;
  }
  return error.find("Bad data format") != std::string::npos && rewrite_refused(held, error);
}

// What the target will not restore is sent as commands, and so is the rest of its type.
bool RedisSink::rewrite_refused(HeldUnit& held, std::string& error) {
  const auto restore = rdb::parse_restore(held.unit.wire);
  if (!restore) return false;
  if (!load_.rules.refused[restore->type]) {
    load_.rules.refused.set(restore->type);
    log_warn("the target does not restore values of type {}, they go as commands: first {}",
             restore->type, name_of(restore->key, held.unit.db));
  }
  const rdb::Choice choice = rdb::choose(restore->type, restore->value, restore->value.size(),
                                         load_.dialect, nodes_.identity().traits, load_.rules);
  if (choice.loss != rdb::Choice::Loss::nothing) {
    Error lost = judge_loss(restore->key, held.unit.db, choice.loss);
    if (lost) {
      error = lost.what;
      return false;
    }
  }
  rdb::RewrittenValue rewritten;
  if (choice.way == rdb::Choice::Way::rewrite) {
    rdb::WholeValue value;
    value.key = restore->key;
    value.type = restore->type;
    value.bytes = restore->value;
    value.dialect = load_.dialect;
    if (restore->expire_ms > 0) value.expire_ms = restore->expire_ms;
    auto result = rdb::rewrite_value(value, nodes_.identity().traits);
    if (!result) {
      error += "; " + result.error().what;
      return false;
    }
    rewritten = std::move(*result);
  }
  if (rewritten.part.replies > 0) {
    ++stats_.rewritten_keys;
    Unit unit;
    unit.slot = held.unit.slot;
    unit.db = held.unit.db;
    put_part(unit, std::move(rewritten.part));
    if (lane_of_slot_[unit.slot] != held_lane) flush_loading(lane_of_slot_[unit.slot]);
  }
  Answered answered;
  answered.units = 1;
  answered.bytes = held.unit.wire.size();
  acknowledge(held.ticket, answered, held.received);
  return true;
}

bool RedisSink::must_ask(const rdb::Event& key, rdb::Dialect dialect) const {
  if (options_.snapshot_on_existing_key == ExistingKey::replace) return false;
  return key.kind == rdb::Event::Kind::big_key ||
         choose(key, dialect).way == rdb::Choice::Way::rewrite;
}

Task<Error> RedisSink::ask_for_key(const rdb::Event& key) {
  const std::uint16_t owner = nodes_.map().owner_of(slot_of(key.key));
  const Endpoint node = nodes_.map().masters()[owner == SlotMap::no_owner ? 0 : owner];
  Bytes command = make_command({"EXISTS", key.key});
  const std::string name = name_of(key.key, key.db);
  auto reply = co_await call_in(node, key.db, std::move(command));
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::unreachable, "EXISTS: " + reply->text);
  load_.key_exists = reply->integer > 0;
  if (!load_.key_exists || options_.snapshot_on_existing_key == ExistingKey::skip)
    co_return Error();
  co_return Error(Errc::data_refused,
                  "the target already has " + name + " (snapshot.on_existing_key is fail)");
}

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

// The control connection is in database 0 but for this.
Task<Result<RespValue>> RedisSink::call_once(Endpoint node, std::int32_t db, Bytes command) {
  const Millis limit(options_.target.reply_timeout_ms);
  const Bytes select = make_command({"SELECT", std::to_string(db)});
  const Bytes select_0 = make_command({"SELECT", "0"});
  if (db != 0) {
    auto selected = co_await nodes_.call(node, select, limit);
    if (!selected || selected->is_error()) co_return selected;
  }
  auto reply = co_await nodes_.call(node, std::move(command), limit);
  if (!reply || db == 0) co_return reply;
  auto back = co_await nodes_.call(node, select_0, limit);
  if (!back) co_return back.error();
  co_return reply;
}

Task<Error> RedisSink::tell_masters(Bytes command) {
  const std::vector<Endpoint> masters = nodes_.map().masters();
  for (const Endpoint& node : masters) {
    auto reply = co_await call_in(node, 0, command);
    if (!reply) co_return with_context("target " + to_string(node), reply.error());
    if (reply->is_error())
      co_return Error(Errc::data_refused, "target " + to_string(node) + ": " + reply->text);
  }
  co_return Error();
}

Task<Error> RedisSink::load_function(ByteView library) {
  if (!rdb::is_at_least(nodes_.identity().traits, 7, 0)) {
    co_return lose("a function library cannot be loaded: the target has no functions", "LOSSY",
                   options_.snapshot_on_lossy == LossPolicy::stop);
  }
  Bytes command;
  rdb::append_function_load(command, library);
  co_return co_await tell_masters(std::move(command));
}

Task<Error> RedisSink::load_script(ByteView body) {
  Bytes command = make_command({"SCRIPT", "LOAD", body});
  co_return co_await tell_masters(std::move(command));
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
    const bool off = reply->items.size() == 2 && reply->items[1].text == "no";
    if (!off) continue;  // not known, not allowed, or somebody else's decision
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
    const std::string text = reply->text;
    for (std::size_t at = text.find("\ndb"); at != std::string::npos;
         at = text.find("\ndb", at + 1)) {
      const auto db = static_cast<std::int32_t>(std::atoi(text.c_str() + at + 3));
      Error error = co_await scan_node(node, db, remove, removed);
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
  } while (cursor != "0");
  co_return Error();
}

}  // namespace keyferry
