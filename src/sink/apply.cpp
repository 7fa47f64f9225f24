// RedisSink: from a Batch of the stream to units in lanes. Everything between two co_awaits is one
// consistent step: units are planned per lane (building_) and handed over by dispatch().
#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/command/written_keys.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/resp/resp.hpp"
#include "plan.hpp"

namespace keyferry {
namespace {

constexpr ByteView multi_wire = "*1\r\n$5\r\nMULTI\r\n";
constexpr ByteView exec_wire = "*1\r\n$4\r\nEXEC\r\n";

bool equals_upper(ByteView arg, std::string_view upper) {
  return std::equal(arg.begin(), arg.end(), upper.begin(), upper.end(),
                    [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 'a' + 'A' : a) == b; });
}

// A key that has come from another shard of the source: it had no other value there before,
// whatever the target still has.
bool is_arrival(const CommandInfo* info) {
  static const CommandInfo* const arrival = find_command("RESTORE-ASKING");
  return info == arrival;
}

// FUNCTION LOAD without REPLACE fails when it is sent a second time.
bool is_plain_function_load(const CommandInfo* info, std::span<const ByteView> args) {
  return info != nullptr && info->name == "FUNCTION" && args.size() == 3 &&
         equals_upper(args[1], "LOAD");
}

// What one slot gets of a transaction.
struct Piece {
  Bytes wires;
  std::uint32_t commands = 0;
  std::uint32_t selects = 0;
  std::int32_t first_db = 0;
  std::int32_t db = 0;

  void select(std::int32_t wanted) {
    if (wanted == db) return;
    append_command(wires, {"SELECT", std::to_string(wanted)});
    ++selects;
    db = wanted;
  }
  // Its next command runs in `wanted`.
  void add(std::int32_t wanted) {
    if (commands++ == 0) first_db = db = wanted;
    select(wanted);
  }
};

// Of its first key.
Slot slot_of_wire(ByteView wire) {
  std::vector<ByteView> args;
  parse_command(wire, args);
  const CommandInfo* info = args.empty() ? nullptr : find_command(args[0]);
  return info == nullptr ? Slot(0) : key_slots(*info, args).slot;
}

}  // namespace

Task<Error> RedisSink::apply(std::unique_ptr<Batch> batch) {
  Error error = co_await wait_for_room();
  if (!error && copies_) error = co_await ask_for_copies();
  if (error || stream_void_) co_return error;

  Plan plan;
  plan.cargo = std::make_shared<Cargo>();
  plan.received = batch->received;
  // One acknowledgement is ours, so that the batch cannot be complete before all of it is handed
  // over.
  plan.end = stretch_end(*batch, 0);
  plan.ticket = watermark_.open(plan.end, 1, batch->received);
  plan.cargo->batch = std::move(batch);
  const std::vector<Command>& commands = plan.cargo->batch->commands;

  for (std::size_t i = 0; i < commands.size() && !error; ++i) {
    const Command& command = commands[i];
    std::size_t last = i;
    if (command.group == GroupMark::first) {
      while (commands[last].group != GroupMark::last)
        ++last;
    }
    for (std::size_t at = i; at <= last && !error; ++at) {
      if (commands[at].db == last_db_) continue;
      last_db_ = commands[at].db;
      if (has_asked_for_db(last_db_)) continue;
      dispatch(plan);
      error = co_await ask_for_db(last_db_);
    }
    if (stream_void_) co_return Error();
    if (error) break;
    if (!cluster_ && commands[last].end <= applied_before_) {
      suspect_keys_of(plan, i, last);
      i = last;
      continue;
    }
    if (copies_ && commands[last].end > copies_->at) plan_copies(plan);
    if (command.group == GroupMark::none && is_flush_of_a_shard(command)) {
      dispatch(plan);
      error = co_await run_flush_of_a_shard(plan, i);
    } else if (runs_across && has_to_run_across(*plan.cargo->batch, i, last)) {
      error = co_await run_group_across(plan, i, last);
      i = last;
    } else if (command.group == GroupMark::first) {
      error = plan_group(plan, i, last);
      i = last;
    } else if (nodes_.is_cluster() && command.info != nullptr && command.refusal == nullptr &&
               command.info->kind == CommandKind::all_nodes) {
      dispatch(plan);
      error = co_await run_on_all_nodes(plan, command);
    } else {
      error = plan_command(plan, command);
    }
    if (stream_void_) co_return Error();  // meanwhile; what is planned belongs to nothing any more
  }
  const Batch& whole = *plan.cargo->batch;
  if (copies_ && whole.end >= copies_->at && !error) plan_copies(plan);
  dispatch(plan);
  if (stream_void_) co_return Error();
  if (!error) note_end(whole);
  // After an error the rest of the batch has not been applied: the watermark must not pass it.
  if (!error) watermark_.ack(plan.ticket, 1);
  if (!error && plan.end < whole.end) watermark_.open(whole.end, 0, whole.received);
  if (outstanding_units_ == 0) room_.notify();
  if (error && !stopping_) fail(error);
  co_return error;
}

const CommandInfo* RedisSink::info_of(const Command& command,
                                      std::span<const ByteView> args) const {
  return command.info != nullptr ? command.info : nodes_.learnt().find(args[0]);
}

Route RedisSink::route_of(const Command& command, const CommandInfo* info,
                          std::span<const ByteView> args) const {
  if (command.refusal != nullptr) return route_refused(command.refusal);
  if (is_of_several()) {
    if (const auto route = route_of_several(info, args)) return *route;
  }
  return route_command(info, args, lacks_db(command.db) ? command.db : 0, nodes_.is_cluster());
}

// What has no key (PUBLISH) may come while a database is selected that the target lacks.
std::int32_t RedisSink::db_of(const Command& command) const {
  return lacks_db(command.db) ? 0 : command.db;
}

Error RedisSink::plan_command(Plan& plan, const Command& command) {
  const Batch& batch = *plan.cargo->batch;
  const auto args = batch.args_of(command);
  const CommandInfo* info = info_of(command, args);
  const Route route = route_of(command, info, args);
  switch (route.kind) {
    case Route::Kind::lane: {
      Unit unit;
      unit.wire = command.wire;
      unit.db = db_of(command);
      unit.slot = route.slot;
      unit.end = command.end;
      unit.origin = command.origin;
      unit.sets_ttl = info != nullptr && info->sets_ttl;
      unit.is_late = unit.sets_ttl && batch.is_late;
      unit.flushes = info != nullptr && info->flushes;
      unit.needs_record = cluster_ && info != nullptr && info->kind == CommandKind::write &&
                          !keyferry::is_absolute(*info, args);
      if (is_plain_function_load(info, args)) {
        unit.wire =
            plan.cargo->made.emplace_back(make_command({args[0], args[1], "REPLACE", args[2]}));
      }
      if (shared != nullptr && is_arrival(info)) {
        std::vector<ByteView> whole(args.begin(), args.end());
        whole.front() = "RESTORE";
        whole.push_back("REPLACE");
        append_command(plan.cargo->made.emplace_back(), whole);
        unit.wire = plan.cargo->made.back();
        unit.needs_record = cluster_ && !keyferry::is_absolute(*info, whole);
      }
      plan_unit(plan, unit);
      return Error();
    }
    case Route::Kind::drop:
      ++stats_.filtered;
      return Error();
    case Route::Kind::copy_written:
      if (leave_to_copies(batch, command)) return Error();
      return refuse_here(plan, command, route.reason);
    case Route::Kind::refuse:
      return refuse_here(plan, command, route.reason);
    case Route::Kind::split:
      break;
    case Route::Kind::all_nodes:
      // Only inside a transaction: there is no moment at which all nodes could run it together.
      return refuse_here(plan, command, "all_nodes_in_transaction");
  }
  // One command of the source becomes several; it counts once, with its last piece.
  std::vector<SplitPart> parts = split_by_slot(*info, args);
  if (parts.empty()) return refuse_here(plan, command, "malformed");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Unit unit;
    append_command(plan.cargo->made.emplace_back(), parts[i].args);
    unit.wire = plan.cargo->made.back();
    unit.db = db_of(command);
    unit.slot = parts[i].slot;
    unit.end = command.end;
    unit.origin = command.origin;
    unit.commands = i + 1 == parts.size() ? 1 : 0;
    plan_unit(plan, unit);
  }
  return Error();
}

// MULTI..EXEC: verbatim when everything in it goes the same way, else copied without what must not
// go.
Error RedisSink::plan_group(Plan& plan, std::size_t first, std::size_t last) {
  const std::vector<Command>& commands = plan.cargo->batch->commands;
  Unit unit;
  unit.is_group = true;
  unit.db = db_of(commands[first + 1]);
  std::vector<const Command*> kept;
  bool same_way = true;
  for (std::size_t i = first + 1; i < last; ++i) {
    const auto args = plan.cargo->batch->args_of(commands[i]);
    const CommandInfo* info = info_of(commands[i], args);
    const Route route = route_of(commands[i], info, args);
    if (route.kind == Route::Kind::drop) {
      ++stats_.filtered;
      continue;
    }
    if (is_flush_of_a_shard(commands[i])) {
      // A standalone target would take it for its own.
      if (Error error = refuse_here(plan, commands[i], "all_nodes_in_transaction")) return error;
      continue;
    }
    if (kept.empty()) unit.slot = route.slot;
    same_way = same_way && route.kind == Route::Kind::lane && route.slot == unit.slot &&
               !is_plain_function_load(info, args);
    kept.push_back(&commands[i]);
  }
  if (kept.empty()) return Error();
  if (serial_) return plan_joined_group(plan, kept, commands[last].end);
  if (cluster_) return plan_cluster_group(plan, kept);
  if (!same_way) return plan_split_group(plan, kept);

  unit.commands = static_cast<std::uint32_t>(kept.size());
  unit.replies = unit.commands + 2;
  const char* const begin = commands[first].wire.data();
  const char* end = begin + commands[first].wire.size();
  bool is_one_piece = kept.size() == last - first - 1;
  for (std::size_t i = first + 1; i <= last; ++i) {
    is_one_piece = is_one_piece && commands[i].wire.data() == end;
    is_one_piece = is_one_piece && (i == last || db_of(commands[i]) == unit.db);
    end = commands[i].wire.data() + commands[i].wire.size();
  }
  if (is_one_piece) {
    unit.wire = ByteView(begin, static_cast<std::size_t>(end - begin));
    plan_unit(plan, unit);
    return Error();
  }
  Bytes& copy = plan.cargo->made.emplace_back(multi_wire);
  std::int32_t db = unit.db;
  const auto select = [&](std::int32_t wanted) {
    if (wanted == db) return;
    append_command(copy, {"SELECT", std::to_string(wanted)});
    ++unit.replies;
    db = wanted;
  };
  for (const Command* command : kept) {
    select(db_of(*command));
    copy += command->wire;
  }
  select(unit.db);  // the lane believes that its database has not changed
  copy += exec_wire;
  unit.wire = copy;
  plan_unit(plan, unit);
  return Error();
}

// Every transaction of the lane holds whole groups, so a group needs no MULTI and EXEC of its own.
// What has executed it has come to its end: a record inside of it would have it executed once more.
Error RedisSink::plan_joined_group(Plan& plan, const std::vector<const Command*>& kept,
                                   Offset end) {
  std::vector<Unit>& units = building_[0].units;
  const std::size_t before = units.size();
  for (const Command* command : kept) {
    if (Error error = plan_command(plan, *command)) return error;
  }
  for (std::size_t i = before; i < units.size(); ++i) {
    units[i].end = end;
    units[i].joins_next = i + 1 < units.size();
  }
  return Error();
}

// A transaction over several slots of a cluster becomes one per slot, in first-use order; counted.
Error RedisSink::plan_split_group(Plan& plan, const std::vector<const Command*>& kept) {
  std::vector<std::pair<Slot, Piece>> pieces;
  const auto piece_of = [&](Slot slot, const Command& command) -> Piece& {
    const auto at = std::find_if(pieces.begin(), pieces.end(),
                                 [slot](const auto& one) { return one.first == slot; });
    Piece& piece = at != pieces.end() ? at->second : pieces.emplace_back(slot, Piece()).second;
    piece.add(db_of(command));
    return piece;
  };
  if (!nodes_.is_cluster()) {
    // Only FUNCTION LOAD makes a standalone group take this way: its commands go one by one, in
    // order.
    for (const Command* command : kept) {
      if (Error error = plan_command(plan, *command)) return error;
    }
    return Error();
  }
  ++stats_.transactions_split;
  for (const Command* command : kept) {
    const auto args = plan.cargo->batch->args_of(*command);
    const CommandInfo* info = info_of(*command, args);
    const Route route = route_of(*command, info, args);
    if (route.kind == Route::Kind::lane) {
      piece_of(route.slot, *command).wires += command->wire;
    } else if (route.kind == Route::Kind::split) {
      const std::vector<SplitPart> parts = split_by_slot(*info, args);
      if (parts.empty()) {
        if (Error error = refuse_here(plan, *command, "malformed")) return error;
      }
      for (const SplitPart& part : parts) {
        append_command(piece_of(part.slot, *command).wires, part.args);
      }
    } else if (route.kind != Route::Kind::copy_written ||
               !leave_to_copies(*plan.cargo->batch, *command)) {
      const bool is_for_all = route.kind == Route::Kind::all_nodes;
      if (Error error =
              refuse_here(plan, *command, is_for_all ? "all_nodes_in_transaction" : route.reason))
        return error;
    }
  }
  for (auto& [slot, piece] : pieces) {
    Unit unit;
    unit.slot = slot;
    unit.db = piece.first_db;
    unit.commands = piece.commands;
    Bytes& wire = plan.cargo->made.emplace_back();
    if (piece.commands == 1) {
      wire = std::move(piece.wires);
    } else {
      piece.select(piece.first_db);  // the lane believes that its database has not changed
      unit.is_group = true;
      unit.replies = piece.commands + piece.selects + 2;
      wire.append(multi_wire).append(piece.wires).append(exec_wire);
    }
    unit.wire = wire;
    plan_unit(plan, unit);
  }
  return Error();
}

void RedisSink::plan_unit(Plan& plan, Unit unit) {
  if (cluster_ && is_in_cluster(unit)) return;
  ++plan.units;
  outstanding_bytes_ += unit.wire.size();
  if (cluster_) {
    building_[0].units.push_back(unit);
    return;
  }
  const std::uint16_t lane = lane_of_slot_[unit.slot];
  if (lane == held_lane) {
    holds_[unit.slot].later.push_back({unit, plan.cargo, plan.ticket, plan.received});
    settle_.notify();
    return;
  }
  building_[lane].units.push_back(unit);
}

// What suspect keys were behind copies_->at.
void RedisSink::plan_copies(Plan& plan) {
  for (const KeyCopy& copy : copies_->keys) {
    std::int32_t db = copy.db;
    std::vector<Bytes> wires = copy_wires(copy, db);
    if (lacks_db(db)) {
      log_warn("a key is left out, the target has no database {}: {}", db, escaped(copy.key));
      wires.clear();
    }
    if (wires.empty())
      suspects_.healed(copy.db, copy.key, copies_->at);  // it has no place in the target
    const ByteView source = plan.cargo->made.emplace_back(make_command({"DEL", copy.key}));
    const Origin* const origin = &plan.cargo->origins.emplace_back(Origin{source, copy.db});
    const Slot slot = wires.empty() ? Slot(0) : slot_of_wire(wires.front());
    std::uint32_t replies = 1;
    const bool is_group = !claim_ && wires.size() > 1;  // sent again as a whole
    if (is_group) {
      replies = static_cast<std::uint32_t>(wires.size()) + 2;
      Bytes group(multi_wire);
      for (const Bytes& wire : wires)
        group += wire;
      group += exec_wire;
      wires.clear();
      wires.push_back(std::move(group));
    }
    for (std::size_t i = 0; i < wires.size(); ++i) {
      Unit unit;
      unit.wire = plan.cargo->made.emplace_back(std::move(wires[i]));
      unit.db = db;
      unit.commands = 0;
      unit.replies = replies;
      unit.is_group = is_group;
      unit.end = copies_->at;
      unit.origin = origin;
      if (nodes_.is_cluster()) unit.slot = is_group ? slot : slot_of_wire(unit.wire);
      unit.is_copy = i + 1 == wires.size();
      unit.joins_next = !unit.is_copy;
      unit.needs_record = cluster_ && wires.size() > 1;  // all of it or nothing
      plan_unit(plan, unit);
    }
  }
  copies_.reset();
}

// Commands that the target has, answered by nobody knows what.
void RedisSink::suspect_keys_of(Plan& plan, std::size_t first, std::size_t last) {
  const Batch& batch = *plan.cargo->batch;
  for (std::size_t i = first; i <= last; ++i) {
    const Command& command = batch.commands[i];
    std::vector<ByteView> args(batch.args_of(command).begin(), batch.args_of(command).end());
    const std::int32_t db = command.origin == nullptr ? command.db : command.origin->db;
    if (command.origin != nullptr) {
      args.clear();
      parse_command(command.origin->wire, args);
    }
    const CommandInfo* info = find_command(args[0]);
    if (info == nullptr) info = nodes_.learnt().find(args[0]);
    if (info == nullptr || touches_own_key(*info, args)) continue;
    for (const WrittenKey& written : written_keys(*info, args, db))
      suspect(written.db, written.key, command.end);
  }
}

void RedisSink::dispatch(Plan& plan) {
  if (plan.units == 0) return;
  outstanding_units_ += plan.units;
  watermark_.add(plan.ticket, plan.units);
  plan.units = 0;
  for (std::size_t i = 0; i < building_.size(); ++i) {
    if (building_[i].units.empty()) continue;
    LaneBatch batch = std::exchange(building_[i], LaneBatch());
    building_[i].units.reserve(batch.units.size());
    batch.cargo = plan.cargo;
    batch.ticket = plan.ticket;
    batch.received = plan.received;
    if (serial_) {
      serial_->submit(std::move(batch));
    } else if (cluster_) {
      cluster_->submit(std::move(batch));
    } else {
      lanes_[i]->submit(std::move(batch));
    }
  }
}

// FLUSHALL, FUNCTION, SCRIPT, ... on a cluster: behind everything before it on every lane, and
// before everything after.
Task<Error> RedisSink::run_on_all_nodes(Plan& plan, const Command& command) {
  Error error = co_await idle();
  // Idle as well when all before it was given up, to begin anew: then its time has not come.
  if (error || stream_void_) co_return error;
  const auto args = plan.cargo->batch->args_of(command);
  if (lacks_db(command.db)) co_return refuse_here(plan, command, "database_on_cluster");
  if (const auto route = route_of_several(command.info, args)) {
    if (route->kind == Route::Kind::refuse) co_return refuse_here(plan, command, route->reason);
    ++stats_.filtered;
    co_return Error();
  }
  // Valkey 9.1: "SWAPDB is not allowed in cluster mode".
  if (command.info->name == "SWAPDB") co_return refuse_here(plan, command, "swapdb_on_cluster");
  const std::int32_t db = command.info->name == "FLUSHDB" ? command.db : 0;
  Bytes wire(command.wire);
  if (is_plain_function_load(command.info, args))
    wire = make_command({args[0], args[1], "REPLACE", args[2]});
  if (cluster_) co_return co_await run_on_cluster(plan, command, std::move(wire), db);

  Backoff backoff(Millis(20), Millis(2000));
  const TimePoint begin = Clock::now();
  const std::vector<Endpoint> masters = nodes_.map().masters();
  for (std::size_t i = 0; i < masters.size() && !stopping_;) {
    auto reply =
        co_await nodes_.call_in(masters[i], db, wire, Millis(4 * options_.target.reply_timeout_ms));
    std::string refusal;
    if (!reply) refusal = reply.error().what;
    if (reply && reply->is_error()) refusal = reply->text;
    const Judgement judgement =
        reply ? judge_reply(refusal) : Judgement{Verdict::retry, 0, {}, "unreachable", true};
    if (judgement.verdict == Verdict::ok) {
      ++i;
      continue;
    }
    if (judgement.verdict == Verdict::refused)
      co_return refuse_here(plan, command, "refused_by_a_node");
    count(judgement);
    if (elapsed_ms(begin, Clock::now()) > options_.target.reconnect_max_s * 1000) {
      co_return Error(Errc::unreachable, "target " + to_string(masters[i]) + ": " + refusal);
    }
    co_await sleep_for(backoff.next());
  }
  if (stopping_) co_return Error(Errc::cancelled, "stopped");
  ++stats_.applied;
  co_return Error();
}

// The stretch that it ends is complete behind it, and recorded before anything follows.
Task<Error> RedisSink::run_flush_of_a_shard(Plan& plan, std::size_t at) {
  const Batch& batch = *plan.cargo->batch;
  const Command& command = batch.commands[at];
  if (const char* why = why_not_flush()) {
    Error refused = refuse_here(plan, command, why);
    if (refused) co_return refused;
  } else {
    Error error = co_await flush_shared(command, batch.args_of(command)[0]);
    if (error || stream_void_) co_return error;
  }
  watermark_.ack(plan.ticket, 1);
  plan.end = stretch_end(batch, at + 1);
  plan.ticket = watermark_.open(plan.end, 1, batch.received);
  co_return co_await record_up_to(command.end, command.db);
}

// A command that cannot be carried out on this kind of target. Counted by name; errors.policy
// decides.
Error RedisSink::refuse_here(Plan& plan, const Command& command, const char* reason) {
  const auto args = plan.cargo->batch->args_of(command);
  const std::string name = shown_name(args[0]);
  if (std::string_view(reason) == "cross_slot") ++stats_.cross_slot[name];
  ++stats_.errors[reason];
  const std::size_t shown = first_key_at(info_of(command, args), args);
  stats_.last_error =
      fmt::format("{} {}cannot be carried out on this target: {}", name,
                  shown < args.size() ? "\"" + escaped(args[shown]) + "\" " : "", reason);
  if (options_.errors_policy == ErrorPolicy::stop) {
    ++stats_.failed;
    return Error(Errc::data_refused, stats_.last_error);
  }
  ++stats_.skipped;
  stats_.remember_dead_letter(stats_.last_error);
  log_warn("skipped: {}", stats_.last_error);
  HeldUnit held;
  held.unit.wire = command.wire;
  held.unit.db = command.db;
  held.cargo = plan.cargo;
  held.ticket = plan.ticket;
  held.received = plan.received;
  watermark_.add(plan.ticket, 1);
  ++outstanding_units_;
  outstanding_bytes_ += command.wire.size();
  scope_.spawn(write_dead_letter(std::move(held)));
  return Error();
}

}  // namespace keyferry
