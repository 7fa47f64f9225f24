#include "keyferry/pipeline/scan_link.hpp"

#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

constexpr Millis urgent_interval{100};
constexpr const char* history = "scan";  // of the numbers, for the lag meter

// What the options mean for a source without a stream: nothing is ever sent twice by mistake, but
// keys are copied again; keys come again, so each copy replaces the one before.
Options adapted(Options options) {
  options.delivery_mode = Delivery::at_least_once;
  options.snapshot_on_existing_key = ExistingKey::replace;
  options.snapshot_mirror = false;
  return options;
}

}  // namespace

ScanLink::ScanLink(const asio::any_io_executor& executor, const Options& options,
                   StatusBoard& board)
    : executor_(executor),
      options_(adapted(options)),
      given_(options),
      board_(board),
      sink_(executor, options_, watermark_),
      common_(executor, options_, sink_),
      scope_(executor),
      halt_(executor),
      sweep_(common_, [this](ByteView key) { return node_of(key); }) {
  common_.on_progress = [this] { advance(); };
  common_.on_moved = [this](const ReadKey& key, ByteView where) { on_moved(key, where); };
  sink_.on_applied = [this](std::uint64_t, TimePoint) {
    const TimePoint now = Clock::now();
    lag_.applied(watermark_.applied(), watermark_.oldest(now), now);
  };
  sink_.on_sent_late = [this](ByteView key, std::int32_t db) {
    // Under a mapping nobody knows which key it was; it was sent behind all others of its name.
    ScanNode* const node = common_.rules.maps_places() ? nullptr : node_of(key);
    if (node != nullptr) node->change(db, key);
  };
}

Task<Error> ScanLink::run() {
  began_ = logged_at_ = Clock::now();
  throughput_.begin(began_);
  publish(began_);
  Error error = co_await open_ends();
  if (error) {
    finish(std::move(error));
    Error ignored = co_await sink_.run();  // lanes may have been started
  } else {
    opened_ = true;
    scope_.on_error([this](const Error& first) { finish(first); });
    scope_.spawn(report());
    scope_.spawn(carry_out());
    for (const auto& node : nodes_) {
      if (options_.stream_enabled) scope_.spawn(node->listen());
      scope_.spawn(node->copy());
    }
    scope_.spawn(steer());
    error = co_await scope_.join();
  }
  for (const auto& node : nodes_)
    co_await node->give_back();
  co_await sink_.restore_target();
  publish(Clock::now());
  co_return result_;
}

Task<Error> ScanLink::open_ends() {
  if (given_.snapshot_on_existing_key != ExistingKey::replace) {
    co_return Error(Errc::usage,
                    "snapshot.on_existing_key must be replace in scan mode: keys are copied again "
                    "and again");
  }
  if (given_.delivery_mode == Delivery::exactly_once)
    log_info("scan mode: delivery is at_least_once; the target converges when writes stop");
  if (Error wrong = common_.rules.compile(given_)) co_return wrong;
  if (common_.rules.is_active()) sink_.transform = &common_.rules.transform();
  // First the source: nothing is done to the target when its events would not come.
  Error error = co_await open_source();
  if (error) co_return with_context("source " + redacted(options_.source.uri), std::move(error));
  error = co_await sink_.open();
  if (error) co_return error;
  for (const auto& [host, target] : sink_.nodes().masters()) {
    for (const auto& node : nodes_) {
      error = refuse_same(node->identity(), host, target);
      if (error) co_return error;
    }
  }
  lag_.stream(history);
  co_return co_await look_at_share();
}

// Others write to the target as well (source.shards): what matters is whether our slots are empty.
Task<Error> ScanLink::look_at_share() {
  if (options_.filter.shard.empty()) co_return Error();
  bool is_used = false;
  Error error = co_await sink_.find_wanted_keys(is_used);
  share_was_empty_ = !error && !is_used;
  if (is_used && !given_.snapshot_mirror)
    log_warn("our slots of the target hold keys; those that the source does not have will stay");
  co_return error;
}

Task<Error> ScanLink::carry_out() {
  Error error = co_await sink_.run();
  finish(std::move(error));
  co_return Error();
}

bool ScanLink::is_settled() const {
  if (in_snapshot_ || sweeping_ || functions_wanted_ || !moved_.empty()) return false;
  for (const auto& node : nodes_) {
    if (node->is_stopped()) continue;
    if (!node->is_settled() || !node->is_listening()) return false;
  }
  return true;
}

bool ScanLink::is_urgent() const {
  return in_snapshot_ || drain_wanted_ || draining_ || !is_settled() ||
         options_.stop_when == StopWhen::lag_zero;
}

// Tells the watermark up to which number everything has been handed to the sink.
void ScanLink::advance() {
  if (!moved_.empty()) return;
  std::uint64_t oldest = common_.last_number + 1;
  for (const auto& node : nodes_) {
    if (!node->is_stopped()) oldest = std::min(oldest, node->oldest_pending());
  }
  const auto reached = static_cast<Offset>(oldest - 1);
  if (reached <= position_) return;
  sink_.flush_keys();
  const TimePoint now = Clock::now();
  position_ = reached;
  sink_.set_load_position(position_);
  watermark_.open(position_, 0, now);
  lag_.applied(watermark_.applied(), watermark_.oldest(now), now);
}

// Looks at the source again and again, and decides what is next.
Task<Error> ScanLink::steer() {
  reconciled_ = healthy_ = quiet_since_ = Clock::now();
  while (!finished_ && !draining_) {
    Error error = co_await decide();
    if (finished_ || draining_) break;
    if (!error) {
      healthy_ = Clock::now();
    } else if (!error.is(Errc::unreachable)) {
      co_return error;
    } else {
      last_error_ = error.what;
      refresh_wanted_ = is_cluster_;
      const std::int64_t limit_s = options_.source.reconnect_max_s;
      if (elapsed_ms(healthy_, Clock::now()) > limit_s * 1000)
        co_return with_context(fmt::format("no working link for {} s", limit_s), std::move(error));
    }
    error = co_await check_goal();
    if (error) co_return error;
    const Millis calm(options_.source_scan_check_ms);
    co_await halt_.wait_for(is_urgent() ? std::min(calm, urgent_interval) : calm);
  }
  co_return Error();
}

Task<Error> ScanLink::decide() {
  Error error = co_await prepare_nodes();
  bool is_read = false;
  if (!error) error = co_await round(is_read);
  if (error || finished_ || draining_) co_return error;
  for (const auto& node : nodes_) {
    if (!node->is_stopped() && node->is_passing()) co_return Error();
  }
  if (in_snapshot_) co_return co_await after_first_pass();
  if (options_.stream_enabled) co_return co_await sweep();
  co_return Error();
}

// What is done once, when the nodes can be reached.
Task<Error> ScanLink::prepare_nodes() {
  Error error;
  if (!is_proven_) {
    for (const auto& node : nodes_) {
      if (!error) error = co_await node->prove();
    }
    is_proven_ = !error;
  }
  if (!error && functions_wanted_) {
    error = co_await copy_functions();
    functions_wanted_ = error && error.is(Errc::unreachable);
  }
  co_return error;
}

// One look at every node, and a reading if all of them could be asked.
Task<Error> ScanLink::round(bool& is_read) {
  hand_over_moved();
  is_read = options_.stream_enabled;
  for (const auto& node : nodes_) {
    if (options_.stream_enabled && !node->is_stopped())
      is_read = co_await node->barrier() && is_read;
  }
  const TimePoint read_at = Clock::now();
  const auto number = static_cast<Offset>(++common_.last_number);
  advance();
  Error error;
  for (const auto& node : nodes_) {
    if (node->is_stopped()) continue;
    Error one = co_await node->check();
    if (one && !one.is(Errc::unreachable)) co_return one;
    if (one) error = std::move(one);
    functions_wanted_ = node->take_new_functions() || functions_wanted_;
  }
  Error changed = co_await refresh_nodes();
  if (changed) co_return changed;
  is_read = is_read && !error;
  lag_.link(is_read && is_settled());
  if (is_read && is_settled()) lag_.reading(history, number, read_at);
  caught_up_ = is_settled() && (caught_up_ || lag_.synced(Clock::now()));
  co_return error;
}

Task<Error> ScanLink::after_first_pass() {
  sink_.flush_keys();
  Error error = co_await sink_.idle();
  if (!error && given_.snapshot_mirror) {
    sweeping_ = true;
    error = co_await sweep_.run();
    sweeping_ = false;
  }
  if (error) co_return error;
  in_snapshot_ = false;
  log_info("snapshot applied: keys={} rewritten={} seconds={:.1f}", sink_.stats().snapshot_keys,
           sink_.stats().rewritten_keys,
           static_cast<double>(elapsed_ms(began_, Clock::now())) / 1000);
  if (options_.stream_enabled && options_.stop_when != StopWhen::snapshot) co_return Error();
  reached_goal_ = true;
  finish_received();
  co_return Error();
}

// Function libraries are no keys. Not followed: one that is deleted later.
Task<Error> ScanLink::copy_functions() {
  if (nodes_.empty() || !options_.snapshot_enabled) co_return Error();
  if (!common_.rules.admits_functions()) co_return Error();
  if (!rdb::is_at_least(nodes_.front()->identity().traits, 7, 0)) co_return Error();
  auto list = co_await nodes_.front()->list_functions();
  if (!list) co_return list.error();
  if (list->is_error()) log_warn("function libraries are not copied: {}", list->text);
  for (const RespValue& library : list->items) {
    for (std::size_t i = 0; i + 1 < library.items.size(); i += 2) {
      if (library.items[i].text != "library_code") continue;
      Error error = co_await sink_.load_function(library.items[i + 1].text);
      if (error) co_return error;
    }
  }
  co_return Error();
}

Task<Error> ScanLink::check_goal() {
  const TimePoint now = Clock::now();
  std::uint64_t events = 0;
  for (const auto& node : nodes_)
    events += node->events();
  if (std::exchange(events_seen_, events) != events) quiet_since_ = now;
  if (in_snapshot_ || draining_ || finished_) co_return Error();
  if (!drain_wanted_ && options_.stop_when != StopWhen::lag_zero) co_return Error();
  if (!is_settled() || !lag_.synced(now)) {
    confirmed_ = 0;
    co_return Error();
  }
  if (lag_.stable_ms(now) < options_.stop_stable_for_ms) co_return Error();
  // Confirmed once: what was changed up to then must be applied, like all before.
  if (confirmed_ == 0) co_return co_await confirm_events();
  if (watermark_.applied() < confirmed_) co_return Error();
  log_info("lag is zero: applied={} pending_keys=0", watermark_.applied());
  reached_goal_ = true;
  finish_received();
  co_return Error();
}

// That every event came which the source had for us: a pong alone only proves the connection.
Task<Error> ScanLink::confirm_events() {
  const ScanLagZero wanted = options_.source_scan_lag_zero;
  bool wants_quiet = wanted == ScanLagZero::quiet;
  std::vector<ScanNode*> probed;
  for (const auto& node : nodes_) {
    if (node->is_stopped() || wanted == ScanLagZero::quiet) continue;
    if (wanted == ScanLagZero::automatic && !node->needs_probe()) continue;
    if (node->place().is_replica) {
      wants_quiet = true;  // nothing can be written there
    } else {
      probed.push_back(node.get());
    }
  }
  if (wants_quiet && elapsed_ms(quiet_since_, Clock::now()) < options_.stop_stable_for_ms)
    co_return Error();
  for (ScanNode* const node : probed) {
    Error error = co_await node->probe();
    // Not to be reached now, or the slot has moved: once more, later.
    if (error) co_return error.is(Errc::unreachable) ? Error() : error;
  }
  confirmed_ = static_cast<Offset>(++common_.last_number);
  advance();
  co_return Error();
}

void ScanLink::pause() {
  if (finished_ || draining_ || drain_wanted_ || common_.paused) return;
  log_info("paused: listening goes on, copying does not");
  common_.paused = true;
}

void ScanLink::resume() {
  if (!std::exchange(common_.paused, false)) return;
  log_info("resumed");
  for (const auto& node : nodes_)
    node->wake();
}

void ScanLink::stop() {
  if (finished_ || draining_) return;
  resume();
  if (!opened_) return finish(Error());
  log_info("stopping: copying what is known to have changed");
  finish_received();
}

void ScanLink::drain() {
  if (finished_) return;
  resume();
  log_info("draining: will stop when lag reaches zero");
  drain_wanted_ = true;
  halt_.notify();
}

void ScanLink::abort() {
  finish(Error(Errc::left_early, "left before every changed key was copied"));
}

void ScanLink::finish_received() {
  draining_ = true;
  for (const auto& node : nodes_)
    node->stop_receiving();
  halt_.notify();
  scope_.spawn(drain_received());
}

Task<Error> ScanLink::drain_received() {
  const TimePoint begin = Clock::now();
  while (!finished_) {
    hand_over_moved();
    std::uint64_t pending = moved_.size();
    for (const auto& node : nodes_) {
      if (node->is_stopped()) continue;
      pending += node->pending_keys() + (node->scanner().has_passed() ? 0u : 1u);
    }
    if (pending == 0) {
      sink_.flush_keys();
      if (sink_.is_idle()) break;
    }
    if (elapsed_ms(begin, Clock::now()) > options_.stop_shutdown_grace_s * 1000) {
      finish(Error(Errc::left_early, fmt::format("not every changed key was copied within {} s",
                                                 options_.stop_shutdown_grace_s)));
      co_return Error();
    }
    co_await halt_.wait_for(Millis(5));
  }
  if (in_snapshot_) log_warn("stopped inside the first pass: the target is incomplete");
  advance();
  finish(Error());
  co_return Error();
}

void ScanLink::finish(Error error) {
  if (finished_) return;
  finished_ = true;
  result_ = std::move(error);
  for (const auto& node : nodes_)
    node->stop();
  sweep_.stop();
  sink_.stop();
  common_.big_free.notify();
  halt_.notify();
}

}  // namespace keyferry
