// Pipeline: the cutover. Nothing of it may end the link before the commit: whatever goes wrong
// lifts the pause, and replication goes on.
#include <algorithm>
#include <cstdlib>

#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/cutover.hpp"
#include "keyferry/pipeline/pipeline.hpp"

namespace keyferry {
namespace {

constexpr Millis poll{1};
// What must be left of the pause at the commit, so that fence and kill are through before it ends.
constexpr Millis commit_needs{500};
// The result stays readable for whoever asked for it.
constexpr Millis linger{2000};

}  // namespace

bool Pipeline::cut_over(Millis pause_limit) {
  if (finished_ || draining_ || drain_wanted_ || paused_ || cutover_.is_running()) return false;
  const std::uint64_t attempt = cutover_.attempt + 1;
  cutover_ = CutoverStatus();
  cutover_.attempt = attempt;
  cutover_.state = CutoverStatus::State::waiting;
  scope_.spawn(carry_over(pause_limit));
  return true;
}

Task<Error> Pipeline::carry_over(Millis pause_limit) {
  SourceFence fence(executor_, options_.source);
  Error error = co_await reach_cutover(fence);
  TimePoint paused_at{};
  if (!error) {
    paused_at = Clock::now();
    error = co_await fence.pause(pause_limit);
    if (!error) {
      cutover_.state = CutoverStatus::State::paused;
      error = co_await reach_source(fence);
      if (!error) error = co_await commit_cutover(fence);
      const bool committed = cutover_.state == CutoverStatus::State::committed;
      Error lifted = co_await fence.unpause();
      cutover_.pause_ms = std::max<std::int64_t>(1, elapsed_ms(paused_at, Clock::now()));
      if (lifted) {
        log_warn("cutover: the pause could not be lifted and ends by itself: error=\"{}\"",
                 lifted.what);
      }
      if (committed) {
        log_info("cutover done: pause_ms={} fence=\"min-replicas-to-write was {}\"",
                 cutover_.pause_ms, fence.replaced());
        co_await halt_.wait_for(linger);
        reached_goal_ = true;
        finish(std::move(error));
        co_return Error();
      }
    }
  }
  cutover_.state = CutoverStatus::State::failed;
  cutover_.problem = error.what;
  log_warn("cutover given up, replication goes on: error=\"{}\"", error.what);
  co_return Error();
}

// Until lag is so small that the pause will be short.
Task<Error> Pipeline::reach_cutover(SourceFence& fence) {
  const TimePoint begin = Clock::now();
  while (true) {
    if (finished_ || draining_) co_return Error(Errc::cancelled, "the link is ending");
    const TimePoint now = Clock::now();
    const auto lag = lag_.lag_bytes(now);
    if (in_stream_ && caught_up_ && lag && *lag <= options_.cutover_max_lag_bytes) break;
    if (elapsed_ms(begin, now) > options_.cutover_wait_s * 1000)
      co_return Error(Errc::unreachable, "lag did not get under cutover.max_lag_bytes in time");
    co_await halt_.wait_for(Millis(20));
  }
  Error error = co_await fence.open(source_.replid);
  if (error) co_return with_context("source", std::move(error));
  co_return error;
}

// Until everything the source has written is acknowledged by the target, and a second look finds
// the source where it was.
Task<Error> Pipeline::reach_source(SourceFence& fence) {
  Offset wanted = 0;
  while (true) {
    auto now_at = co_await fence.offset();
    if (!now_at) co_return now_at.error();
    if (*now_at == wanted && watermark_.applied() >= wanted && sink_.held_slots() == 0)
      co_return Error();
    wanted = *now_at;
    while (watermark_.applied() < wanted || sink_.held_slots() > 0) {
      if (finished_ || draining_) co_return Error(Errc::cancelled, "the link is ending");
      if (fence.pause_left(Clock::now()) < commit_needs)
        co_return Error(Errc::unreachable, "the target did not catch up within the pause");
      co_await sleep_for(poll);
    }
  }
}

// From the fence on there is no way back: clients may already have been told to go to the target.
Task<Error> Pipeline::commit_cutover(SourceFence& fence) {
  if (fence.pause_left(Clock::now()) < commit_needs)
    co_return Error(Errc::unreachable, "too little is left of the pause");
  if (finished_ || draining_) co_return Error(Errc::cancelled, "the link is ending");
  paused_ = true;  // nothing is applied any more
  Error error = co_await fence.raise();
  if (error) {
    // Half a fence is none: clients go on at the source, and so do we.
    Error lowered = co_await fence.lower(fence.replaced());
    if (lowered)
      log_error("cutover: the fence could not be taken back: error=\"{}\"", lowered.what);
    resume();
    co_return with_context("fence", std::move(error));
  }
  cutover_.state = CutoverStatus::State::committed;
  if (options_.cutover_on_switch.empty()) co_return Error();
  log_info("cutover: running cutover.on_switch");
  int code = 0;
  const std::string command = options_.cutover_on_switch;
  auto run = [&code, &command] {
    code = std::system(command.c_str());
    return Error();
  };
  Error ran = co_await run_in_pool(run);
  if (ran) co_return ran;
  if (code == 0) co_return Error();
  cutover_.problem = fmt::format("cutover.on_switch ended with {}; the fence stays", code);
  log_error("{}", cutover_.problem);
  co_return Error(Errc::data_refused, cutover_.problem);
}

}  // namespace keyferry
