// ClusterExport: which shards the source has, where they are, whose a slot is, and who waits for
// whom.
#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/cluster_export.hpp"

namespace keyferry {
namespace {

constexpr Millis look_interval{1000};
constexpr Millis look_soon{100};
// So many views in a row must lack a shard before it is taken to have left.
constexpr int missed_max = 3;
// A node without slots that stays a master for so long is no replica to be.
constexpr std::int64_t joined_after_ms = 5000;
constexpr Millis poll_interval{5};
constexpr Millis ask_again{100};
constexpr std::int64_t held_both_max_ms = 2000;
// A shard that is stopping waits for others no longer than this.
constexpr std::int64_t stop_wait_ms = 3000;
// Before the first snapshot: how long slots may go on moving.
constexpr std::int64_t settled_within_ms = 30000;

}  // namespace

// Waits until no slot is on the move, and takes up every master.
Task<Error> ClusterExport::begin_shape() {
  const TimePoint begin = Clock::now();
  bool told = false;
  while (true) {
    Error error = co_await read_settled();
    if (!error || stopping_) break;
    if (elapsed_ms(begin, Clock::now()) > settled_within_ms)
      co_return with_context("snapshots cannot begin", std::move(error));
    last_error_ = error.what;
    if (!std::exchange(told, true)) log_warn("the snapshots wait: {}", error.what);
    co_await step_.wait_for(look_interval);
  }
  last_error_.clear();
  if (stopping_) co_return Error();
  table_ = ShardTable();
  names_ = std::make_shared<SnapshotRules::Names>();
  const ClusterView view = source_.view();
  epoch_ = view.epoch;
  for (const ClusterShard& seen : view.shards) {
    const bool is_shard = seen.slots.any() || co_await ask_role(seen.master) == Self::master;
    if (is_shard) add_shard(seen);
  }
  share_out();
  log_info("the source is a cluster: shards={}", shards_.size());
  co_return Error();
}

// Reads the shape, which only counts when every master says the same of itself. history_lost: slots
// are on the move.
Task<Error> ClusterExport::read_settled() {
  Error error = co_await source_.refresh();
  if (error) co_return error;
  const ClusterView view = source_.view();
  for (const ClusterShard& seen : view.shards) {
    const auto own = co_await source_.view_of(seen.master);
    if (!own && seen.slots.none()) continue;
    if (!own) co_return with_context("master " + to_string(seen.master), own.error());
    const auto self = std::find_if(own->shards.begin(), own->shards.end(),
                                   [&](const auto& one) { return one.id == seen.id; });
    const bool is_same = self != own->shards.end() && self->slots == seen.slots;
    if (!is_same && seen.slots.any()) {
      co_return Error(Errc::history_lost,
                      to_string(seen.master) + " does not agree on which slots it has");
    }
    if (self != own->shards.end() && self->moving.any()) {
      co_return Error(Errc::history_lost,
                      fmt::format("slots are on the move: master={} slots={}",
                                  to_string(seen.master), self->moving.count()));
    }
  }
  co_return Error();
}

// Whether the view gives every slot to the shard that the table gives it to.
bool ClusterExport::is_as_known() const {
  const auto& shards = source_.view().shards;
  return std::all_of(shards.begin(), shards.end(), [this](const ClusterShard& seen) {
    if (seen.slots.none()) return true;
    const auto entry = table_.find(seen);
    return entry && table_.entries()[*entry].slots == seen.slots;
  });
}

// Others may not have heard yet that it has become a replica.
Task<ClusterExport::Self> ClusterExport::ask_role(Endpoint node) {
  const auto reading = co_await source_.read_offset(node);
  if (!reading) co_return Self::unknown;
  co_return reading->is_master ? Self::master : Self::replica;
}

// A link of its own, with its part of what all may use.
Options ClusterExport::options_of(const ClusterShard& seen, std::size_t count) const {
  Options out = options_;
  out.source.uri.hosts.assign(1, HostPort{seen.master.host, seen.master.port});
  const auto parts = static_cast<std::int64_t>(std::max<std::size_t>(1, count));
  for (const auto limit : {&Options::limits_memory_max_bytes, &Options::spool_max_bytes})
    out.*limit = (out.*limit + parts - 1) / parts;
  return out;
}

ClusterExport::Shard& ClusterExport::add_shard(const ClusterShard& seen) {
  bool changed = false;
  auto shard = std::make_unique<Shard>(options_of(seen, source_.view().shards.size()));
  Shard& one = *shard;
  one.entry = table_.adopt(seen, changed);
  one.master = seen.master;
  one.role.sink = &sink_;
  one.role.turn = &turn_;
  one.role.names = names_;
  one.role.may_end = [this] {
    if (!leaving_ && all_ready()) {
      look_wanted_ = true;
      look_.notify();
    }
    return leaving_;
  };
  one.role.snapshot_done = [this, &one] { return await_streams(one); };
  one.role.wait_for_others = [this, &one](Slot slot) { return wait_for_others(one, slot); };
  one.role.on_full_sync = [this, &one] {
    if (!one.doubted_at) one.doubted_at = Clock::now();
    look_wanted_ = true;
    look_.notify();
  };
  one.role.begin_anew = [this, &one](const std::string& why) {
    begin_anew(fmt::format("{} ({})", why, to_string(one.master)));
  };
  shards_.push_back(std::move(shard));
  return one;
}

void ClusterExport::begin_shard(Shard& shard) {
  log_info("source shard taken up: shard={} master={} slots={}", table_.entries()[shard.entry].name,
           to_string(shard.master), shard.role.slots.count());
  shard.link = std::make_unique<Export>(executor_, shard.options, shard.board, &shard.role);
  shard.link->announced_port = announced_port;
  if (paused_) shard.link->pause();
  if (draining_) shard.link->drain();
  round_->spawn(run_shard(shard));
}

// Looks at the shape of the source again and again, until the end of the round.
Task<Error> ClusterExport::follow() {
  bool complained = false;
  while (!round_over_) {
    co_await look_.wait_for(std::exchange(look_wanted_, false) ? look_soon : look_interval);
    if (round_over_ || stopping_) continue;
    Error error = co_await source_.refresh();
    if (!error && !round_over_) error = co_await adopt_view();
    if (!error && is_streaming_) epoch_ = source_.view().epoch;
    if (!error && !round_over_ && is_streaming_) error = co_await hand_over();
    if (!error && !round_over_ && is_streaming_) error = co_await settle_goal();
    last_error_ = error.what;
    if (error && !round_over_ && !std::exchange(complained, true))
      log_warn("the source cluster's shape cannot be read now: error=\"{}\"", error.what);
    if (!error) complained = false;
  }
  co_return Error();
}

// Failovers are followed. When the set of masters changes otherwise, everything is written anew.
Task<Error> ClusterExport::adopt_view() {
  const ClusterView view = source_.view();
  const TimePoint viewed_at = source_.viewed_at();
  if (!is_streaming_ && view.epoch != epoch_)
    begin_anew("slots moved, or masters changed, while the snapshots were read");
  std::vector<bool> has_slots(table_.entries().size());
  for (const ClusterShard& seen : view.shards) {
    if (seen.slots.none()) continue;
    const auto entry = table_.find(seen);
    if (!entry || has_slots[*entry])
      begin_anew("a master is new and has slots: " + to_string(seen.master));
    if (entry) has_slots[*entry] = true;
  }
  std::vector<bool> is_seen = has_slots;
  for (const ClusterShard& seen : view.shards) {
    if (round_over_) co_return Error();
    const auto entry = table_.find(seen);
    if (!entry) {
      co_await judge_join(seen);
      continue;
    }
    if (seen.slots.none()) {
      // In a failover the old master still is one for a moment, without slots.
      if (has_slots[*entry] || co_await ask_role(seen.master) == Self::replica) continue;
      is_seen[*entry] = true;
    }
    for (const auto& shard : shards_) {
      if (shard->entry == *entry) move_shard(*shard, seen);
    }
  }
  miss_shards(is_seen);
  for (const auto& shard : shards_) {
    const bool is_lost = shard->doubted_at && viewed_at > *shard->doubted_at;
    if (is_lost && shard->missed == 0)
      begin_anew("the stream of a master cannot go on: " + to_string(shard->master));
  }
  co_return Error();
}

// Slots may come to a master without any, and are followed only when its stream is.
Task<void> ClusterExport::judge_join(ClusterShard seen) {
  if (co_await ask_role(seen.master) != Self::master) {
    joined_.erase(seen.id);
    co_return;
  }
  const auto [at, is_new] = joined_.try_emplace(seen.id, Clock::now());
  if (elapsed_ms(at->second, Clock::now()) > joined_after_ms)
    begin_anew("a master has joined: " + to_string(seen.master));
}

void ClusterExport::move_shard(Shard& shard, const ClusterShard& seen) {
  bool changed = false;
  if (seen.slots.any()) table_.adopt(seen, changed);
  if (changed) share_out();
  shard.missed = 0;
  if (shard.has_ended || shard.master == seen.master) return;
  log_info("source shard has another master: shard={} was={} is={}",
           table_.entries()[shard.entry].name, to_string(shard.master), to_string(seen.master));
  shard.master = seen.master;
  shard.doubted_at.reset();
  shard.options.source.uri.hosts.assign(1, HostPort{seen.master.host, seen.master.port});
  if (shard.link) shard.link->reconnect_source();
}

// What is no master any more may be a replica of any: its stream means nothing now.
void ClusterExport::miss_shards(const std::vector<bool>& is_seen) {
  for (const auto& shard : shards_) {
    if (is_seen[shard->entry] || shard->has_ended) continue;
    look_wanted_ = true;
    if (++shard->missed >= missed_max)
      begin_anew("a master has left the cluster: " + to_string(shard->master));
  }
}

// Tells every export which slots are its own.
void ClusterExport::share_out() {
  for (const auto& shard : shards_) {
    const ShardSlots& slots = table_.entries()[shard->entry].slots;
    shard->role.lost &= ~slots;
    shard->role.slots = slots;
  }
}

// Slots that the cluster says are a shard's become so in the table, when what others did to them is
// in the file.
Task<Error> ClusterExport::hand_over() {
  const ClusterView view = source_.view();
  for (const ClusterShard& seen : view.shards) {
    const auto entry = table_.find(seen);
    if (!entry || seen.slots.none()) continue;
    const ShardSlots slots = seen.slots & ~table_.entries()[*entry].slots;
    if (slots.none()) continue;
    look_wanted_ = true;
    const bool is_true = co_await source_.serves(seen.master, slots);
    if (!is_true) continue;
    if (!co_await have_taken(*entry, slots)) continue;
    table_.give(*entry, slots);
    for (const auto& shard : shards_)
      shard->role.lost |= slots;
    share_out();
    log_info("slots changed hands: shard={} slots={}", table_.entries()[*entry].name,
             slots.count());
  }
  co_return Error();
}

// Whether all shards but this one have come to where their streams are now.
Task<bool> ClusterExport::have_taken(std::size_t entry, ShardSlots slots) {
  std::vector<std::pair<Shard*, Offset>> ends;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    Shard& other = *shards_[i];
    if (other.entry == entry || other.has_ended) continue;
    const auto reading = co_await source_.read_offset(other.master);
    if (round_over_ || !reading || reading->replid != other.link->replid()) co_return false;
    ends.emplace_back(&other, reading->offset);
  }
  const TimePoint begin = Clock::now();
  const auto is_behind = [&slots](const auto& one) {
    return !one.first->has_ended && !one.first->link->has_taken(one.second, slots);
  };
  while (std::any_of(ends.begin(), ends.end(), is_behind)) {
    if (round_over_ || elapsed_ms(begin, Clock::now()) > look_interval.count()) co_return false;
    co_await step_.wait_for(poll_interval);
  }
  co_return !round_over_;
}

// All have reached their goal: they may end, unless a key is on its way between two of them.
Task<Error> ClusterExport::settle_goal() {
  if (leaving_ || !all_ready()) co_return Error();
  Error error = co_await read_settled();
  if (!error && !is_as_known()) error = Error(Errc::history_lost, "slots are on the move");
  if (error.is(Errc::history_lost)) {
    if (!std::exchange(told_waiting_, true)) log_warn("the end waits: {}", error.what);
    error = Error();
  } else if (!error) {
    leaving_ = all_ready();
  }
  look_wanted_ = look_wanted_ || !leaving_;
  co_return error;
}

// All are asked at once how far they are: what they do later is not waited for.
Task<Error> ClusterExport::wait_for_others(Shard& shard, Slot slot) {
  look_wanted_ = true;
  look_.notify();
  std::vector<std::pair<Shard*, Offset>> ends;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    Shard& other = *shards_[i];
    if (&other == &shard) continue;
    Offset end = 0;
    Error error = co_await read_end(other, end);
    if (error) co_return error;
    ends.emplace_back(&other, end);
  }
  ShardSlots slots;
  slots.set(slot);
  for (const auto& [other, end] : ends) {
    Error error = co_await wait_for(*other, end, slots);
    if (error) co_return error;
  }
  co_return Error();
}

// How far the stream of `other` is now.
Task<Error> ClusterExport::read_end(Shard& other, Offset& end) {
  const TimePoint begin = Clock::now();
  // Of one that has ended as well: it may have taken all there is.
  for (bool is_first = true; is_first || !is_over_for(other, begin); is_first = false) {
    if (round_over_) break;
    const Endpoint node = other.master;
    const auto reading = co_await source_.read_offset(node);
    const bool is_usable = reading && reading->is_master && node == other.master &&
                           reading->replid == other.link->replid();
    if (is_usable) {
      end = reading->offset;
      co_return Error();
    }
    co_await step_.wait_for(ask_again);
  }
  co_return Error(Errc::cancelled, "stopped");
}

// Until everything that `other` has done to the slots up to `end` is taken. Where both hold the
// slot, each for what the other one did before, nobody knows the order.
Task<Error> ClusterExport::wait_for(Shard& other, Offset end, ShardSlots slots) {
  const TimePoint begin = Clock::now();
  std::optional<TimePoint> held_since;
  while (!round_over_) {
    if (other.link->has_taken(end, slots)) co_return Error();
    if (is_over_for(other, begin)) break;
    if (!other.link->has_taken(end, ShardSlots())) {
      held_since.reset();
    } else if (!held_since) {
      held_since = Clock::now();
    } else if (elapsed_ms(*held_since, Clock::now()) > held_both_max_ms) {
      begin_anew("a slot moved to and fro, and two shards wait for each other");
    }
    co_await step_.wait_for(poll_interval);
  }
  co_return Error(Errc::cancelled, "stopped");
}

// Nothing more is to be expected of it.
bool ClusterExport::is_over_for(const Shard& other, TimePoint since) const {
  if (round_over_ || other.has_ended) return true;
  return stopping_ && elapsed_ms(since, Clock::now()) > stop_wait_ms;
}

}  // namespace keyferry
