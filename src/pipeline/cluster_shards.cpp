// ClusterLink: which shards the source has, where they are, and whose a slot is.
#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/cluster_link.hpp"
#include "keyferry/pipeline/whole_link.hpp"

namespace keyferry {
namespace {

constexpr Millis look_interval{1000};
constexpr Millis look_soon{100};
// So many views in a row must lack a shard before it is taken to have left.
constexpr int missed_max = 3;
constexpr Millis poll_interval{5};
constexpr Millis ask_again{100};
// A shard that is stopping waits for others no longer than this.
constexpr std::int64_t stop_wait_ms = 3000;
constexpr std::int64_t told_after_ms = 5000;
constexpr std::int64_t stuck_max_ms = 100;

bool has_node(const ShardTable::Entry& entry, const std::string& id) {
  return std::count(entry.nodes.begin(), entry.nodes.end(), id) > 0;
}

// In a failover there is a moment at which the old master still is one, without slots: it is one of
// the new one's nodes, not a shard of its own.
std::vector<ClusterShard> shards_of(const ClusterView& view, const ShardTable& table) {
  std::vector<ClusterShard> out = view.shards;
  std::vector<std::string> replaced;
  for (const ClusterShard& seen : view.shards) {
    if (seen.slots.any()) continue;
    for (const ShardTable::Entry& entry : table.entries()) {
      if (!has_node(entry, seen.id)) continue;
      const auto heir = std::find_if(out.begin(), out.end(), [&](const ClusterShard& other) {
        return other.slots.any() && has_node(entry, other.id);
      });
      if (heir == out.end()) continue;
      heir->nodes.push_back(seen.id);
      replaced.push_back(seen.id);
    }
  }
  std::erase_if(out, [&](const ClusterShard& one) {
    return std::count(replaced.begin(), replaced.end(), one.id) > 0;
  });
  return out;
}

}  // namespace

// Looks at the shape of the source again and again, until the end.
Task<Error> ClusterLink::follow() {
  bool complained = false;
  while (!finished_) {
    co_await look_.wait_for(std::exchange(look_wanted_, false) ? look_soon : look_interval);
    if (finished_ || stopping_) continue;
    Error error = co_await source_.refresh();
    if (!error && !finished_ && !stopping_) error = co_await adopt_view();
    if (!error && !finished_ && !stopping_) error = co_await hand_over();
    if (!error && !finished_ && !stopping_) error = co_await settle_doubts();
    if (error.is(Errc::usage)) co_return error;
    last_error_ = error.what;
    if (error && !finished_ && !std::exchange(complained, true))
      log_warn("the source cluster's shape cannot be read now: error=\"{}\"", error.what);
    if (!error) complained = false;
  }
  co_return Error();
}

// New masters are taken up, masters that moved are followed, and those that are gone are left.
Task<Error> ClusterLink::adopt_view() {
  bool changed = options_.restart && shards_.empty();
  if (changed) table_.doubtful.reset();
  std::vector<std::pair<std::size_t, const ClusterShard*>> fresh;
  std::vector<bool> is_seen;
  const TimePoint viewed_at = source_.viewed_at();
  std::vector<ClusterShard> shards = shards_of(source_.view(), table_);
  co_await leave_out_replicas(shards);
  for (const ClusterShard& seen : shards) {
    const std::size_t entry = table_.adopt(seen, changed);
    is_seen.resize(std::max(is_seen.size(), entry + 1));
    is_seen[entry] = true;
    // What an earlier run knew of slots is void: all of them are copied again.
    if (options_.restart && shards_.empty()) table_.give(entry, seen.slots);
    Shard* const shard = shard_of(entry);
    if (shard == nullptr) {
      fresh.emplace_back(entry, &seen);
    } else {
      shard->missed = 0;
      move_shard(*shard, seen);
    }
  }
  if (changed) {
    Error error = co_await save_table();
    if (error) co_return error;
  }
  if (finished_ || stopping_) co_return Error();
  for (const auto& [entry, seen] : fresh)
    start_shard(entry, *seen);
  share_out();
  miss_shards(is_seen);
  adopted_at_ = viewed_at;
  co_return Error();
}

// A node that has just become a replica still is a master without slots for those who have not
// heard of it: followed as one, it would send its master's stream once more. It knows itself.
Task<void> ClusterLink::leave_out_replicas(std::vector<ClusterShard>& seen) {
  for (std::size_t i = 0; i < seen.size();) {
    bool is_left_out = false;
    if (seen[i].slots.none()) {
      const Endpoint node = seen[i].master;
      const auto reading = co_await source_.read_offset(node);
      const bool is_known = std::any_of(shards_.begin(), shards_.end(), [&](const auto& shard) {
        return !shard->has_ended && shard->master == node;
      });
      is_left_out = reading ? !reading->is_master : !is_known;
    }
    if (is_left_out) {
      seen.erase(seen.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

void ClusterLink::start_shard(std::size_t entry, const ClusterShard& seen) {
  const ShardTable::Entry& known = table_.entries()[entry];
  log_info("source shard taken up: shard={} master={} slots={} replicas={}", known.name,
           to_string(seen.master), seen.slots.count(), seen.replicas.size());
  auto shard = std::make_unique<Shard>(executor_, options_of(known, seen));
  Shard& one = *shard;
  one.entry = entry;
  one.master = seen.master;
  one.is_down = seen.is_down;
  place_stream(one, seen);
  one.role.target.was_empty = table_.owns_target;
  one.role.may_end = [this] {
    leaving_ = leaving_ || (all_ready() && comparison_.allows_end());
    return leaving_;
  };
  one.role.may_full_sync = [this, &one] { return may_full_sync(one); };
  one.role.turn.take = [this, &one](const std::string& host) { return take_turn(one, host); };
  one.role.turn.give_back = [this, entry] { turns_.give_back(entry); };
  one.role.wait_for_others = [this, &one](ShardSlots slots, TimePoint since) {
    return wait_for_others(one, slots, since);
  };
  one.role.take_import = [this, &one](ShardSlots slots) { return take_import(one, slots); };
  one.pipeline = std::make_unique<Pipeline>(executor_, one.options, one.board);
  one.pipeline->role = &one.role;
  one.pipeline->announced_port = announced_port;
  one.pipeline->logs_progress = false;
  shards_.push_back(std::move(shard));
  share_out();
  if (paused_) one.pipeline->pause();
  if (draining_) one.pipeline->drain();
  scope_.spawn(run_shard(one));
}

// A link of its own, with its part of what all may use.
Options ClusterLink::options_of(const ShardTable::Entry& entry, const ClusterShard& seen) const {
  Options out = options_;
  out.source.uri.hosts.assign(1, HostPort{seen.master.host, seen.master.port});
  out.delivery_link = link_of(options_) + "-" + entry.name;
  out.target.client_name = "keyferry-" + out.delivery_link + "-" + out.instance;
  out.target_before = TargetBefore::keep;
  out.stop_verify = StopVerify::none;  // done for all together
  take_part_of_limits(out, changed_limits_, source_.view().shards.size());
  return out;
}

// source.prefer_replica: the same one as long as it is there. True when that changed.
bool ClusterLink::place_stream(Shard& shard, const ClusterShard& seen) const {
  if (!options_.source_prefer_replica) return false;
  std::optional<HostPort> place;
  for (const Endpoint& replica : seen.replicas) {
    const HostPort host{replica.host, replica.port};
    if (!place || host == shard.role.replica) place = host;
  }
  return std::exchange(shard.role.replica, place) != place;
}

void ClusterLink::move_shard(Shard& shard, const ClusterShard& seen) {
  shard.is_down = seen.is_down;
  const bool is_elsewhere = place_stream(shard, seen);
  if (shard.has_ended || (shard.master == seen.master && !is_elsewhere)) return;
  if (shard.master == seen.master) return shard.pipeline->reconnect_source();
  log_info("source shard has another master: shard={} was={} is={}",
           table_.entries()[shard.entry].name, to_string(shard.master), to_string(seen.master));
  shard.master = seen.master;
  shard.options.source.uri.hosts.assign(1, HostPort{seen.master.host, seen.master.port});
  shard.pipeline->reconnect_source();
}

// What is no master any more, with nobody in its place, sends nothing more.
void ClusterLink::miss_shards(const std::vector<bool>& is_seen) {
  for (const auto& shard : shards_) {
    const bool seen = shard->entry < is_seen.size() && is_seen[shard->entry];
    if (seen || shard->is_leaving || shard->has_ended) continue;
    look_wanted_ = true;
    if (++shard->missed < missed_max) continue;
    log_info("source shard is gone from the cluster: shard={} master={}",
             table_.entries()[shard->entry].name, to_string(shard->master));
    shard->is_leaving = true;
    shard->pipeline->stop();
  }
}

// A node that was a master may have become a replica of another shard, or come back without its
// data before its replica was promoted: only a view that was read since then tells.
bool ClusterLink::may_full_sync(Shard& shard) {
  if (!shard.doubted_at) shard.doubted_at = Clock::now();
  const bool is_known = adopted_at_ > *shard.doubted_at;
  const bool is_master = shard.missed == 0 && !shard.is_down;
  if (is_known && is_master) {
    shard.doubted_at.reset();
    return true;
  }
  look_wanted_ = true;
  look_.notify();
  return false;
}

// Whom another shard waits for goes first: that one may hold the turn meanwhile.
bool ClusterLink::take_turn(const Shard& shard, const std::string& host) {
  const bool is_awaited = std::any_of(shards_.begin(), shards_.end(), [&shard](const auto& other) {
    return other->waits_for == &shard;
  });
  return turns_.take(shard.entry, host, is_awaited);
}

Task<Error> ClusterLink::save_table() {
  if (!claim_) co_return Error();
  Bytes text;
  append_shard_table(text, table_);
  std::string key = table_key();
  Error error = co_await claim_->write_text(std::move(key), std::move(text));
  co_return error.is(Errc::cancelled) ? Error() : error;
}

// Tells every pipeline which slots are its own.
void ClusterLink::share_out() {
  for (const auto& shard : shards_) {
    shard->role.target.slots = table_.entries()[shard->entry].slots;
    shard->role.target.contested =
        table_.contested(shard->entry) | table_.doubtful | table_.entries()[shard->entry].touched;
  }
}

// After adopt_view().
std::size_t ClusterLink::entry_of(const ClusterShard& seen) const {
  const auto& entries = table_.entries();
  const auto at = std::find_if(entries.begin(), entries.end(),
                               [&](const auto& entry) { return has_node(entry, seen.id); });
  KEYFERRY_ASSERT(at != entries.end());
  return static_cast<std::size_t>(at - entries.begin());
}

ClusterLink::Shard* ClusterLink::shard_of(std::size_t entry) {
  for (const auto& shard : shards_) {
    if (shard->entry == entry && !(shard->has_ended && shard->is_leaving)) return shard.get();
  }
  return nullptr;
}

// It is in the table that the shard writes to them before it does.
Task<Error> ClusterLink::wait_for_others(Shard& shard, ShardSlots slots, TimePoint since) {
  if (table_.touch(shard.entry, slots)) {
    ++touches_;
    share_out();
    Error error = co_await save_table();
    if (error) co_return error;
  }
  look_wanted_ = true;
  look_.notify();
  // Those will be copied again, behind this.
  healing_ &= ~slots;
  if ((slots & table_.doubtful).any()) ++doubts_;
  slots &= ~table_.doubtful;
  if (slots.none()) co_return Error();
  for (const std::size_t entry : table_.others(shard.entry, slots)) {
    Shard* const other = shard_of(entry);
    if (other == nullptr) continue;  // it has left; nothing more comes from it
    shard.waits_for = other;
    Error error = co_await wait_for(shard, *other, since);
    shard.waits_for = nullptr;
    if (error.is(Errc::history_lost)) error = co_await doubt(slots, to_and_fro);
    if (error) co_return error;
  }
  co_return Error();
}

Task<Error> ClusterLink::wait_for(Shard& shard, Shard& other, TimePoint since) {
  const TimePoint begin = Clock::now();
  bool told = false;
  std::optional<TimePoint> stuck_since;
  std::optional<Offset> until;
  while (!finished_) {
    // One that left has applied all it had; one that was stopped has not.
    if (other.has_ended) break;
    const std::int64_t waited_ms = elapsed_ms(begin, Clock::now());
    if (stopping_ && waited_ms > stop_wait_ms) break;
    if (!until) {
      Error error = co_await wait_for_reading(other, since, until);
      if (error) co_return error;
      continue;
    }
    if (other.pipeline->has_recorded(*until)) co_return Error();
    if (!is_stuck(shard)) {
      stuck_since.reset();
    } else if (!stuck_since) {
      stuck_since = Clock::now();  // a record may be under way
    } else if (elapsed_ms(*stuck_since, Clock::now()) > stuck_max_ms) {
      co_return Error(Errc::history_lost, "each waits for the other");
    }
    if (waited_ms > told_after_ms && !std::exchange(told, true))
      log_warn("slots came from a shard that is behind: from={} to={} offset={}",
               to_string(other.master), to_string(shard.master), *until);
    co_await halt_.wait_for(poll_interval);
  }
  if (other.has_ended && other.is_leaving && !stopping_) co_return Error();
  co_return Error(Errc::cancelled, "stopped");
}

// How far the shard's stream is now, which is later than `since`. None when it has left.
Task<Error> ClusterLink::wait_for_reading(Shard& other, TimePoint since,
                                          std::optional<Offset>& out) {
  KEYFERRY_ASSERT(since <= Clock::now());
  const Endpoint node = other.master;
  auto reading = co_await source_.read_offset(node);
  const bool usable = reading && reading->is_master && reading->replid == other.pipeline->replid();
  if (usable && node == other.master) {
    out = reading->offset;
    co_return Error();
  }
  look_wanted_ = true;
  look_.notify();
  co_await halt_.wait_for(ask_again);
  co_return Error();
}

// Whether those it waits for wait for it in turn.
bool ClusterLink::is_stuck(const Shard& shard) const {
  const Shard* at = shard.waits_for;
  for (std::size_t i = 0; i < shards_.size() && at != nullptr; ++i) {
    at = at->waits_for;
    if (at == &shard) return true;
  }
  return false;
}

// Whether all of these shards have come to where their streams are now, or are gone.
Task<bool> ClusterLink::have_recorded(std::vector<std::size_t> entries) {
  for (const std::size_t entry : entries) {
    Shard* const shard = shard_of(entry);
    if (shard == nullptr || shard->has_ended) continue;
    auto reading = co_await source_.read_offset(shard->master);
    if (!reading || !reading->is_master) co_return false;
    if (finished_ || reading->replid != shard->pipeline->replid()) co_return false;
    const TimePoint begin = Clock::now();
    while (!shard->has_ended && !shard->pipeline->has_recorded(reading->offset)) {
      if (finished_ || stopping_ || elapsed_ms(begin, Clock::now()) > look_interval.count())
        co_return false;
      co_await halt_.wait_for(poll_interval);
    }
  }
  co_return true;
}

// Slots that the cluster says are a shard's become so in the table, when what others wrote to them
// is recorded.
Task<Error> ClusterLink::hand_over() {
  for (const ClusterShard& seen : source_.view().shards) {
    if (seen.slots.none()) continue;
    const std::size_t entry = entry_of(seen);
    const ShardSlots slots =
        seen.slots & (~table_.entries()[entry].slots | table_.contested(entry));
    if (slots.none()) continue;
    look_wanted_ = true;
    const std::uint64_t touches = touches_;
    const bool is_true = co_await source_.serves(seen.master, slots);
    if (!is_true) continue;
    if (!co_await have_recorded(table_.others(entry, slots))) co_return Error();
    if (touches != touches_) co_return Error();  // again, with what came meanwhile
    table_.give(entry, slots);
    share_out();
    log_info("slots changed hands: shard={} slots={}", table_.entries()[entry].name, slots.count());
    Error error = co_await save_table();
    if (error) co_return error;
  }
  co_return Error();
}

}  // namespace keyferry
