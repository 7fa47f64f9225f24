#include "keyferry/verify/doubts.hpp"

#include <algorithm>

#include "keyferry/base/checksum.hpp"

namespace keyferry {
namespace {

constexpr std::size_t entry_bytes = 200;  // of the map and the set, about
constexpr int doublings_max = 4;
constexpr Millis shortest_wait{50};
// Differences beyond this many are not remembered: one of them may be told twice.
constexpr std::size_t remembered_max = 2'000'000;

}  // namespace

Doubts::Verdict Doubts::settle(Doubt& doubt, const Reading& target, const Reading& source,
                               const JudgeRules& rules, std::int64_t now_ms) const {
  const KeyFinding then = judge(doubt.source, target, rules, now_ms);
  const KeyFinding now = judge(source, target, rules, now_ms);
  const bool was_unchanged = is_unchanged(doubt.source, source);
  // A target that is stuck at an old value of a key which changes again and again is not equal.
  const bool has_moved =
      doubt.target.state != Reading::State::unreadable && !is_unchanged(doubt.target, target);
  doubt.source = source;
  doubt.target = target;
  if (now == KeyFinding::equal || (then == KeyFinding::equal && has_moved)) return Verdict::equal;
  if (!was_unchanged || now == KeyFinding::unknown) {
    doubt.strikes = 0;
    doubt.finding = now;
    return ++doubt.changes >= schedule_.changes ? Verdict::changing : Verdict::again;
  }
  doubt.changes = 0;
  doubt.finding = now;
  return ++doubt.strikes >= schedule_.strikes ? Verdict::different : Verdict::again;
}

void Doubts::add(Doubt doubt, TimePoint now, Millis lag) {
  if (known_.size() < remembered_max && !known_.insert(id_of(doubt)).second) return;
  used_bytes_ += bytes_of(doubt);
  // Nothing is known of the source yet: the first look need not wait.
  const bool is_unread = doubt.source.state == Reading::State::unreadable && doubt.is_big;
  const Millis wait = is_unread ? Millis(0) : wait_of(doubt, lag);
  doubt.source_at = is_unread ? TimePoint() : now;
  waiting_.emplace(now + wait, std::move(doubt));
}

void Doubts::put_back(Doubt doubt, TimePoint now, Millis lag) {
  --taken_;
  doubt.source_at = now;
  const Millis wait = wait_of(doubt, lag);
  waiting_.emplace(now + wait, std::move(doubt));
}

std::vector<Doubt> Doubts::take_due(TimePoint now, std::size_t most, Millis lag) {
  std::vector<Doubt> due;
  while (!waiting_.empty() && waiting_.begin()->first <= now && due.size() < most) {
    Doubt& next = waiting_.begin()->second;
    const Millis left = lag - Millis(elapsed_ms(next.source_at, now));
    if (left > Millis(0)) {
      auto later = waiting_.extract(waiting_.begin());
      later.key() = now + std::max(left, shortest_wait);
      waiting_.insert(std::move(later));
      continue;
    }
    if (next.is_big && !due.empty()) break;
    due.push_back(std::move(next));
    waiting_.erase(waiting_.begin());
    ++taken_;
    if (due.back().is_big) break;
  }
  return due;
}

void Doubts::let_go(const Doubt& doubt) {
  --taken_;
  used_bytes_ -= std::min(used_bytes_, bytes_of(doubt));
  known_.erase(id_of(doubt));
}

void Doubts::remember(const Doubt& doubt) {
  --taken_;
  used_bytes_ -= std::min(used_bytes_, bytes_of(doubt));
}

Millis Doubts::next_due(TimePoint now) const {
  if (waiting_.empty()) return Millis(1000);
  const auto left = std::chrono::duration_cast<Millis>(waiting_.begin()->first - now) + Millis(1);
  return std::clamp(left, Millis(1), Millis(1000));
}

Millis Doubts::wait_of(const Doubt& doubt, Millis lag) const {
  const int looks = std::min(doubt.strikes + doubt.changes, doublings_max);
  return std::max(lag, schedule_.wait * (1 << looks));
}

std::size_t Doubts::bytes_of(const Doubt& doubt) {
  return doubt.key.size() + sizeof(Doubt) + entry_bytes;
}

std::uint64_t Doubts::id_of(const Doubt& doubt) const {
  return crc64(static_cast<std::uint64_t>(doubt.db) + 1, doubt.key);
}

}  // namespace keyferry
