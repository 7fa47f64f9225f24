#include "keyferry/verify/judge.hpp"

#include <cstdlib>

namespace keyferry {
namespace {

// The expiry that the link gives the key in the target; 0 = never.
std::int64_t expected_expiry(std::int64_t source_ms, const JudgeRules& rules) {
  if (rules.remap == nullptr || source_ms == 0) return source_ms;
  return rules.remap->expire(source_ms).value_or(0);
}

bool is_about_to_go(std::int64_t expire_ms, const JudgeRules& rules, std::int64_t now_ms) {
  return expire_ms > 0 && expire_ms <= now_ms + rules.ttl_tolerance_ms;
}

}  // namespace

bool same_expiry(std::int64_t source_ms, std::int64_t target_ms, const JudgeRules& rules) {
  const std::int64_t expected = expected_expiry(source_ms, rules);
  if (expected == 0 || target_ms == 0) return expected == target_ms;
  return std::abs(expected - target_ms) <= rules.ttl_tolerance_ms;
}

KeyFinding judge(const Reading& source, const Reading& target, const JudgeRules& rules,
                 std::int64_t now_ms) {
  using State = Reading::State;
  if (source.state == State::left_out) return KeyFinding::equal;
  if (source.state == State::unreadable || target.state != State::here) {
    if (source.state == State::unreadable || target.state == State::unreadable)
      return KeyFinding::unknown;
    if (source.state == State::gone) return KeyFinding::equal;
    const std::int64_t expiry = expected_expiry(source.expire_ms, rules);
    return is_about_to_go(expiry, rules, now_ms) ? KeyFinding::equal : KeyFinding::missing;
  }
  if (source.state == State::gone)
    return is_about_to_go(target.expire_ms, rules, now_ms) ? KeyFinding::equal : KeyFinding::extra;
  if (rules.level == VerifyLevel::exists) return KeyFinding::equal;
  if (source.digest.kind != target.digest.kind) return KeyFinding::type;
  const bool compares_values = rules.level != VerifyLevel::ttl;
  if (compares_values && !is_same(source.digest, target.digest)) return KeyFinding::value;
  return same_expiry(source.expire_ms, target.expire_ms, rules) ? KeyFinding::equal
                                                                : KeyFinding::ttl;
}

bool is_unchanged(const Reading& before, const Reading& now) {
  if (before.state != now.state || now.state == Reading::State::unreadable) return false;
  if (now.state != Reading::State::here) return true;
  // Where the expiry is computed from what is left it moves by some milliseconds.
  constexpr std::int64_t reading_error_ms = 50;
  const bool same_time = (before.expire_ms == 0) == (now.expire_ms == 0) &&
                         std::abs(before.expire_ms - now.expire_ms) <= reading_error_ms;
  return same_time && is_same(before.digest, now.digest);
}

}  // namespace keyferry
