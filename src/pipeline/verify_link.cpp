// Pipeline: comparing both ends inside the running link. What differs becomes suspect, and is
// healed as every suspect is: copied at a known offset, between the commands before it and those
// behind.
#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/pipeline.hpp"
#include "keyferry/verify/verifier.hpp"

namespace keyferry {
namespace {

// Applied is not yet read: what was acknowledged is there, but our two reads are not at one moment.
constexpr Millis lag_margin{50};
constexpr Millis heal_poll_interval{20};
constexpr std::int64_t heal_limit_ms = 60'000;

}  // namespace

bool Pipeline::verify(const VerifyPlan& plan) {
  if (verifier_ || finished_ || draining_ || file_ || !in_stream_) return false;
  verifier_ = std::make_unique<Verifier>(executor_, options_, plan);
  verifier_->lag = [this] { return verify_lag(); };
  verifier_->repair = [this](const KeyList& keys) { return heal_keys(keys); };
  verifier_->on_difference = [](const std::string& line) { log_debug("verify: {}", line); };
  ++verified_.attempt;
  log_info("comparing both ends: level={} part={} repair={} repair_extra={}", to_string(plan.level),
           plan.part, plan.repair, plan.repair_extra);
  scope_.spawn(run_verify());
  return true;
}

// How it ends is in the status; a comparison that breaks off does not end the link.
Task<Error> Pipeline::run_verify() {
  Error error = co_await verifier_->run();
  const std::uint64_t attempt = verified_.attempt;
  verified_ = verifier_->summary();
  verified_.attempt = attempt;
  verifier_.reset();
  if (error) {
    log_warn("the comparison broke off: {}", error.what);
  } else {
    log_info("both ends were compared: {}", summary_json(verified_));
  }
  co_return Error();
}

VerifySummary Pipeline::verify_summary() const {
  VerifySummary out = verifier_ ? verifier_->summary() : verified_;
  out.attempt = verified_.attempt;
  return out;
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

// stop.verify: whether the link may say that it is done.
bool Pipeline::is_verified() {
  if (options_.stop_verify == StopVerify::none || verifier_) return !verifier_;
  if (!std::exchange(verified_at_end_, true)) {
    VerifyPlan plan = plan_of(options_);
    plan.level = VerifyLevel::digest;
    plan.part = options_.stop_verify == StopVerify::sample ? 0.01 : 1;
    return !verify(plan);
  }
  if (!verified_.is_equal()) {
    finish(Error(Errc::data_refused,
                 fmt::format("stop.verify: {}", verified_.problem.empty() ? summary_json(verified_)
                                                                          : verified_.problem)));
    return false;
  }
  return true;
}

}  // namespace keyferry
