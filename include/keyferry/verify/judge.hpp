// What one look at a key says: equal, or how source and target differ. Pure; knows no connection,
// and nothing of what comes next (see doubts.hpp).
#pragma once

#include <cstdint>

#include "keyferry/config/options.hpp"
#include "keyferry/transform/remap.hpp"
#include "keyferry/verify/canonical.hpp"
#include "keyferry/verify/summary.hpp"

namespace keyferry {

// What one end has under a name.
struct Reading {
  enum class State : std::uint8_t {
    gone,
    here,
    left_out,    // by the link's filter; nobody knows whether it is there
    unreadable,  // refused, or on its way to another node: nothing is known
  };
  State state = State::unreadable;
  ValueDigest digest;          // kind only, at level ttl; nothing at level exists
  std::int64_t expire_ms = 0;  // absolute unix time, 0 = never
};

struct JudgeRules {
  VerifyLevel level = VerifyLevel::digest;
  std::int64_t ttl_tolerance_ms = 0;
  const Remap* remap = nullptr;  // of expiries; nullptr: they stay as they are
};

// A key that is gone on one side only because its time is (nearly) up is equal.
KeyFinding judge(const Reading& source, const Reading& target, const JudgeRules& rules,
                 std::int64_t now_ms);
// Only the expiries; the readings are both `here`.
bool same_expiry(std::int64_t source_ms, std::int64_t target_ms, const JudgeRules& rules);
// Whether the source's key stayed as it was between two readings.
bool is_unchanged(const Reading& before, const Reading& now);

}  // namespace keyferry
