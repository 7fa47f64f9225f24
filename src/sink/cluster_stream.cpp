// ClusterStream: slots, lanes, and what a refusal leads to.
#include "keyferry/sink/cluster_stream.hpp"

#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

// So many of a slot go one at a time after a refusal that may come again.
constexpr std::uint8_t cautious_units = 64;
constexpr Millis look_interval{5};

}  // namespace

ClusterStream::ClusterStream(const asio::any_io_executor& executor, const Options& options,
                             TargetNodes& nodes, Claim& claim, SerialEvents& events,
                             const Watermark& watermark)
    : executor_(executor),
      options_(options),
      nodes_(nodes),
      claim_(claim),
      events_(events),
      watermark_(watermark),
      link_(claim.link()),
      scope_(executor),
      look_(executor),
      keep_(executor) {}

Task<Error> ClusterStream::run() {
  scope_.on_error([this](const Error&) { stop(); });
  scope_.spawn(look_after());
  co_return co_await scope_.join();
}

void ClusterStream::stop() {
  stopping_ = true;
  for (const auto& lane : lanes_)
    lane->stop();
  look_.notify();
  keep_.notify();
}

void ClusterStream::discard() {
  ++epoch_;
  begun_ = false;
  slots_.clear();
  troubles_.clear();
  to_read_.clear();
  for (const auto& lane : lanes_)
    lane->discard();
}

void ClusterStream::begin(const Record& record, const ResumePlan* plan) {
  record_ = record;
  replay_until = plan == nullptr ? record.judged : std::numeric_limits<Offset>::max();
  if (plan == nullptr) noted_most_ = 0;
  clean_ = noted_ = furthest_start_ = lowest_recorded_ = record.judged;
  dbs_.assign(1, {record.judged, record.db});
  starts_.clear();
  if (plan != nullptr) starts_ = plan->slots;
  adopt_map();
  for (const auto& lane : lanes_)
    lane->recorded = plan == nullptr ? record.judged : std::numeric_limits<Offset>::max();
  for (std::size_t slot = 0; slot < starts_.size(); ++slot) {
    if (starts_[slot].recorded != 0) note_recorded(static_cast<Slot>(slot), starts_[slot].recorded);
    furthest_start_ = std::max(furthest_start_, starts_[slot].from);
    Offset& lowest = lanes_[slots_.lane(static_cast<Slot>(slot))]->recorded;
    lowest = std::min(lowest, starts_[slot].from);
  }
  begun_ = true;
  for (const auto& lane : lanes_)
    lane->wake();
  keep_.notify();
}

std::uint16_t ClusterStream::lane_for(const Endpoint& node) {
  const auto found = lane_of_node_.find(node);
  if (found != lane_of_node_.end()) return found->second;
  const auto index = static_cast<std::uint16_t>(lanes_.size());
  lane_of_node_[node] = index;
  lanes_.push_back(std::make_unique<NodeLane>(executor_, options_, node, index, *this));
  lanes_.back()->recorded = record_.judged;
  scope_.spawn(lanes_.back()->run());
  scope_.spawn(keep_records(*lanes_.back()));
  return index;
}

void ClusterStream::adopt_map() {
  if (stopping_) return;
  std::vector<std::uint16_t> lane_of_master;
  for (const Endpoint& master : nodes_.map().masters())
    lane_of_master.push_back(lane_for(master));
  SlotSet moved;
  for (std::size_t i = 0; i < slot_count; ++i) {
    const auto slot = static_cast<Slot>(i);
    const std::uint16_t owner = nodes_.map().owner_of(slot);
    moved[i] = owner != SlotMap::no_owner && slots_.lane(slot) != lane_of_master[owner];
  }
  if (moved.none()) return stop_unused_lanes();
  for (const auto& lane : lanes_)
    lane->chain_loose(moved);
  for (std::size_t i = 0; i < slot_count; ++i) {
    if (!moved[i]) continue;
    const auto slot = static_cast<Slot>(i);
    const std::uint16_t owner = nodes_.map().owner_of(slot);
    SlotState& state = slots_[slot];
    if (!begun_) {
      slots_.assign(slot, lane_of_master[owner]);
    } else if (state.in_flight > 0 || state.step == SlotState::Step::refused ||
               state.step == SlotState::Step::by_hand) {
      state.is_moving = true;
      slots_.take_back(slot);
    } else {
      move(slot, lane_of_master[owner]);
    }
  }
  stop_unused_lanes();
}

void ClusterStream::stop_unused_lanes() {
  std::vector<bool> is_used(lanes_.size(), false);
  for (std::size_t slot = 0; slot < slot_count; ++slot)
    is_used[slots_.lane(static_cast<Slot>(slot))] = true;
  for (const auto& [slot, trouble] : troubles_) {
    if (trouble.ask) is_used[*trouble.ask] = true;
  }
  for (auto it = lane_of_node_.begin(); it != lane_of_node_.end();) {
    NodeLane& lane = *lanes_[it->second];
    const bool serves =
        std::count(nodes_.map().masters().begin(), nodes_.map().masters().end(), it->first) > 0;
    if (serves || is_used[it->second] || !lane.is_idle()) {
      ++it;
      continue;
    }
    lane.stop();
    keep_.notify();
    it = lane_of_node_.erase(it);
  }
}

// Nothing of the slot is in flight. What its new owner has is read before anything is written
// there.
void ClusterStream::move(Slot slot, std::uint16_t lane) {
  SlotState& state = slots_[slot];
  slots_.take_back(slot);
  slots_.assign(slot, lane);
  state.is_moving = state.is_listed = false;
  await_record(slot);
}

void ClusterStream::await_record(Slot slot) {
  SlotState& state = slots_[slot];
  state.step = SlotState::Step::read_record;
  slots_.hold(slot);
  to_read_.insert(slot);
  keep_.notify();
}

void ClusterStream::settle_move(Slot slot) {
  const std::uint16_t owner = nodes_.map().owner_of(slot);
  if (owner == SlotMap::no_owner) return;
  move(slot, lane_for(nodes_.map().masters()[owner]));
}

bool ClusterStream::has(const Unit& unit, bool& doubtful) const {
  if (starts_.empty()) return false;
  const SlotStart& start = starts_[unit.slot];
  doubtful = unit.end > start.judged;
  return unit.end <= start.from;
}

void ClusterStream::submit(LaneBatch batch) {
  slots_.push(
      std::move(batch),
      [this](std::uint16_t lane, Slot slot, const Link& link) {
        lanes_[lane]->send_loose(slot, link);
      },
      [this](Slot slot) {
        // As wake() finds: asked here, too, since this is for every command.
        const SlotState& state = slots_[slot];
        const bool waits = state.in_transaction || (state.is_listed && state.need_record > 0);
        if (!waits) wake(slot);
      });
  for (const auto& lane : lanes_)
    lane->wake();
}

void ClusterStream::flush_answered() {
  slots_.take_answered([this](const LaneBatch& batch, const Answered& answered) {
    events_.completed(batch, answered);
  });
}

void ClusterStream::note_offset(Offset offset, std::int32_t db) {
  noted_ = offset;
  noted_most_ = std::max(noted_most_, offset);
  if (dbs_.empty() || dbs_.back().second != db) dbs_.emplace_back(offset, db);
}

void ClusterStream::note_source_offset(Offset offset) {
  if (begun_ && replay_until == std::numeric_limits<Offset>::max())
    replay_until = std::max(offset, noted_most_);
}

std::uint16_t ClusterStream::lane_of(Slot slot) {
  const SlotState& state = slots_[slot];
  if (state.cautious == 0) return slots_.lane(slot);
  const auto trouble = troubles_.find(slot);
  return trouble != troubles_.end() && trouble->second.ask ? *trouble->second.ask
                                                           : slots_.lane(slot);
}

bool ClusterStream::is_asking(Slot slot) {
  if (slots_[slot].cautious == 0) return false;
  const auto trouble = troubles_.find(slot);
  return trouble != troubles_.end() && trouble->second.ask.has_value();
}

void ClusterStream::wake(Slot slot) {
  SlotState& state = slots_[slot];
  const bool may_send = state.waiting() > 0 && state.step == SlotState::Step::open &&
                        !state.is_moving && !state.in_transaction;
  if (!may_send) return;
  NodeLane& lane = *lanes_[lane_of(slot)];
  if (state.need_record > 0 || state.cautious > 0) {
    if (state.handed_out > 0 || slots_.has_loose(slot) || state.is_listed) return;
    state.is_listed = true;
    lane.list(slot);
    lane.wake();
    return;
  }
  while (state.waiting() > 0)
    lane.send_bare(slot, slots_.hand_out(slot), state.epoch);
  lane.wake();
}

void ClusterStream::accepted(Slot slot, bool by_asking) {
  SlotState& state = slots_[slot];
  if (!troubles_.empty()) {
    const auto trouble = troubles_.find(slot);
    if (trouble != troubles_.end()) {
      trouble->second.ask.reset();
      trouble->second.backoff.reset();
      trouble->second.refused_since.reset();
      if (state.cautious > 0 && !by_asking) --state.cautious;
      if (state.cautious == 0) troubles_.erase(trouble);
    }
  }
  if (state.in_flight == 0 && state.is_moving) {
    settle_move(slot);
  } else if (state.handed_out == 0) {
    wake(slot);
    slots_.release(slot);
  }
}

void ClusterStream::refuse(NodeLane& lane, Slot slot, const std::string& error,
                           std::optional<std::uint32_t> blamed, std::uint32_t units) {
  SlotState& state = slots_[slot];
  Trouble& trouble = troubles_[slot];
  trouble.was_run = units > 1;
  if (!trouble.refused_since) trouble.refused_since = Clock::now();
  trouble.error = error;
  trouble.blamed = blamed;
  trouble.from = lane.index();
  trouble.ask.reset();
  // Those behind it may be accepted, and are sent again none the less.
  for (std::uint32_t i = 1; i <= state.in_flight; ++i)
    slots_.unit(state.at(i)).was_sent = true;
  state.step = SlotState::Step::refused;
  slots_.take_back(slot);
  if (state.in_flight == 0) act_on(slot);
}

void ClusterStream::collect(Slot slot) {
  if (slots_[slot].in_flight == 0) act_on(slot);
}

void ClusterStream::lose(Slot slot) {
  SlotState& state = slots_[slot];
  if (state.in_doubt) {
    slots_.take_back(slot);
    await_record(slot);
  } else if (state.step == SlotState::Step::refused) {
    act_on(slot);
  } else {
    slots_.take_back(slot);
    reopen(slot);
  }
}

void ClusterStream::reopen(Slot slot) {
  SlotState& state = slots_[slot];
  state.step = SlotState::Step::open;
  state.is_listed = false;
  if (state.is_moving) {
    settle_move(slot);
  } else {
    wake(slot);
    slots_.release(slot);
  }
}

// All of the slot's replies are in; its first unit was refused.
void ClusterStream::act_on(Slot slot) {
  slots_.take_back(slot);
  SlotState& state = slots_[slot];
  Trouble& trouble = troubles_[slot];
  Judgement judgement = judge_reply(trouble.error);
  if (judgement.verdict == Verdict::refused && trouble.blamed) {
    if (give_up_blamed(slot, trouble)) reopen(slot);
    return;
  }
  events_.retried(trouble.error);
  if (judgement.to.host.empty()) judgement.to.host = lanes_[trouble.from]->node().host;
  if (judgement.refresh_map && on_stale_map) on_stale_map();
  if (judgement.verdict == Verdict::moved) {
    nodes_.assign(slot, judgement.to);
    const std::uint16_t lane = lane_for(judgement.to);
    if (state.cautious == 0) troubles_.erase(slot);
    move(slot, lane);
    return;
  }
  if (judgement.verdict == Verdict::ask) {
    const std::uint16_t lane = lane_for(judgement.to);
    state.cautious = cautious_units;
    // Of a run it may be any command that is to go there; alone, each gets an answer of its own. In
    // a transaction the other side finds out by itself: the record counts as a second key there.
    if (!trouble.was_run || state.link(0).needs_record) troubles_[slot].ask = lane;
    reopen(slot);
    return;
  }
  back_off(slot, judgement);
}

void ClusterStream::back_off(Slot slot, const Judgement& judgement) {
  SlotState& state = slots_[slot];
  Trouble& trouble = troubles_[slot];
  if (judgement.kind == "TRYAGAIN" || judgement.kind == "OOM") state.cautious = cautious_units;
  trouble.not_before = Clock::now() + trouble.backoff.next();
  state.step = SlotState::Step::waiting;
  look_.notify();
}

// The transaction was not executed because of one unit that is refused for good.
bool ClusterStream::give_up_blamed(Slot slot, const Trouble& trouble) {
  const std::string error = trouble.error;
  const std::uint32_t blamed = *trouble.blamed;
  troubles_.erase(slot);
  HeldUnit held = slots_.held(slots_[slot].at(blamed));
  if (!held.unit.needs_record && is_replayed(held.unit)) events_.doubtful(held.unit);
  slots_.remove(slot, blamed);
  return events_.refused(std::move(held), error, false);
}

// Slots whose time to try again has come.
Task<Error> ClusterStream::look_after() {
  while (!stopping_) {
    std::vector<Slot> due;
    bool any_waiting = false;
    const TimePoint now = Clock::now();
    for (const auto& [slot, trouble] : troubles_) {
      if (slots_[slot].step != SlotState::Step::waiting) continue;
      any_waiting = true;
      if (trouble.not_before <= now) due.push_back(slot);
    }
    for (const Slot slot : due) {
      const Trouble& trouble = troubles_[slot];
      const bool is_half_moved = judge_reply(trouble.error).kind == "TRYAGAIN";
      const bool is_long = trouble.by_hand || elapsed_ms(trouble.refused_since.value_or(now), now) >
                                                  options_.delivery_migrating_max_s * 1000;
      if (is_half_moved && is_long) {
        begin_by_hand(slot);
      } else {
        reopen(slot);
      }
    }
    if (any_waiting) {
      co_await look_.wait_for(look_interval);
    } else {
      co_await look_.wait();
    }
    for (const auto& [slot, trouble] : troubles_) {
      const bool migrates = judge_reply(trouble.error).kind == "TRYAGAIN";
      if (migrates || !trouble.refused_since) continue;
      const std::int64_t waited_ms = elapsed_ms(*trouble.refused_since, Clock::now());
      if (waited_ms <= options_.target.reconnect_max_s * 1000) continue;
      co_return Error(Errc::unreachable,
                      fmt::format("target {} does not take commands of slot {} for {} s: {}",
                                  to_string(lanes_[trouble.from]->node()), slot,
                                  options_.target.reconnect_max_s, trouble.error));
    }
  }
  co_return Error();
}

void ClusterStream::check_timeout(TimePoint now) {
  for (const auto& lane : lanes_)
    lane->check_timeout(now);
}

std::uint64_t ClusterStream::reconnects() const {
  std::uint64_t sum = 0;
  for (const auto& lane : lanes_)
    sum += lane->stats().reconnects;
  return sum;
}

std::uint64_t ClusterStream::sent_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& lane : lanes_)
    sum += lane->stats().sent_bytes;
  return sum;
}

}  // namespace keyferry
