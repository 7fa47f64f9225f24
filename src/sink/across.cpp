// RedisSink: commands over several slots of a cluster, from a source that cannot be asked again (a
// file): carried out on copies of their keys (sink/scratch_run), behind everything before them and
// before everything behind. What they leave goes to its keys as RESTORE and DEL, by the stream's
// way like any command.
//
// Exactly once: these effects are in the target (checkpoint/crossing) before the first of them is
// sent, and each goes with its slot's record. So a start knows which are there, and carries out the
// command again only where none is; then its operands are what they were.
#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "plan.hpp"

namespace keyferry {

bool RedisSink::must_run_across(const Batch& batch, std::size_t at) const {
  const Command& command = batch.commands[at];
  if (command.info == nullptr || command.refusal != nullptr || !nodes_.is_cluster()) return false;
  const auto args = batch.args_of(command);
  const Route route = route_command(command.info, args, command.db, true);
  return route.kind == Route::Kind::copy_written && can_run_on_copies(*command.info, args);
}

bool RedisSink::has_to_run_across(const Batch& batch, std::size_t first, std::size_t last) const {
  for (std::size_t at = first; at <= last; ++at) {
    if (must_run_across(batch, at)) return true;
  }
  return false;
}

// One command, or a transaction with such a one inside: its commands go one by one.
Task<Error> RedisSink::run_group_across(Plan& plan, std::size_t first, std::size_t last) {
  const Batch& batch = *plan.cargo->batch;
  if (last > first) ++stats_.transactions_split;
  Error error;
  for (std::size_t at = first; at <= last && !error && !stream_void_; ++at) {
    const Command& command = batch.commands[at];
    if (command.group == GroupMark::first || command.group == GroupMark::last) continue;
    if (must_run_across(batch, at)) {
      dispatch(plan);
      error = co_await run_across(plan, command);
    } else {
      error = plan_command(plan, command);
    }
  }
  co_return error;
}

Task<Error> RedisSink::run_across(Plan& plan, const Command& command) {
  Error error = co_await idle();
  if (!error && cluster_) error = co_await recall_crossing();
  // Idle as well when all before it was given up, to begin anew: then its time has not come.
  if (error || stream_void_) co_return error;
  const ScratchCommand scratch =
      scratch_command(*command.info, plan.cargo->batch->args_of(command));
  const CrossingStep step = cluster_ ? crossing_step(scratch, command.end) : CrossingStep::run;
  std::vector<Bytes> wires;
  switch (step) {
    case CrossingStep::skip:
      ++stats_.applied;
      co_return Error();
    case CrossingStep::copy_again:
      log_warn("the target lost what a command over several slots had written");
      lose_cluster(true);
      co_return Error();
    case CrossingStep::finish:
      wires = crossing_.wires;
      break;
    case CrossingStep::run:
      error = co_await find_effects(plan, command, scratch, wires);
      break;
  }
  if (error || stream_void_ || wires.empty()) co_return error;
  // Gone when they are answered, not with the batch.
  Plan effects;
  effects.cargo = std::make_shared<Cargo>();
  effects.ticket = plan.ticket;
  effects.received = plan.received;
  plan_effects(effects, command, wires);
  dispatch(effects);
  effects.cargo.reset();
  error = co_await idle();
  crossing_done_ = !error && !stream_void_ && cluster_ != nullptr;
  co_return error;
}

// None when the command is refused and left out.
Task<Error> RedisSink::find_effects(Plan& plan, const Command& command,
                                    const ScratchCommand& scratch, std::vector<Bytes>& wires) {
  if (!scratch_) {
    log_info("commands over several slots are carried out on copies of their keys");
    scratch_ = std::make_unique<ScratchRun>(executor_, options_, nodes_);
    scratch_->on_stale_map = [this] {
      refresh_wanted_ = true;
      watch_.notify();
    };
  }
  auto effects = co_await scratch_->run(scratch);
  if (!effects) co_return effects.error();
  if (stream_void_) co_return Error();
  const std::string name = shown_name(scratch.args[0]);
  if (effects->refusal != nullptr) {
    log_warn("{} over several slots: {}", name, effects->why);
    co_return refuse_here(plan, command, effects->refusal);
  }
  ++stats_.cross_slot[name];
  wires = std::move(effects->wires);
  if (cluster_) co_return co_await note_crossing(command.end, wires);
  co_return Error();
}

void RedisSink::plan_effects(Plan& plan, const Command& command, const std::vector<Bytes>& wires) {
  std::vector<Unit> units;
  for (const Bytes& wire : wires) {
    Unit unit;
    unit.wire = plan.cargo->made.emplace_back(wire);
    std::vector<ByteView> args;
    parse_command(unit.wire, args);
    unit.slot = slot_of(args[1]);
    unit.end = command.end;
    unit.commands = units.empty() ? 1 : 0;
    unit.needs_record = cluster_ != nullptr;
    for (Unit& before : units)
      before.joins_next = before.joins_next || (cluster_ && before.slot == unit.slot);
    units.push_back(unit);
  }
  for (const Unit& unit : units)
    plan_unit(plan, unit);
}

CrossingStep RedisSink::crossing_step(const ScratchCommand& scratch, Offset end) const {
  bool all_written = true;
  bool any = false;
  for (const ScratchCommand::Key& key : scratch.keys) {
    Unit unit;
    unit.slot = slot_of(key.name);
    unit.end = end;
    bool doubtful = false;
    const bool has = cluster_->has(unit, doubtful);
    any = any || has;
    all_written = all_written && (has || !key.is_written);
  }
  return next_step(crossing_, end, all_written, any);
}

std::string RedisSink::crossing_key() const {
  return claim_->keys().record + ":crossing";
}

// What a process before us noted.
Task<Error> RedisSink::recall_crossing() {
  if (crossing_known_) co_return Error();
  Bytes command = make_command({"GET", crossing_key()});
  auto text = co_await ask_claim(std::move(command));
  if (!text) co_return text.error();
  crossing_known_ = true;
  if (text->is_null()) co_return Error();
  auto found = parse_crossing(text->text);
  if (!found) co_return Error(Errc::usage, found.error().what + "; start with --restart");
  if (found->generation == generation_.generation) crossing_ = std::move(*found);
  co_return Error();
}

Task<Error> RedisSink::note_crossing(Offset end, const std::vector<Bytes>& wires) {
  crossing_.generation = generation_.generation;
  crossing_.end = end;
  crossing_.wires = wires;
  crossing_done_ = false;
  Bytes text;
  append_crossing(text, crossing_);
  Bytes command = make_command({"SET", crossing_key(), text});
  auto reply = co_await ask_claim(std::move(command));
  co_return reply ? Error() : reply.error();
}

// Tried again while the node is away or refuses for the moment.
Task<Result<RespValue>> RedisSink::ask_claim(Bytes command) {
  Backoff backoff(Millis(20), Millis(1000));
  const TimePoint begin = Clock::now();
  while (!stopping_) {
    auto reply = co_await claim_->ask(command);
    if (reply && !reply->is_error()) co_return reply;
    stats_.last_error = reply ? reply->text : reply.error().what;
    if (elapsed_ms(begin, Clock::now()) > options_.target.reconnect_max_s * 1000)
      co_return Error(Errc::unreachable, "a command over several slots: " + stats_.last_error);
    co_await watch_.wait_for(backoff.next());
  }
  co_return failure_ ? failure_ : Error(Errc::cancelled, "stopped");
}

}  // namespace keyferry
