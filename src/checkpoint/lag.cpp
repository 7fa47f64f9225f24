#include "keyferry/checkpoint/lag.hpp"

#include <algorithm>

namespace keyferry {

void LagMeter::reading(const std::string& replid, Offset source_offset, TimePoint now) {
  if (replid != replid_ || source_offset < newest_) {
    forget_readings();
    return;
  }
  const bool previous_reached = known(now) && reached();
  if (!previous_reached) run_.reset();
  // Up to this moment the applied offset covered all that was known of.
  if (previous_reached || !covered_at_) covered_at_ = now;
  previous_reached_ = previous_reached;
  newest_ = source_offset;
  newest_at_ = now;
  newest_noted_ = false;
  have_reading_ = true;
  note_reached(now);
}

void LagMeter::applied(Offset applied, TimePoint oldest, TimePoint now) {
  applied_ = applied;
  oldest_ = oldest < now ? std::optional(oldest) : std::nullopt;
  note_reached(now);
}

void LagMeter::stream(const std::string& replid) {
  if (replid == replid_) return;
  replid_ = replid;
  newest_ = 0;
  covered_at_.reset();
  forget_readings();
}

void LagMeter::link(bool up) {
  link_up_ = up;
  if (!up) forget_readings();
}

std::optional<std::int64_t> LagMeter::lag_bytes(TimePoint now) const {
  if (!known(now)) return std::nullopt;
  return std::max<std::int64_t>(0, newest_ - applied_);
}

std::optional<std::int64_t> LagMeter::lag_ms(TimePoint now) const {
  if (!known(now)) return std::nullopt;
  const std::int64_t behind = reached() || !covered_at_ ? 0 : elapsed_ms(*covered_at_, now);
  const std::int64_t age = oldest_ ? elapsed_ms(*oldest_, now) : 0;
  return std::max(behind, age);
}

bool LagMeter::synced(TimePoint now) const {
  if (!known(now)) return false;
  return reached() || (previous_reached_ && now - newest_at_ < reading_interval);
}

std::int64_t LagMeter::stable_ms(TimePoint now) const {
  return run_ && synced(now) ? elapsed_ms(run_->since, run_->until) : 0;
}

bool LagMeter::known(TimePoint now) const {
  return link_up_ && have_reading_ && now - newest_at_ < reading_max_age;
}

// Lag is unknown from here on, and whatever comes next starts a new run.
void LagMeter::forget_readings() {
  have_reading_ = false;
  previous_reached_ = false;
  run_.reset();
}

void LagMeter::note_reached(TimePoint now) {
  if (!known(now) || !reached()) return;
  covered_at_ = now;
  if (newest_noted_) return;
  newest_noted_ = true;
  if (run_) {
    run_->until = now;
  } else {
    run_ = Run{now, now};
  }
}

}  // namespace keyferry
