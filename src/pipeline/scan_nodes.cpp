// ScanLink: which nodes the source has, keys that turn out to be at another one, and what the world
// sees of it all.
#include <algorithm>
#include <charconv>

#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/pipeline/scan_link.hpp"
#include "keyferry/pipeline/sink_status.hpp"

namespace keyferry {
namespace {

constexpr Millis publish_interval{100};
constexpr std::int64_t log_interval_ms = 5000;
constexpr std::int64_t refresh_interval_ms = 10000;
constexpr std::int64_t refresh_gap_ms = 500;

// "MOVED 3999 10.0.0.1:6381" or "ASK ...".
bool parse_redirection(ByteView text, const std::string& asked, Endpoint& node) {
  const std::size_t space = text.rfind(' ');
  const std::size_t colon = text.rfind(':');
  if (space == ByteView::npos || colon == ByteView::npos || colon < space) return false;
  const ByteView host = text.substr(space + 1, colon - space - 1);
  node.host = host.empty() ? asked : std::string(host);
  const ByteView port = text.substr(colon + 1);
  const auto [end, bad] = std::from_chars(port.data(), port.data() + port.size(), node.port);
  return bad == std::errc();
}

bool same_place(const ScanNode::Place& place, const HostPort& host) {
  return place.host.host == host.host && place.host.port == host.port;
}

}  // namespace

Task<Error> ScanLink::open_source() {
  std::vector<ScanNode::Place> places;
  Error error = co_await find_places(places);
  if (error) co_return error;
  for (ScanNode::Place& place : places) {
    place.shares = places.size();
    nodes_.push_back(std::make_unique<ScanNode>(common_, std::move(place)));
    error = co_await nodes_.back()->open();
    if (error) co_return error;
  }
  refreshed_ = Clock::now();
  log_info("source ready for scanning: kind={} nodes={}", is_cluster_ ? "cluster" : "standalone",
           nodes_.size());
  co_return Error();
}

// Standalone: the address itself. A cluster: its masters, or one replica of each.
Task<Error> ScanLink::find_places(std::vector<ScanNode::Place>& places) {
  const EndOptions& source = options_.source;
  std::vector<HostPort> seeds = source.uri.hosts;
  if (seeds.empty()) seeds.emplace_back();
  if (!source.uri.sentinel_master.empty()) seeds.resize(1);
  for (const auto& node : nodes_)
    seeds.push_back(node->place().host);
  Error error;
  for (const HostPort& seed : seeds) {
    Connection connection(executor_);
    error = co_await connection.open(source, seed, "topology");
    if (error) continue;
    Bytes info = make_command({"INFO"});
    auto reply = co_await connection.call(std::move(info), Millis(source.reply_timeout_ms));
    if (!reply) {
      error = reply.error();
      continue;
    }
    if (reply->is_error()) co_return Error(Errc::refused_by_peer, "INFO: " + reply->text);
    is_cluster_ = read_identity(reply->text).is_cluster && source.topology != Topology::standalone;
    if (is_cluster_) co_return co_await ask_slots(connection, places);
    ScanNode::Place& place = places.emplace_back();
    place.host = seed;
    co_return Error();
  }
  co_return error;
}

Task<Error> ScanLink::ask_slots(Connection& connection, std::vector<ScanNode::Place>& places) {
  const std::string asked = connection.stream().remote_address();
  Bytes command = make_command({"CLUSTER", "SLOTS"});
  auto reply =
      co_await connection.call(std::move(command), Millis(options_.source.reply_timeout_ms));
  if (!reply) co_return reply.error();
  auto map = parse_cluster_slots(*reply, asked);
  if (!map) co_return map.error();
  source_map_ = std::move(*map);
  for (const Endpoint& master : source_map_.masters()) {
    ScanNode::Place& place = places.emplace_back();
    place.host.host = master.host;
    place.host.port = master.port;
    place.is_cluster = true;
    place.master = master;
    for (Slot slot = 0; slot < slot_count && !place.slot; ++slot) {
      const bool is_ours = common_.rules.transform().filter().on_slot(slot);
      if (is_ours && source_map_.owner_of(slot) == places.size() - 1) place.slot = slot;
    }
  }
  if (options_.source_prefer_replica) read_replicas(*reply, asked, places);
  // Of masters without a slot of ours (source.shards) nothing is wanted.
  std::erase_if(places, [](const ScanNode::Place& place) { return !place.slot; });
  co_return Error();
}

void ScanLink::read_replicas(const RespValue& slots, const std::string& asked,
                             std::vector<ScanNode::Place>& places) const {
  // [first, last, master, replica...], each [host, port, ...].
  for (const RespValue& range : slots.items) {
    if (range.items.size() < 4 || range.items[3].items.size() < 2) continue;
    const Slot first = static_cast<Slot>(range.items[0].integer);
    const std::uint16_t owner = source_map_.owner_of(first);
    if (owner == SlotMap::no_owner) continue;
    const std::string& host = range.items[3].items[0].text;
    places[owner].host.host = host.empty() ? asked : host;
    places[owner].host.port = static_cast<std::uint16_t>(range.items[3].items[1].integer);
    places[owner].is_replica = true;
  }
}

// A cluster changes: new masters are taken up, those that serve nothing are left.
Task<Error> ScanLink::refresh_nodes() {
  if (!is_cluster_) co_return Error();
  const std::int64_t age = elapsed_ms(refreshed_, Clock::now());
  if (age < (refresh_wanted_ ? refresh_gap_ms : refresh_interval_ms)) co_return Error();
  refresh_wanted_ = false;
  refreshed_ = Clock::now();
  std::vector<ScanNode::Place> places;
  Error error = co_await find_places(places);
  if (error || finished_) co_return error.is(Errc::unreachable) ? Error() : error;
  for (ScanNode::Place& place : places) {
    const auto is_known = [&place](const auto& node) {
      return !node->is_stopped() && same_place(node->place(), place.host);
    };
    if (std::any_of(nodes_.begin(), nodes_.end(), is_known)) continue;
    place.shares = places.size();
    error = co_await start_node(place);
    if (error && !error.is(Errc::unreachable)) co_return error;
    if (error) refresh_wanted_ = true;
  }
  for (const auto& node : nodes_) {
    const auto is_same = [&node](const ScanNode::Place& place) {
      return same_place(node->place(), place.host);
    };
    if (std::any_of(places.begin(), places.end(), is_same)) continue;
    if (!node->is_stopped()) {
      log_warn("source node serves no slots any more: node={}", node->name());
      node->retire();
    }
  }
  co_return Error();
}

// Everything on it is copied: nobody listened while its slots came to it.
Task<Error> ScanLink::start_node(ScanNode::Place place) {
  auto node = std::make_unique<ScanNode>(common_, std::move(place));
  Error error = co_await node->open();
  if (error) co_return error;
  log_info("source node taken up: node={}", node->name());
  node->distrust();
  nodes_.push_back(std::move(node));
  if (options_.stream_enabled) scope_.spawn(nodes_.back()->listen());
  scope_.spawn(nodes_.back()->copy());
  co_return Error();
}

ScanNode* ScanLink::node_of(ByteView key) {
  if (nodes_.empty()) return nullptr;
  if (!is_cluster_) return nodes_.front().get();
  const std::uint16_t owner = source_map_.owner_of(slot_of(key));
  if (owner == SlotMap::no_owner) return nullptr;
  return node_at(source_map_.masters()[owner]);
}

// With replicas, the node that stands for the master.
ScanNode* ScanLink::node_at(const Endpoint& endpoint) {
  for (const auto& node : nodes_) {
    if (node->serves(endpoint)) return node.get();
  }
  return nullptr;
}

void ScanLink::on_moved(const ReadKey& key, ByteView where) {
  Moved moved;
  moved.key.db = key.db;
  moved.key.key = key.key;
  moved.asking = where.starts_with("ASK ");
  const std::string asked =
      options_.source.uri.hosts.empty() ? "" : options_.source.uri.hosts.front().host;
  if (!parse_redirection(where, asked, moved.node)) return;
  moved_.push_back(std::move(moved));
  halt_.notify();
}

void ScanLink::hand_over_moved() {
  for (const Moved& moved : std::exchange(moved_, std::vector<Moved>())) {
    ScanNode* const node = node_at(moved.node);
    if (node == nullptr) {
      refresh_wanted_ = true;
      moved_.push_back(moved);
    } else if (moved.asking && !node->place().is_replica) {
      node->add_moving(moved.key);
    } else {
      node->change(moved.key.db, moved.key.key);
      node->wake();
    }
  }
}

// Keys that only the target still has: after a flush, after events were missed, or now and then.
Task<Error> ScanLink::sweep() {
  using Sweep = ScanNode::Sweep;
  bool is_unheard = false;
  bool is_wanted = false;
  for (const auto& node : nodes_) {
    is_unheard = is_unheard || node->wanted_sweep() == Sweep::unheard;
    is_wanted = is_wanted || node->wanted_sweep() != Sweep::none;
  }
  const bool is_allowed = sink_.target_was_empty() || share_was_empty_ || given_.snapshot_mirror ||
                          options_.source_scan_reconcile_s > 0;
  if (is_wanted && common_.rules.maps_places()) {
    co_return Error(
        Errc::history_lost,
        "the source was flushed, or events of it were missed, and under a mapping keys "
        "that went meanwhile cannot be looked up; start again with target.before: flush");
  }
  if (is_unheard && !is_allowed) {
    co_return Error(
        Errc::history_lost,
        "events of the source were missed, and the target held keys before this link began, so "
        "keys deleted meanwhile cannot be told from those; start again with target.before: flush "
        "or snapshot.mirror: true");
  }
  const bool is_due =
      options_.source_scan_reconcile_s > 0 &&
      elapsed_ms(reconciled_, Clock::now()) >= options_.source_scan_reconcile_s * 1000;
  if (!is_wanted && !is_due) co_return Error();
  sweeping_ = true;
  Error error = co_await sweep_.run();
  sweeping_ = false;
  if (error) co_return error;
  reconciled_ = Clock::now();
  for (const auto& node : nodes_) {
    if (node->wanted_sweep() != Sweep::none) node->swept();
  }
  co_return Error();
}

// --- what the world sees

Task<Error> ScanLink::report() {
  while (!finished_) {
    const TimePoint now = Clock::now();
    publish(now);
    if (elapsed_ms(logged_at_, now) >= log_interval_ms) log_progress(now);
    co_await halt_.wait_for(publish_interval);
  }
  log_progress(Clock::now());
  co_return Error();
}

Phase ScanLink::phase() const {
  if (finished_) return result_ ? Phase::failed : Phase::stopped;
  if (draining_ || drain_wanted_) return Phase::draining;
  if (common_.paused) return Phase::paused;
  if (!opened_) return Phase::connecting;
  if (in_snapshot_) return Phase::snapshot;
  return caught_up_ ? Phase::steady : Phase::catch_up;
}

void ScanLink::publish(TimePoint now) {
  auto status = std::make_shared<Status>();
  Status& s = *status;
  s.phase = phase();
  s.uptime_s = static_cast<double>(elapsed_ms(began_, now)) / 1000;
  s.synced = is_settled() && sink_.held_slots() == 0 && lag_.synced(now);
  s.lag_ms = lag_.lag_ms(now);
  describe_sink(sink_, s);
  describe_progress(s);
  show_filtered(common_.rules.transform(), s);
  throughput_.show(s.applied, s.source_bytes, now, s);
  s.reconnects = s.source_reconnects + s.target_reconnects;
  s.limits = common_.rules.limits();
  s.memory_max_bytes = static_cast<std::uint64_t>(options_.limits_memory_max_bytes);
  s.spool_max_bytes =
      options_.spool_enabled ? static_cast<std::uint64_t>(options_.spool_max_bytes) : 0;
  s.source = shown_host(options_.source.uri);
  s.source_link_up = opened_ && !finished_;
  s.is_streaming = opened_ && !in_snapshot_;
  if (result_) s.last_error = result_.what;
  s.published_ms = std::chrono::duration_cast<Millis>(now.time_since_epoch()).count();
  board_.publish(std::move(status));
}

void ScanLink::describe_progress(Status& s) const {
  ScanStatus scan;
  std::uint64_t total = 0;
  std::uint64_t found = 0;
  std::uint64_t passes = 0;
  scan.percent = in_snapshot_ ? 0 : 100;
  for (const auto& node : nodes_) {
    const ScanPass& pass = node->scanner().pass();
    if (node->is_passing() && !pass.is_over()) scan.db = pass.db();
    total += node->is_passing() ? pass.total() : 0;
    found += node->is_passing() ? pass.found() : 0;
    if (!node->is_stopped()) scan.pending_keys += node->pending_keys();
    scan.spilled_keys += node->spilled_keys();
    scan.notifications += node->events();
    passes += node->passes();
    s.source_bytes += node->scanner().read_bytes();
    s.source_reconnects += node->reconnects();
    s.memory_used_bytes += node->memory_bytes();
    s.spool_used_bytes += node->spool_bytes();
    if (!node->last_error().empty() && !s.last_error) s.last_error = node->last_error();
    s.snapshot_keys_done += node->scanner().keys_found();
  }
  if (total > 0)
    scan.percent = std::min(100.0, 100 * static_cast<double>(found) / static_cast<double>(total));
  scan.pending_keys += moved_.size();
  const std::size_t first_passes = options_.snapshot_enabled ? nodes_.size() : 0;
  scan.rescans = passes > first_passes ? passes - first_passes : 0;
  s.full_resyncs = scan.rescans;
  s.snapshot_bytes_done = s.source_bytes;
  if (in_snapshot_ && total > 0) {
    s.snapshot_keys_total = total;
    const double left = static_cast<double>(total - std::min(found, total));
    const double took = static_cast<double>(elapsed_ms(began_, Clock::now())) / 1000;
    if (found > 0) s.snapshot_eta_s = left * took / static_cast<double>(found);
  }
  if (!last_error_.empty() && !s.last_error) s.last_error = last_error_;
  s.scan = scan;
}

void ScanLink::log_progress(TimePoint now) {
  logged_at_ = now;
  if (!logs_progress) return;
  Status s;
  describe_progress(s);
  log_info("progress: phase={} scanned={} percent={:.1f} pending_keys={} commands_per_s={:.0f}",
           to_string(phase()), s.snapshot_keys_done, s.scan->percent, s.scan->pending_keys,
           throughput_.commands_per_s());
}

}  // namespace keyferry
