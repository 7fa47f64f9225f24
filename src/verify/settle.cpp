// Verifier: comparing pages, and looking again at what differed until it is clear.
#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/sink/topology.hpp"
#include "page.hpp"

namespace keyferry {
namespace {

constexpr std::size_t looks_at_once = 200;
constexpr Millis idle_wait{100};

}  // namespace

Task<Error> Verifier::compare() {
  KeyReader source(source_, plan_.level, "verify");
  KeyReader target(target_, plan_.level, "verify");
  while (!stopping_) {
    if (pages_.empty()) {
      if (walking_ == 0) break;
      co_await page_ready_.wait_for(Millis(1000));
      continue;
    }
    const std::unique_ptr<Page> page = std::move(pages_.front());
    pages_.pop_front();
    page_room_.notify();
    Error error = co_await compare_page(*page, source, target);
    if (error) co_return error;
  }
  --comparing_;
  doubt_ready_.notify();
  co_return Error();
}

Task<Error> Verifier::compare_page(Page& page, KeyReader& source, KeyReader& target) {
  const KeyList names = mapped(page.keys);
  std::span<const KeyLook> ours;
  if (plan_.level == VerifyLevel::ttl) {
    auto looks = co_await source.read(page.keys);
    if (!looks) co_return with_context("source", looks.error());
    ours = *looks;
  }
  auto theirs = co_await target.read(names);
  if (!theirs) co_return with_context("target", theirs.error());
  for (std::size_t i = 0; i < page.keys.size(); ++i)
    judge_key(page, i, ours.empty() ? page.look(i) : ours[i], (*theirs)[i]);
  summary_.keys += page.keys.size();
  co_return Error();
}

void Verifier::judge_key(const Page& page, std::size_t i, const KeyLook& source,
                         const KeyLook& target) {
  using State = KeyLook::State;
  const std::int32_t db = page.keys[i].db;
  const ByteView key = page.keys.name(i);
  const bool is_same_value = compares_values() && source.state == State::here &&
                             target.state == State::here &&
                             is_same_dump(source.payload, target.payload);
  if (is_same_value && same_expiry(source.expire_ms, target.expire_ms, rules_)) return;
  const bool is_big = source.state == State::big || target.state == State::big;
  Doubt what;
  what.is_big = is_big;
  if (!is_big) {
    const std::int64_t now_ms = unix_now_ms();
    what.source = reading_of(source, now_ms);
    what.target = reading_of(target, now_ms);
    what.finding = judge(what.source, what.target, rules_, now_ms);
  }
  if (what.finding != KeyFinding::equal) doubt(db, key, std::move(what));
}

void Verifier::doubt(std::int32_t db, ByteView key, Doubt what) {
  what.db = db;
  what.key.assign(key);
  doubts_.add(std::move(what), Clock::now(), lag_now());
  doubt_ready_.notify();
}

Millis Verifier::lag_now() const {
  return lag ? lag().value_or(Millis(0)) : Millis(0);
}

Task<Error> Verifier::settle() {
  KeyReader source(source_, plan_.level, "verify");
  KeyReader target(target_, plan_.level, "verify");
  while (!stopping_) {
    const bool is_known = !lag || lag().has_value();
    std::vector<Doubt> due;
    if (is_known) due = doubts_.take_due(Clock::now(), looks_at_once, lag_now());
    if (due.empty()) {
      if (is_over() && doubts_.empty()) break;
      const Millis wait = is_known ? doubts_.next_due(Clock::now()) : idle_wait;
      co_await doubt_ready_.wait_for(std::min(wait, idle_wait));
      continue;
    }
    summary_.looks += due.size();
    Error error;
    if (due.front().is_big) {
      error = co_await look_at_big(std::move(due.front()), source, target);
    } else {
      error = co_await look_again(std::move(due), source, target);
    }
    if (!error) error = co_await repair_found();
    if (error) co_return error;
    if (!doubts_.is_full()) page_room_.notify();
  }
  co_return Error();
}

// The target first: what the source had a while ago should be there.
Task<Error> Verifier::look_again(std::vector<Doubt> due, KeyReader& source, KeyReader& target) {
  KeyList keys;
  KeyList::Entry entry;
  for (const Doubt& one : due) {
    entry.db = one.db;
    keys.add(one.key, entry);
  }
  const KeyList names = mapped(keys);
  auto theirs = co_await target.read(names);
  if (!theirs) co_return with_context("target", theirs.error());
  auto ours = co_await source.read(keys);
  if (!ours) co_return with_context("source", ours.error());
  const std::int64_t now_ms = unix_now_ms();
  for (std::size_t i = 0; i < due.size(); ++i) {
    Doubt& one = due[i];
    const KeyLook& here = (*ours)[i];
    const KeyLook& there = (*theirs)[i];
    if (here.state == KeyLook::State::big || there.state == KeyLook::State::big) {
      one.is_big = true;
      doubts_.put_back(std::move(one), Clock::now(), Millis(0));
      continue;
    }
    Reading source_reading = reading_of(here, now_ms);
    const bool is_here = source_reading.state == Reading::State::here;
    if (is_here && !here.payload.empty() && !admits(one.db, one.key, here.payload, here.expire_ms))
      source_reading.state = Reading::State::left_out;
    std::optional<ElementDifference> element;
    if (plan_.level == VerifyLevel::full && !here.payload.empty() && !there.payload.empty())
      element = first_difference(here.payload, there.payload, now_ms);
    conclude(std::move(one), reading_of(there, now_ms), source_reading, std::move(element));
  }
  co_return Error();
}

Task<Error> Verifier::look_at_big(Doubt doubt, KeyReader& source, KeyReader& target) {
  KeyList keys;
  add_name(keys, doubt.db, doubt.key);
  const std::int64_t now_ms = unix_now_ms();
  auto theirs = co_await target.read_big(keys[0].db, keys.name(0), now_ms);
  if (!theirs && !theirs.error().is(Errc::unreachable))
    co_return with_context("target", theirs.error());
  auto ours = co_await source.read_big(doubt.db, doubt.key, now_ms);
  if (!ours && !ours.error().is(Errc::unreachable)) co_return with_context("source", ours.error());
  conclude(std::move(doubt), theirs ? *theirs : Reading(), ours ? *ours : Reading(), std::nullopt);
  co_return Error();
}

void Verifier::conclude(Doubt doubt, const Reading& target, const Reading& source,
                        std::optional<ElementDifference> element) {
  const bool was_repaired = doubt.repaired;
  switch (doubts_.settle(doubt, target, source, rules_, unix_now_ms())) {
    case Doubts::Verdict::equal:
      if (was_repaired) ++summary_.repaired;
      return doubts_.let_go(doubt);
    case Doubts::Verdict::again:
      return doubts_.put_back(std::move(doubt), Clock::now(), lag_now());
    case Doubts::Verdict::changing:
      if (!was_repaired)
        ++(doubt.finding == KeyFinding::unknown ? summary_.unreadable : summary_.changing);
      return doubts_.remember(doubt);
    case Doubts::Verdict::different:
      if (was_repaired) return doubts_.remember(doubt);  // counted, and repairing did not help
      return call_different(std::move(doubt), target, std::move(element));
  }
}

void Verifier::call_different(Doubt doubt, const Reading& target,
                              std::optional<ElementDifference> element) {
  ++summary_.differences[static_cast<std::size_t>(doubt.finding)];
  if (on_difference) {
    KeyList name;
    add_name(name, doubt.db, doubt.key);
    DifferenceReport report;
    report.doubt = &doubt;
    report.target = target;
    report.target_db = name[0].db;
    report.target_key = name.name(0);
    report.element = std::move(element);
    on_difference(difference_line(report, plan_.level));
  }
  const bool is_extra = doubt.finding == KeyFinding::extra;
  if (repair && (is_extra ? plan_.repair_extra : plan_.repair)) {
    to_repair_.push_back(std::move(doubt));
  } else {
    doubts_.remember(doubt);
  }
}

Task<Error> Verifier::repair_found() {
  if (to_repair_.empty()) co_return Error();
  KeyList keys;
  KeyList::Entry entry;
  for (const Doubt& one : to_repair_) {
    entry.db = one.db;
    keys.add(one.key, entry);
  }
  Error error = co_await repair(keys);
  if (error) co_return with_context("repair", std::move(error));
  for (Doubt& one : std::exchange(to_repair_, std::vector<Doubt>())) {
    one.repaired = true;
    one.strikes = one.changes = 0;
    doubts_.put_back(std::move(one), Clock::now(), lag_now());
  }
  co_return Error();
}

void Verifier::add_name(KeyList& list, std::int32_t db, ByteView key) const {
  const Remap& remap = transform_.remap();
  KeyList::Entry entry;
  entry.db = remap.db(db);
  if (!remap.maps_keys()) return list.add(key, entry);
  list.add(remap.key(db, key), entry);
}

KeyList Verifier::mapped(const KeyList& keys) const {
  const Remap& remap = transform_.remap();
  if (!remap.maps_keys() && !remap.maps_databases()) return keys;
  KeyList out;
  for (std::size_t i = 0; i < keys.size(); ++i)
    add_name(out, keys[i].db, keys.name(i));
  return out;
}

}  // namespace keyferry
