// RedisSink: the snapshot beyond plain RESTORE: which form each value takes, values that come
// element by element, refusals that are none, keys that the target already has.
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

}  // namespace

rdb::Choice RedisSink::choose(const rdb::Event& key, rdb::Dialect dialect) const {
  rdb::Choice choice = rdb::choose(key.type, key.value, key.value.size(), dialect,
                                   nodes_.identity().traits, load_.rules);
  const bool is_module = rdb::value_type(key.type, dialect).data == rdb::DataType::module;
  const bool decodes = transform != nullptr && transform->decodes() && !is_module;
  if (decodes && choice.way == rdb::Choice::Way::raw) choice.way = rdb::Choice::Way::rewrite;
  return choice;
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
  const std::int64_t pending_max =
      options_.limits_memory_max_bytes / 4 / std::int64_t{rdb::Rewriter::pending_bytes};
  load_.rewriter.emplace(nodes_.identity().traits, part_bytes,
                         static_cast<std::size_t>(pending_max));
  load_.rewriter->begin(key.key, key.expire_ms);
  load_.key = key.key;
  return Error();
}

Error RedisSink::put_gone(ByteView key, std::int32_t db) {
  if (is_own_key(key)) return Error();
  Unit unit;
  unit.slot = slot_of(key);
  unit.db = db;
  rdb::Rewriter::Part part;
  part.wire = make_command({"DEL", key});
  part.replies = 1;
  put_part(unit, std::move(part));
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
  if (!error && rewriter.pending_left_out() > 0) {
    const std::string what = fmt::format(
        "{} would lose {} pending entries of its groups: a group's are held in a quarter of "
        "limits.memory_max_bytes",
        name_of(key.key, key.db), rewriter.pending_left_out());
    error = lose(what, "LOSSY", options_.snapshot_on_lossy == LossPolicy::stop);
  }
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

void RedisSink::forget_snapshot() {
  for (Loading& loading : loading_)
    loading = Loading();
  load_.rewriter.reset();
  load_.large.reset();
  load_.skipping = load_.key_exists = load_.alone = false;
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
  if (put_scripted(unit, part.wire)) return;
  Bytes wire = part_wire(unit, std::move(part));
  put_wire(unit, std::move(wire));
}

void RedisSink::put_wire(Unit unit, Bytes wire) {
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
  const auto ticket = watermark_.open(load_position(), 1, now);
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
  const bool unreadable = error.find("Bad data format") != std::string::npos ||
                          error.find("DUMP payload version") != std::string::npos;
  return unreadable && rewrite_refused(held, error);
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
    if (on_sent_late) on_sent_late(restore->key, unit.db);
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

}  // namespace keyferry
