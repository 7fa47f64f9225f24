// RedisSink: what happens to a command that the target did not take. Its slot is held, and the
// settler carries the held commands one by one, in order, to where they belong, until the slot can
// go back to its lane.
#include "keyferry/base/log.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {
namespace {

// So many accepted in a row, without ASK, and the slot goes back to pipelining.
constexpr int accepted_before_release = 64;
constexpr int settle_burst = 32;
constexpr int redirects_before_pause = 5;
constexpr Millis half_moved_pause{500};

}  // namespace

// "SET "key"" of a unit's first real command, for people.
std::string RedisSink::describe(const Unit& unit) {
  if (unit.body != nullptr) return unit.body->what;
  std::vector<ByteView> args;
  ByteView wire = unit.wire;
  CommandParse parsed = parse_command(wire, args);
  if (unit.is_group && parsed.status == CommandParse::Status::command) {
    wire.remove_prefix(parsed.size);
    args.clear();
    parsed = parse_command(wire, args);
  }
  if (args.empty()) return "?";
  std::string text = escaped(args[0], 32);
  const std::size_t shown = first_key_at(find_command(args[0]), args);
  if (shown < args.size()) text += " \"" + escaped(args[shown]) + "\"";
  if (unit.is_group) text += " in MULTI..EXEC";
  return text;
}

void RedisSink::on_refused(Lane& lane, HeldUnit held, const std::string& error) {
  const Judgement judgement = judge_reply(error);
  if (judgement.verdict == Verdict::refused) {
    give_up(std::move(held), error, judgement.kind,
            fmt::format("{}:{}", lane.target().host, lane.target().port));
    return;
  }
  count(judgement);
  stats_.last_error = error;
  const Slot slot = held.unit.slot;
  hold_slot(lane, slot, Lane::Freeze::behind_refusal);
  Hold& hold = holds_[slot];
  hold.has_refusal = true;
  hold.units.push_front(std::move(held));
  if (judgement.verdict == Verdict::moved || judgement.verdict == Verdict::ask) {
    hold.at = judgement.to;
    if (hold.at->host.empty()) hold.at->host = lane.target().host;
    hold.asking = judgement.verdict == Verdict::ask;
    if (judgement.verdict == Verdict::moved) nodes_.assign(slot, *hold.at);
  } else {
    hold.not_before = Clock::now() + hold.backoff.next();
  }
  if (judgement.refresh_map && nodes_.is_cluster()) {
    refresh_wanted_ = true;
    watch_.notify();
  }
  settle_.notify();
}

// Takes the slot out of its lane. Without a refusal it goes on at its new owner as soon as nothing
// is in flight.
void RedisSink::hold_slot(Lane& lane, Slot slot, Lane::Freeze why) {
  Hold& hold = holds_[slot];
  hold.since = Clock::now();
  lane_of_slot_[slot] = held_lane;
  hold.in_flight = lane.freeze(slot, why, hold.later);
  if (hold.in_flight == 0) settle_.notify();
}

void RedisSink::on_thawed(Slot slot) {
  const auto hold = holds_.find(slot);
  if (hold == holds_.end()) return;
  hold->second.in_flight = 0;
  settle_.notify();
}

// The slot goes back to the lane of its present owner, with everything that waited, in order.
void RedisSink::release(Slot slot) {
  lay_lanes();
  const std::uint16_t lane = lane_for(slot);
  const auto found = holds_.find(slot);
  if (lane == held_lane) {
    // Nobody owns it at the moment: wait for the next map.
    found->second.not_before = Clock::now() + found->second.backoff.next();
    refresh_wanted_ = true;
    return;
  }
  Hold hold = std::move(found->second);
  holds_.erase(found);
  lane_of_slot_[slot] = lane;
  for (auto* units : {&hold.units, &hold.later}) {
    while (!units->empty()) {
      LaneBatch batch;
      batch.cargo = units->front().cargo;
      batch.ticket = units->front().ticket;
      batch.received = units->front().received;
      while (!units->empty() && units->front().cargo == batch.cargo &&
             units->front().ticket == batch.ticket) {
        batch.units.push_back(units->front().unit);
        units->pop_front();
      }
      lanes_[lane]->submit(std::move(batch));
    }
  }
}

// Refused for good: counted once, named, and by policy the end of the link or a dead letter.
void RedisSink::give_up(HeldUnit held, std::string error, std::string_view kind,
                        const std::string& target) {
  if (held.unit.load != Load::none && take_load_refusal(held, error)) return;
  if (take_explained(held, error)) return;
  auto [at, fresh] = stats_.errors.try_emplace(std::string(kind), 0);
  ++at->second;
  const std::string what = fmt::format("target {} refused {} (database {}): {}", target,
                                       describe(held.unit), held.unit.db, error);
  stats_.last_error = what;
  if (options_.errors_policy == ErrorPolicy::stop) {
    stats_.failed += held.unit.commands;
    fail(Error(Errc::data_refused, what));
    return;
  }
  stats_.skipped += held.unit.commands;
  stats_.remember_dead_letter(what);
  log_warn("skipped: {}", what);
  scope_.spawn(write_dead_letter(std::move(held)));
}

Task<Error> RedisSink::write_dead_letter(HeldUnit held) {
  const std::uint64_t epoch = epoch_;
  Bytes whole;
  Error error;
  if (held.unit.body != nullptr) error = co_await read_whole(held.unit, whole);
  if (!error) {
    const ByteView wire = held.unit.body == nullptr ? held.unit.wire : ByteView(whole);
    error = co_await dead_letter_.append(held.unit.db, wire);
  }
  if (error || epoch != epoch_) co_return error;
  Answered answered;
  answered.units = 1;
  answered.bytes = held.unit.wire.size();
  acknowledge(held.ticket, answered, held.received);
  co_return Error();
}

void RedisSink::count(const Judgement& judgement) {
  const bool redirect = judgement.verdict == Verdict::moved || judgement.verdict == Verdict::ask ||
                        judgement.kind == "TRYAGAIN";
  auto& counts = redirect ? stats_.redirects : stats_.errors;
  auto [at, fresh] = counts.try_emplace(std::string(judgement.kind), 0);
  ++at->second;
  ++(redirect ? stats_.redirected : stats_.retried);
}

Task<Error> RedisSink::settle() {
  while (!stopping_) {
    std::vector<Slot> ready;
    const TimePoint now = Clock::now();
    bool any_waiting = false;
    for (const auto& [slot, hold] : holds_) {
      if (hold.in_flight > 0) continue;
      if (hold.not_before <= now) {
        ready.push_back(slot);
      } else {
        any_waiting = true;
      }
    }
    for (const Slot slot : ready) {
      if (!stopping_ && holds_.contains(slot)) co_await settle_one(slot);
    }
    if (!ready.empty()) continue;
    if (any_waiting) {
      co_await settle_.wait_for(Millis(5));
    } else {
      co_await settle_.wait();
    }
  }
  co_return Error();
}

// Carries some of a slot's held commands, the first first.
Task<void> RedisSink::settle_one(Slot slot) {
  int redirects = 0;
  for (int i = 0; i < settle_burst && !stopping_; ++i) {
    Hold& hold = holds_.at(slot);
    if (hold.units.empty()) hold.units.swap(hold.later);
    if (hold.units.empty() || !hold.has_refusal ||
        hold.accepted_in_row >= accepted_before_release) {
      release(slot);
      co_return;
    }
    const HeldUnit held = hold.units.front();
    if (held.unit.body != nullptr) {
      // Too large to be carried by hand: its lane tries again. It is alone on its way, so nothing
      // can overtake it; a slot that is half moved gets some time first.
      hold.at.reset();
      if (!std::exchange(hold.asking, false)) {
        release(slot);
      } else {
        hold.not_before = Clock::now() + half_moved_pause;
      }
      co_return;
    }
    const std::uint16_t owner = nodes_.map().owner_of(slot);
    const bool asking = hold.asking;
    const Endpoint node =
        hold.at ? *hold.at : nodes_.map().masters()[owner == SlotMap::no_owner ? 0 : owner];
    const std::uint64_t epoch = epoch_;
    auto answer = co_await carry(node, held, asking);
    if (stopping_ || epoch != epoch_) co_return;

    Hold& now = holds_.at(slot);
    const Judgement judgement =
        answer ? judge_reply(*answer) : Judgement{Verdict::retry, 0, {}, "unreachable", true};
    now.at.reset();
    now.asking = false;
    if (judgement.verdict == Verdict::ok || judgement.verdict == Verdict::refused) {
      now.units.pop_front();
      now.backoff.reset();
      now.accepted_in_row = asking ? 0 : now.accepted_in_row + 1;
      redirects = 0;
      if (judgement.verdict == Verdict::refused) {
        give_up(held, *answer, judgement.kind, to_string(node));
        continue;
      }
      Answered answered;
      answered.units = 1;
      answered.commands = held.unit.commands;
      answered.bytes = held.unit.wire.size();
      if (events_.suspects != nullptr && !suspects_.empty()) note_answered(held.unit);
      acknowledge(held.ticket, answered, held.received);
      continue;
    }
    count(judgement);
    stats_.last_error = answer ? *answer : answer.error().what;
    now.accepted_in_row = 0;
    if (judgement.refresh_map && nodes_.is_cluster()) {
      refresh_wanted_ = true;
      watch_.notify();
    }
    if (judgement.verdict == Verdict::moved || judgement.verdict == Verdict::ask) {
      now.at = judgement.to;
      if (now.at->host.empty()) now.at->host = node.host;
      now.asking = judgement.verdict == Verdict::ask;
      if (!now.asking) nodes_.assign(slot, *now.at);
      if (++redirects < redirects_before_pause) continue;
    }
    now.not_before = Clock::now() + now.backoff.next();
    if (elapsed_ms(now.since, Clock::now()) > options_.target.reconnect_max_s * 1000) {
      fail(Error(
          Errc::unreachable,
          fmt::format("target {} does not take {} for {} s: {}", to_string(node),
                      describe(held.unit), options_.target.reconnect_max_s, stats_.last_error)));
    }
    co_return;
  }
}

// Sends one held unit by hand and waits; the result is its first error, empty when it was accepted.
Task<Result<std::string>> RedisSink::carry(const Endpoint& node, const HeldUnit& held,
                                           bool asking) {
  Bytes wire;
  std::uint32_t replies = held.unit.replies;
  if (!nodes_.is_cluster() || nodes_.highest_db() > 0) {
    append_command(wire, {"SELECT", std::to_string(held.unit.db)});
    ++replies;
  }
  if (asking) {
    append_command(wire, {"ASKING"});
    ++replies;
  }
  wire += held.unit.wire;
  const Millis limit(options_.target.reply_timeout_ms);
  co_return co_await couriers_.deliver(node, std::move(wire), replies, limit);
}

}  // namespace keyferry
