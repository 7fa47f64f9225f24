#include "keyferry/sink/redis_sink.hpp"

#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

constexpr Millis watch_interval{1000};
constexpr Millis refresh_gap{100};
constexpr std::size_t suspects_max_bytes = 32 * 1024 * 1024;

}  // namespace

RedisSink::RedisSink(const asio::any_io_executor& executor, const Options& options,
                     Watermark& watermark)
    : executor_(executor),
      options_(options),
      watermark_(watermark),
      nodes_(executor, options.target),
      couriers_(executor, options.target),
      sentinels_(executor, options.target),
      scope_(executor),
      room_(executor),
      settle_(executor),
      watch_(executor),
      lane_of_slot_(slot_count, held_lane),
      dead_letter_(options.errors_dead_letter_file),
      suspects_(suspects_max_bytes),
      window_bytes_(static_cast<std::size_t>(std::clamp<std::int64_t>(
          options.limits_memory_max_bytes / 8, 1024 * 1024, 4 * 1024 * 1024))),
      window_most_bytes_(static_cast<std::size_t>(options.limits_memory_max_bytes / 8)) {
  bind_events();
}

RedisSink::~RedisSink() = default;

void RedisSink::bind_events() {
  events_.completed = [this](const LaneBatch& batch, const Answered& answered) {
    acknowledge(batch.ticket, answered, batch.received);
  };
  events_.refused = [this](Lane& lane, HeldUnit held, const std::string& error) {
    on_refused(lane, std::move(held), error);
  };
  events_.held = [this](HeldUnit held) { holds_[held.unit.slot].units.push_back(std::move(held)); };
  events_.answered = [this](const Unit& unit) { note_answered(unit); };
  events_.thawed = [this](Slot slot) { on_thawed(slot); };
  events_.disconnected = [this](Lane& lane, const Error& error) {
    if (stopping_) return;
    stats_.last_error = error.what;
    log_warn("link to the target lost, trying again: error=\"{}\" unanswered={}", error.what,
             lane.in_flight());
    refresh_wanted_ = nodes_.is_cluster();
    watch_.notify();
  };
  sentinels_.on_master = [this](const HostPort& master) {
    for (const auto& lane : lanes_)
      lane->stay_with(master);
    if (serial_) serial_->stay_with(master);
    if (claim_) claim_->stay_with(master);
    nodes_.stay_with(master);
    couriers_.stay_with(master);
  };
}

Task<Error> RedisSink::open() {
  Error error = co_await nodes_.open();
  if (error) co_return error;
  if (options_.delivery_mode == Delivery::exactly_once) {
    // Not with ?: around the co_awaits: g++ 12 then destroys an Error that was never made.
    if (nodes_.is_cluster()) {
      error = co_await take_cluster_claim();
    } else {
      error = co_await take_claim();
    }
    if (error) co_return error;
  }
  if (!claim_) events_.suspects = &suspects_;
  error = co_await prepare();
  if (!error) error = co_await learn_modules();
  if (!error) error = co_await enter_import_mode();
  if (!error && options_.snapshot_mirror && options_.snapshot_enabled && !resumable())
    error = co_await note_existing_keys();
  if (error) co_return error;
  if (serial_) serial_->import_source = !load_.import_mode.empty();
  if (cluster_) cluster_->import_source = !load_.import_mode.empty();
  lay_lanes();
  for (Slot slot = 0; slot < slot_count; ++slot)
    lane_of_slot_[slot] = lane_for(slot);
  log_info("target ready: kind={} family={} version={} masters={} lanes={} delivery={}",
           nodes_.is_cluster() ? "cluster" : "standalone",
           nodes_.identity().traits.family == rdb::Family::valkey ? "valkey" : "redis",
           nodes_.identity().version, nodes_.map().masters().size(), lanes_.size(),
           is_exactly_once() ? "exactly_once" : "at_least_once");
  co_return Error();
}

// What is in the target before the link begins. A link that goes on, or begins again, finds its own
// data there.
Task<Error> RedisSink::prepare() {
  const std::optional<Record> left = remains();
  has_remains_ = left.has_value();
  target_was_empty_ = left && left->owns_target;
  if (shared != nullptr) {
    target_was_empty_ = shared->was_empty;  // whoever looks after all of us has prepared it
    co_return Error();
  }
  const bool is_shared = !options_.filter.shard.empty();  // with others that fill it now
  if (resumable()) co_return Error();
  bool has_keys = false;
  Error error = co_await nodes_.find_keys(has_keys, own_keys_in_target());
  if (error) co_return error;
  if (!has_remains_) target_was_empty_ = !has_keys && !is_shared;
  if (has_keys && !has_remains_ && options_.target_before == TargetBefore::must_be_empty) {
    co_return Error(Errc::usage, "the target holds keys, and target.before is must_be_empty");
  }
  if (has_keys && options_.target_before == TargetBefore::flush) {
    log_info("emptying the target: target.before=flush");
    error = co_await flush_all();
    if (error) co_return error;
    has_remains_ = false;
  }
  if (!target_was_empty_ && has_keys && !is_shared)
    log_warn("the target already holds keys; those that the source does not have will stay");
  co_return Error();
}

// Lanes for every master that has none yet.
void RedisSink::lay_lanes() {
  const auto per_node = static_cast<std::uint16_t>(options_.target_lanes_per_node);
  for (const Endpoint& master : nodes_.map().masters()) {
    if (first_lane_.contains(master)) continue;
    first_lane_[master] = static_cast<std::uint16_t>(lanes_.size());
    for (std::uint16_t i = 0; i < per_node; ++i) {
      const HostPort host{master.host, master.port};
      lanes_.push_back(std::make_unique<Lane>(executor_, options_.target, host, events_));
      lanes_.back()->import_source = !load_.import_mode.empty();
      scope_.spawn(lanes_.back()->run());
    }
  }
  building_.resize(lanes_.size());
  loading_.resize(lanes_.size());
}

std::uint16_t RedisSink::lane_for(Slot slot) const {
  const std::uint16_t owner = nodes_.map().owner_of(slot);
  if (owner == SlotMap::no_owner) return held_lane;
  const std::uint16_t first = first_lane_.at(nodes_.map().masters()[owner]);
  return static_cast<std::uint16_t>(first +
                                    slot % static_cast<Slot>(options_.target_lanes_per_node));
}

// The map has changed: slots with a new owner leave their lane as soon as nothing of theirs is in
// flight there.
void RedisSink::adopt_map() {
  if (cluster_) cluster_->adopt_map();
  lay_lanes();
  for (Slot slot = 0; slot < slot_count; ++slot) {
    const std::uint16_t now = lane_of_slot_[slot];
    const std::uint16_t next = lane_for(slot);
    if (now == next || now == held_lane || next == held_lane) continue;
    hold_slot(*lanes_[now], slot, Lane::Freeze::for_new_owner);
  }
  for (auto it = first_lane_.begin(); it != first_lane_.end();) {
    const auto& masters = nodes_.map().masters();
    const bool serves = std::find(masters.begin(), masters.end(), it->first) != masters.end();
    bool is_empty = true;
    const auto first = static_cast<std::size_t>(it->second);
    const std::size_t end = first + static_cast<std::size_t>(options_.target_lanes_per_node);
    for (std::size_t lane = first; lane < end; ++lane)
      is_empty = is_empty && lanes_[lane]->is_empty();
    if (serves || !is_empty) {
      ++it;
      continue;
    }
    log_info("target node serves no slots any more: node={}", to_string(it->first));
    for (std::size_t lane = first; lane < end; ++lane)
      lanes_[lane]->stop();
    it = first_lane_.erase(it);
  }
}

Task<Error> RedisSink::run() {
  scope_.on_error([this](const Error& error) { fail(error); });
  scope_.spawn(settle());
  scope_.spawn(watch());
  scope_.spawn(sentinels_.run());
  if (claim_) scope_.spawn(claim_->keep());
  if (serial_) scope_.spawn(serial_->run());
  if (cluster_) scope_.spawn(cluster_->run());
  Error error = co_await scope_.join();
  co_return failure_ ? failure_ : error;
}

void RedisSink::stop() {
  stopping_ = true;
  for (const auto& lane : lanes_)
    lane->stop();
  if (serial_) serial_->stop();
  if (cluster_) cluster_->stop();
  if (claim_) claim_->stop();
  if (scratch_) scratch_->stop();
  sentinels_.stop();
  nodes_.close();
  couriers_.close();
  room_.notify();
  settle_.notify();
  watch_.notify();
}

void RedisSink::fail(Error error) {
  if (failure_ || stopping_) return;
  stats_.last_error = error.what;
  failure_ = std::move(error);
  stop();
}

// Looks after what no single lane sees: silent connections and the cluster's shape.
Task<Error> RedisSink::watch() {
  TimePoint refreshed = Clock::now();
  TimePoint checkpoint_at = refreshed;
  while (!stopping_) {
    co_await watch_.wait_for(refresh_wanted_ ? refresh_gap : watch_interval);
    const TimePoint now = Clock::now();
    for (const auto& lane : lanes_)
      lane->check_timeout(now);
    if (serial_) serial_->check_timeout(now);
    if (cluster_) cluster_->check_timeout(now);
    if (elapsed_ms(checkpoint_at, now) >= options_.delivery_checkpoint_interval_ms) {
      checkpoint_at = now;
      checkpoint();
    }
    if (!nodes_.is_cluster() || stopping_) continue;
    const bool due = elapsed_ms(refreshed, now) >= options_.target_topology_refresh_s * 1000;
    if (!due && (!refresh_wanted_ || now - refreshed < refresh_gap)) continue;
    refresh_wanted_ = false;
    Error error = co_await nodes_.refresh();
    refreshed = Clock::now();
    if (stopping_) break;
    if (error) {
      log_warn("cluster map cannot be read: error=\"{}\"", error.what);
      stats_.last_error = error.what;
      continue;
    }
    adopt_map();
  }
  co_return Error();
}

void RedisSink::acknowledge(Watermark::Ticket ticket, const Answered& answered,
                            TimePoint received) {
  outstanding_units_ -= answered.units;
  outstanding_bytes_ -= answered.bytes;
  stats_.applied += answered.commands;
  // A batch whose units were all answered elsewhere may be forgotten by now.
  if (answered.units > 0) watermark_.ack(ticket, answered.units);
  if (on_applied) on_applied(answered.commands, received);
  if (has_room() || outstanding_units_ == 0) room_.notify();
}

bool RedisSink::has_room() const {
  if (outstanding_bytes_ < window_bytes_) return true;
  return serial_ && outstanding_bytes_ < std::min(serial_->wanted_bytes(), window_most_bytes_);
}

Task<Error> RedisSink::wait_for_room() {
  while (!has_room() && !stopping_)
    co_await room_.wait();
  co_return stopping_ && !failure_ ? Error(Errc::cancelled, "stopped") : failure_;
}

Task<Error> RedisSink::idle() {
  while (outstanding_units_ > 0 && !stopping_)
    co_await room_.wait();
  co_return stopping_ && !failure_ ? Error(Errc::cancelled, "stopped") : failure_;
}

Task<Error> RedisSink::flush_all() {
  if (shared != nullptr) {
    if (const char* why = why_not_flush()) co_return Error(Errc::history_lost, why);
    co_return co_await remove_shared(0, std::nullopt);
  }
  const Bytes flushall = make_command({"FLUSHALL"});
  Error error = co_await tell_masters(flushall);
  if (!error) target_was_empty_ = true;
  if (!error && claim_) error = co_await claim_->renew_after_flush();
  co_return error;
}

Error RedisSink::put_key(const rdb::Event& key, rdb::Dialect dialect,
                         const rdb::HashTemplates* templates) {
  const Slot slot = slot_of(key.key);
  ++stats_.snapshot_keys;
  if (is_own_key(key.key)) {
    ++stats_.filtered;
    return Error();
  }
  load_.dialect = dialect;
  if (!load_.found.empty()) note_kept(key);
  if (!key.key_meta.empty()) {
    if (Error error = judge_loss(key.key, key.db, rdb::Choice::Loss::key_meta)) return error;
  }
  const rdb::Choice choice = choose(key, dialect);
  // The script wants elements, or the target needs them.
  if (choice.way != rdb::Choice::Way::raw) return put_foreign(key, choice, templates);
  Unit unit;
  unit.slot = slot;
  unit.db = key.db;
  unit.load = Load::raw;
  const bool replace = options_.snapshot_on_existing_key == ExistingKey::replace;
  const rdb::Dialect footer{dialect.family, choice.version};
  const auto append = [&](Bytes& out) {
    rdb::append_restore(out, key, footer, nodes_.identity().traits, replace, replace);
  };
  if (transform != nullptr && transform->has_script()) {
    Bytes wire;
    append(wire);
    if (!put_scripted(unit, wire)) put_wire(unit, std::move(wire));
    return Error();
  }
  const std::uint16_t at = lane_of_slot_[slot];
  if (at == held_lane) {
    Bytes wire;
    append(wire);
    put_held(unit, std::move(wire));
    return Error();
  }
  Loading& loading = loading_[at];
  if (loading.units.empty()) loading.wires.reserve(loading_flush_bytes + loading_flush_bytes / 16);
  const std::size_t before = loading.wires.size();
  append(loading.wires);
  loading.units.emplace_back(before, unit);
  if (loading.wires.size() >= loading_flush_bytes) flush_loading(at);
  return Error();
}

void RedisSink::flush_loading(std::uint16_t lane) {
  Loading loading = std::exchange(loading_[lane], Loading());
  if (loading.units.empty()) return;
  const auto cargo = std::make_shared<Cargo>();
  const ByteView wires = cargo->made.emplace_back(std::move(loading.wires));
  LaneBatch batch;
  batch.received = Clock::now();
  batch.ticket = watermark_.open(load_position(), loading.units.size(), batch.received);
  batch.units.reserve(loading.units.size());
  for (std::size_t i = 0; i < loading.units.size(); ++i) {
    auto& [offset, unit] = loading.units[i];
    const std::size_t end =
        i + 1 < loading.units.size() ? loading.units[i + 1].first : wires.size();
    unit.wire = wires.substr(offset, end - offset);
    batch.units.push_back(unit);
  }
  outstanding_units_ += batch.units.size();
  outstanding_bytes_ += wires.size();
  batch.cargo = cargo;
  // A slot may have been held since its keys were collected.
  if (!holds_.empty()) {
    for (Unit& unit : batch.units) {
      const auto hold = holds_.find(unit.slot);
      if (hold == holds_.end()) continue;
      hold->second.later.push_back({unit, cargo, batch.ticket, batch.received});
      unit.is_gone = true;
    }
    std::erase_if(batch.units, [](const Unit& unit) { return unit.is_gone; });
  }
  if (!batch.units.empty()) lanes_[lane]->submit(std::move(batch));
}

void RedisSink::flush_keys() {
  for (std::size_t lane = 0; lane < loading_.size(); ++lane)
    flush_loading(static_cast<std::uint16_t>(lane));
}

std::uint64_t RedisSink::reconnects() const {
  std::uint64_t sum = 0;
  for (const auto& lane : lanes_)
    sum += lane->stats().reconnects;
  if (serial_) sum += serial_->stats().reconnects;
  if (cluster_) sum += cluster_->reconnects();
  return sum;
}

std::uint64_t RedisSink::sent_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& lane : lanes_)
    sum += lane->stats().sent_bytes;
  if (serial_) sum += serial_->stats().sent_bytes;
  if (cluster_) sum += cluster_->sent_bytes();
  return sum;
}

}  // namespace keyferry
