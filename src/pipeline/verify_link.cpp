// Pipeline: comparing both ends inside the running link. What differs becomes suspect, and is
// healed as every suspect is: copied at a known offset, between the commands before it and those
// behind.
#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/pipeline.hpp"
#include "keyferry/source/key_list.hpp"

namespace keyferry {
namespace {

// Applied is not yet read: what was acknowledged is there, but our two reads are not at one moment.
constexpr Millis lag_margin{50};
constexpr Millis heal_poll_interval{20};
constexpr std::int64_t heal_limit_ms = 60'000;

}  // namespace

bool Pipeline::verify(const VerifyPlan& plan) {
  if (comparison_.is_running() || finished_ || draining_ || file_ || !in_stream_) return false;
  comparison_.begin(plan);
  scope_.spawn(comparison_.run());
  return true;
}

std::optional<Millis> Pipeline::verify_lag() const {
  const auto lag_ms = lag_.lag_ms(Clock::now());
  if (!in_stream_ || !lag_ms || resume_) return std::nullopt;
  return Millis(*lag_ms) + lag_margin;
}

// Returns when they are healed, or cannot be for a long time.
Task<Error> Pipeline::heal_keys(const KeyList& keys) {
  if (!sink_.is_exactly_once())
    co_return Error(Errc::usage, "a link repairs with delivery.mode exactly_once only");
  for (std::size_t i = 0; i < keys.size(); ++i)
    sink_.suspects().add(keys[i].db, keys.name(i));
  const TimePoint begin = Clock::now();
  while (!sink_.suspects().empty() && !finished_ && elapsed_ms(begin, Clock::now()) < heal_limit_ms)
    co_await halt_.wait_for(heal_poll_interval);
  co_return Error();
}

}  // namespace keyferry
