// Pipeline: its part of the cutover, which is Handover's. Nothing of it may end the link before the
// commit.
#include "keyferry/pipeline/handover.hpp"
#include "keyferry/pipeline/pipeline.hpp"

namespace keyferry {
namespace {

// The result stays readable for whoever asked for it.
constexpr Millis linger{2000};

}  // namespace

bool Pipeline::cut_over(const CutoverRequest& request) {
  if (finished_ || draining_ || drain_wanted_ || paused_ || cutover_.is_running()) return false;
  const std::uint64_t attempt = cutover_.attempt + 1;
  cutover_ = CutoverStatus();
  cutover_.attempt = attempt;
  cutover_.state = CutoverStatus::State::waiting;
  scope_.spawn(carry_over(request));
  return true;
}

HandoverSource Pipeline::handover_source() {
  HandoverSource source;
  source.end = options_.source;
  source.replid = source_.replid;
  source.lag_bytes = [this](TimePoint now) {
    return in_stream_ && caught_up_ ? lag_.lag_bytes(now) : std::nullopt;
  };
  // What suspects hold is still to come.
  source.has_applied = [this](Offset offset) {
    return watermark_.applied() >= offset && sink_.held_slots() == 0 && sink_.suspects().empty();
  };
  return source;
}

Task<Error> Pipeline::carry_over(CutoverRequest request) {
  HandoverLink link;
  link.sources.push_back(handover_source());
  link.is_ending = [this] { return finished_ || draining_; };
  link.freeze = [this] { paused_ = true; };
  link.thaw = [this] { resume(); };
  link.rules = &transform_;
  link.target = &sink_.nodes();
  Handover handover(executor_, options_, std::move(link), cutover_);
  Error error = co_await handover.run(request);
  if (cutover_.state != CutoverStatus::State::committed) co_return Error();
  co_await halt_.wait_for(linger);
  reached_goal_ = true;
  finish(std::move(error));
  co_return Error();
}

void Pipeline::end_handed_over() {
  reached_goal_ = true;
  finish(Error());
}

}  // namespace keyferry
