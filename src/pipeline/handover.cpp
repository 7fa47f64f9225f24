#include "keyferry/pipeline/handover.hpp"

#include <algorithm>

#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

constexpr Millis poll{1};
constexpr Millis lag_poll{20};
// What must be left of the pause at the commit, so that fence and kill are through before it ends.
constexpr Millis commit_needs{500};

Error ending() {
  return {Errc::cancelled, "the link is ending"};
}

}  // namespace

Handover::Handover(const asio::any_io_executor& executor, const Options& options, HandoverLink link,
                   CutoverStatus& status)
    : executor_(executor),
      options_(options),
      link_(std::move(link)),
      status_(status),
      hook_(options.cutover_on_pause, options.cutover_on_unpause),
      reached_(link_.sources.size(), -1) {}

Task<Error> Handover::run(CutoverRequest request) {
  request_ = request;
  pause_limit_ = Millis(request.pause_timeout_ms.value_or(options_.cutover_pause_timeout_ms));
  Error error = co_await wait_for_lag();
  if (!error) error = co_await open_sources();
  if (!error) error = co_await hold_back();
  if (status_.state == CutoverStatus::State::committed) {
    std::string replaced;
    for (const auto& fence : fences_)
      replaced +=
          fmt::format("{}{} {}", replaced.empty() ? "" : ", ", fence->name(), fence->replaced());
    log_info("cutover done: pause_ms={} fence=\"min-replicas-to-write was: {}\"", status_.pause_ms,
             replaced);
    co_return error;
  }
  status_.state = CutoverStatus::State::failed;
  status_.problem = error.what;
  log_warn("cutover given up, replication goes on: error=\"{}\"", error.what);
  co_return error;
}

// Until lag is so small that the pause will be short.
Task<Error> Handover::wait_for_lag() {
  const TimePoint begin = Clock::now();
  const auto is_behind = [this](const HandoverSource& source) {
    const auto lag = source.lag_bytes(Clock::now());
    return !lag || *lag > options_.cutover_max_lag_bytes;
  };
  while (std::any_of(link_.sources.begin(), link_.sources.end(), is_behind)) {
    if (link_.is_ending()) co_return ending();
    if (elapsed_ms(begin, Clock::now()) > options_.cutover_wait_s * 1000)
      co_return Error(Errc::unreachable, "lag did not get under cutover.max_lag_bytes in time");
    co_await sleep_for(lag_poll);
  }
  co_return Error();
}

// Everything that takes time and can be done before writes are held back.
Task<Error> Handover::open_sources() {
  Error changed = co_await judge_shape();
  if (changed) co_return changed;
  for (const HandoverSource& source : link_.sources) {
    fences_.push_back(std::make_unique<SourceFence>(executor_, source.end));
    Error error = co_await fences_.back()->open(source.replid);
    if (error) co_return with_context("source " + fences_.back()->name(), std::move(error));
  }
  co_await open_heirs();
  if (!request_.verify_sample) co_return Error();
  sample_ = std::make_unique<KeySample>(executor_, options_, *link_.rules, *link_.target);
  for (const HandoverSource& source : link_.sources) {
    Error error = co_await sample_->open(source.end);
    if (error) co_return with_context("sample", std::move(error));
  }
  co_return Error();
}

Task<Error> Handover::judge_shape() {
  if (!link_.judge_shape) co_return Error();
  co_return co_await link_.judge_shape();
}

Task<void> Handover::open_heirs() {
  for (const EndOptions& end : link_.heirs) {
    auto heir = std::make_unique<SourceFence>(executor_, end);
    Error error = co_await heir->open("");
    if (error) {
      log_warn("cutover: a replica will not be fenced: source={} error=\"{}\"", heir->name(),
               error.what);
    } else {
      heirs_.push_back(std::move(heir));
    }
  }
}

Task<Error> Handover::hold_back() {
  paused_at_ = Clock::now();
  Error error = co_await pause_sources();
  if (!error) {
    status_.state = CutoverStatus::State::paused;
    error = co_await reach_sources();
    if (!error) error = co_await sample_keys();
    if (!error) error = co_await commit();
  }
  co_await lift();
  status_.pause_ms = std::max<std::int64_t>(1, elapsed_ms(paused_at_, Clock::now()));
  co_return error;
}

Task<Error> Handover::pause_sources() {
  Error refused;
  for (const auto& fence : fences_) {
    Error error = co_await fence->pause(pause_limit_);
    if (!error) continue;
    error = with_context("source " + fence->name() + ": CLIENT PAUSE", std::move(error));
    if (!error.is(Errc::refused_by_peer)) co_return error;
    refused = std::move(error);
  }
  if (!refused) co_return refused;
  if (!hook_.is_given()) {
    co_return Error(Errc::refused_by_peer,
                    refused.what + "; give a command that holds back writes (cutover.on_pause)");
  }
  log_info("cutover: running cutover.on_pause: reason=\"{}\"", refused.what);
  const auto work = [this] { return hook_.pause(pause_limit_); };
  co_return co_await run_in_pool(work);
}

// Until everything the sources have written is acknowledged by the target, and a second look finds
// them where they were.
Task<Error> Handover::reach_sources() {
  while (true) {
    bool is_settled = true;
    for (std::size_t i = 0; i < fences_.size(); ++i) {
      auto at = co_await fences_[i]->offset();
      if (!at) co_return with_context("source " + fences_[i]->name(), at.error());
      is_settled = is_settled && *at == reached_[i] && link_.sources[i].has_applied(*at);
      reached_[i] = *at;
    }
    if (is_settled) co_return Error();
    for (std::size_t i = 0; i < fences_.size(); ++i) {
      Error error = co_await wait_for(i);
      if (error) co_return error;
    }
  }
}

Task<Error> Handover::wait_for(std::size_t source) {
  while (!link_.sources[source].has_applied(reached_[source])) {
    if (link_.is_ending()) co_return ending();
    if (judge_time()) {
      co_return Error(Errc::unreachable, "the target did not catch up within the pause");
    }
    co_await sleep_for(poll);
  }
  co_return Error();
}

Task<Error> Handover::sample_keys() {
  if (!sample_) co_return Error();
  Error error = co_await sample_->compare(paused_at_ + pause_limit_ - commit_needs);
  status_.sampled_keys = sample_->compared();
  if (error) co_return with_context("sample", std::move(error));
  log_info("cutover: sampled keys are equal: keys={}", sample_->compared());
  // Once more, right before there is no way back.
  co_return co_await reach_sources();
}

Error Handover::judge_time() const {
  const auto left = std::chrono::duration_cast<Millis>(paused_at_ + pause_limit_ - Clock::now());
  if (left >= commit_needs) return {};
  return {Errc::unreachable, "too little is left of the pause"};
}

// From the fences on there is no way back: clients may already have been told to go to the target.
Task<Error> Handover::commit() {
  if (Error late = judge_time()) co_return late;
  if (link_.is_ending()) co_return ending();
  Error error = co_await fence_sources();
  if (error) {
    co_await lower_fences();
    link_.thaw();
    co_return with_context("fence", std::move(error));
  }
  status_.state = CutoverStatus::State::committed;
  hook_.settle();
  co_await fence_heirs();
  co_return co_await switch_over();
}

// What got in before the fences because a pause ended early, or where nobody looked, is found out.
Task<Error> Handover::fence_sources() {
  Error error = co_await judge_shape();
  if (!error) error = co_await raise_fences();
  if (!error) error = co_await reach_sources();
  if (!error) error = co_await judge_shape();
  if (error) co_return error;
  link_.freeze();
  for (const auto& fence : fences_) {
    error = co_await fence->end_clients();
    if (error) co_return with_context(fence->name(), std::move(error));
  }
  co_return Error();
}

// All of them before the first client is ended, so that whoever comes again finds a fence.
Task<Error> Handover::raise_fences() {
  hook_.release_guard();
  for (const auto& fence : fences_) {
    Error error = co_await fence->raise();
    if (error) co_return with_context(fence->name(), std::move(error));
  }
  co_return Error();
}

Task<void> Handover::fence_heirs() {
  for (const auto& heir : heirs_) {
    Error error = co_await heir->raise();
    if (error)
      log_warn("cutover: a replica is not fenced: source={} error=\"{}\"", heir->name(),
               error.what);
  }
}

// Half a fence is none: clients go on at the source, and so do we.
Task<void> Handover::lower_fences() {
  for (const auto& fence : fences_) {
    Error error = co_await fence->lower(fence->replaced());
    if (error)
      log_error("cutover: the fence could not be taken back: source={} error=\"{}\"", fence->name(),
                error.what);
  }
}

Task<Error> Handover::switch_over() {
  if (options_.cutover_on_switch.empty()) co_return Error();
  log_info("cutover: running cutover.on_switch");
  const auto work = [this] { return run_shell(options_.cutover_on_switch, Millis(0)); };
  Error error = co_await run_in_pool(work);
  if (!error) co_return error;
  status_.problem = fmt::format("cutover.on_switch {}; the fence stays", error.what);
  log_error("{}", status_.problem);
  co_return Error(Errc::data_refused, status_.problem);
}

// What the user's command holds back stays so behind a fence: who undoes it may lift that as well.
Task<void> Handover::lift() {
  for (const auto& fence : fences_) {
    Error error = co_await fence->unpause();
    if (error) {
      log_warn("cutover: the pause could not be lifted and ends by itself: source={} error=\"{}\"",
               fence->name(), error.what);
    }
  }
  if (!hook_.is_in_force()) co_return;
  const auto work = [this] { return hook_.undo(); };
  Error error = co_await run_in_pool(work);
  if (error) log_error("cutover: writes may still be held back: error=\"{}\"", error.what);
}

}  // namespace keyferry
