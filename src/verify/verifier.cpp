#include "keyferry/verify/verifier.hpp"

#include <algorithm>

#include "keyferry/base/checksum.hpp"
#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/sink/topology.hpp"
#include "keyferry/source/source_watch.hpp"
#include "page.hpp"

namespace keyferry {
namespace {

constexpr std::size_t pages_max = 4;
constexpr std::size_t comparers = 2;  // so that one page is asked for while another is compared
constexpr std::size_t doubts_max_bytes = 24 * 1024 * 1024;
constexpr std::int64_t give_up_after_ms = 10'000;
constexpr std::int64_t scan_keys = 1000;

Doubts::Schedule schedule_of(const Options& options) {
  Doubts::Schedule schedule;
  schedule.wait = Millis(options.verify_recheck_wait_ms);
  schedule.strikes = static_cast<int>(options.verify_rechecks);
  return schedule;
}

}  // namespace

Verifier::Verifier(const asio::any_io_executor& executor, const Options& options, VerifyPlan plan)
    : executor_(executor),
      options_(options),
      plan_(plan),
      source_(executor, options.source),
      target_(executor, options.target),
      scope_(executor),
      page_ready_(executor),
      page_room_(executor),
      doubt_ready_(executor),
      doubts_(schedule_of(options), doubts_max_bytes),
      rate_(options.verify_keys_per_s) {
  summary_.level = to_string(plan.level);
}

Verifier::~Verifier() = default;

Task<Error> Verifier::run() {
  began_ = Clock::now();
  summary_.running = true;
  Error error = compile_rules();
  if (!error) error = co_await open_ends();
  if (!error) {
    walking_ = source_.nodes();
    sweeping_ = target_.nodes();
    comparing_ = comparers;
    scope_.on_error([this](const Error&) { stop(); });
    for (std::size_t i = 0; i < source_.nodes(); ++i)
      scope_.spawn(walk(i));
    for (std::size_t i = 0; i < target_.nodes(); ++i)
      scope_.spawn(sweep(i));
    for (std::size_t i = 0; i < comparers; ++i)
      scope_.spawn(compare());
    scope_.spawn(settle());
    error = co_await scope_.join();
  }
  if (!error && stopping_) error = Error(Errc::cancelled, "stopped");
  summary_ = summary();
  summary_.running = false;
  summary_.problem = error.what;
  co_return error;
}

void Verifier::stop() {
  stopping_ = true;
  page_ready_.notify();
  page_room_.notify();
  doubt_ready_.notify();
}

VerifySummary Verifier::summary() const {
  VerifySummary now = summary_;
  if (!now.running) return now;
  now.doubts = doubts_.size();
  now.seconds = static_cast<double>(elapsed_ms(began_, Clock::now())) / 1000;
  return now;
}

Error Verifier::compile_rules() {
  Result<Transform> compiled = Transform::compile(options_);
  if (!compiled) return compiled.error();
  transform_ = std::move(*compiled);
  if (transform_.has_script())
    return {Errc::usage,
            "what a script makes of the data cannot be compared (transform.script.file)"};
  if (transform_.filter().judges_values() && !compares_values()) {
    log_info("verify: level digest, since the filter looks at values");
    plan_.level = VerifyLevel::digest;
    summary_.level = to_string(plan_.level);
  }
  rules_.level = plan_.level;
  rules_.ttl_tolerance_ms = options_.verify_ttl_tolerance_ms;
  if (transform_.is_active()) rules_.remap = &transform_.remap();
  return Error();
}

Task<Error> Verifier::open_ends() {
  Error error = co_await source_.refresh();
  if (error) co_return with_context("source " + redacted(options_.source.uri), std::move(error));
  error = co_await target_.refresh();
  if (error) co_return with_context("target " + redacted(options_.target.uri), std::move(error));
  for (std::size_t i = 0; i < source_.nodes(); ++i) {
    auto dbs = co_await databases(source_, i);
    if (!dbs) co_return with_context("source", dbs.error());
    for (const ScanPass::Database& db : *dbs)
      summary_.keys_total += db.keys;
  }
  co_return Error();
}

Task<Result<RespValue>> Verifier::call(const KeyPlaces& places, HostPort host, Bytes command) {
  Connection connection(executor_);
  Error error = co_await connection.open(places.options(), std::move(host), "verify");
  if (error) co_return error;
  co_return co_await connection.call(std::move(command), Millis(places.options().reply_timeout_ms));
}

Task<Result<std::vector<ScanPass::Database>>> Verifier::databases(const KeyPlaces& places,
                                                                  std::size_t node) {
  Bytes command = make_command({"INFO", "keyspace"});
  auto info = co_await call(places, places.host(node), std::move(command));
  if (!info) co_return info.error();
  if (info->is_error()) co_return Error(Errc::refused_by_peer, "INFO: " + info->text);
  std::vector<ScanPass::Database> out;
  for (const auto& [number, keys] : read_source(info->text).keys) {
    ScanPass::Database& db = out.emplace_back();
    db.db = number;
    db.keys = keys;
  }
  co_return out;
}

// All keys of one node of the source, page by page.
Task<Error> Verifier::walk(std::size_t node) {
  const HostPort host = source_.host(node);
  auto dbs = co_await databases(source_, node);
  if (!dbs) co_return with_context("source", dbs.error());
  DirtyKeys none(1);
  KeyScanner::Limits limits;
  limits.page_keys = scan_keys;
  limits.big_bytes = compares_values() ? KeyReader::big_bytes : 0;  // 0: only the names
  KeyScanner scanner(executor_, options_.source, limits, none);
  scanner.wants = [this](std::int32_t db, ByteView key) { return wants(db, key); };
  scanner.begin(ScanPass(std::move(*dbs)));
  auto page = std::make_unique<Page>();
  bool is_over = false;
  while (!is_over && !stopping_) {
    Error error = co_await fetch_into(scanner, host, *page, is_over);
    if (error) co_return with_context("source", std::move(error));
    if (!page->is_full() && !is_over) continue;
    error = co_await hand_over(std::move(page));
    if (error) co_return error;
    page = std::make_unique<Page>();
  }
  --walking_;
  page_ready_.notify();
  doubt_ready_.notify();
  co_return Error();
}

Task<Error> Verifier::fetch_into(KeyScanner& scanner, HostPort host, Page& page, bool& is_over) {
  const TimePoint begin = Clock::now();
  Backoff backoff(Millis(20), Millis(1000));
  while (!stopping_) {
    Error error;
    if (!scanner.is_open()) error = co_await scanner.open(host, false);
    if (!error) {
      auto keys = co_await scanner.fetch();
      if (keys) {
        is_over = keys->empty();
        take(*keys, page);
        break;
      }
      error = keys.error();
    }
    const bool gives_up = elapsed_ms(begin, Clock::now()) > give_up_after_ms;
    if (gives_up || !error.is(Errc::unreachable)) co_return error;
    co_await sleep_for(backoff.next());
  }
  co_return Error();
}

void Verifier::take(std::span<const ReadKey> keys, Page& page) {
  for (const ReadKey& key : keys) {
    KeyList::Entry entry;
    entry.db = key.db;
    Page::Item item;
    switch (key.kind) {
      case ReadKey::Kind::value:
        if (!admits(key.db, key.key, key.payload, key.expire_ms)) continue;
        item.expire_ms = key.expire_ms;
        item.at = page.payloads.size();
        item.size = key.payload.size();
        page.payloads += key.payload;
        break;
      case ReadKey::Kind::gone:
        continue;
      case ReadKey::Kind::big:
        if (compares_values()) item.state = KeyLook::State::big;
        break;
      case ReadKey::Kind::moved:
        item.state = KeyLook::State::moved;
        break;
      case ReadKey::Kind::refused:
        item.state = KeyLook::State::refused;
        break;
    }
    page.keys.add(key.key, entry);
    page.items.push_back(item);
  }
}

Task<Error> Verifier::hand_over(std::unique_ptr<Page> page) {
  co_await wait_for_share(page->keys.size());
  while ((pages_.size() >= pages_max || doubts_.is_full()) && !stopping_)
    co_await page_room_.wait_for(Millis(1000));
  pages_.push_back(std::move(page));
  page_ready_.notify();
  co_return Error();
}

Task<void> Verifier::wait_for_share(std::size_t keys) {
  if (!rate_.is_set()) co_return;
  rate_.spend(static_cast<std::int64_t>(keys), Clock::now());
  while (!stopping_) {
    const Millis wait = rate_.wait(Clock::now());
    if (wait <= Millis(0)) co_return;
    co_await page_room_.wait_for(std::min(wait, Millis(100)));
  }
}

bool Verifier::is_in_sample(ByteView key) const {
  if (plan_.part >= 1) return true;
  constexpr double largest = 18446744073709551616.0;  // 2^64
  ValueDigester name(ValueKind::unknown, 0);
  name.add_raw(std::to_string(plan_.seed));
  name.add_raw(key);
  return static_cast<double>(name.digest().hash) < plan_.part * largest;
}

bool Verifier::wants(std::int32_t db, ByteView key) const {
  if (is_own_key(key) || !is_in_sample(key)) return false;
  return !transform_.is_active() || transform_.filter().on_name(db, key).keeps();
}

// Whether the link carries this value.
bool Verifier::admits(std::int32_t db, ByteView key, ByteView payload,
                      std::int64_t expire_ms) const {
  if (!transform_.is_active() || !transform_.filter().is_active()) return true;
  constexpr std::size_t frame = 11;  // type, version and checksum
  KeyFacts facts;
  facts.db = db;
  facts.key = key;
  facts.kind = value_kind_of_payload(payload);
  facts.bytes = payload.size() - std::min(payload.size(), frame);
  facts.never_expires = expire_ms == 0;
  if (expire_ms > 0) facts.ttl_ms = expire_ms - unix_now_ms();
  return transform_.filter().on_key(facts).keeps();
}

// Keys of one node of the target that the source may lack.
Task<Error> Verifier::sweep(std::size_t node) {
  const HostPort host = target_.host(node);
  auto dbs = co_await databases(target_, node);
  if (!dbs) co_return with_context("target", dbs.error());
  Connection connection(executor_);
  for (const ScanPass::Database& db : *dbs) {
    Error error = co_await sweep_db(connection, host, db.db);
    if (error) co_return error;
  }
  --sweeping_;
  doubt_ready_.notify();
  co_return Error();
}

Task<Error> Verifier::sweep_db(Connection& connection, HostPort host, std::int32_t db) {
  const Millis limit(options_.target.reply_timeout_ms);
  KeyReader source(source_, VerifyLevel::exists, "verify");
  Backoff backoff(Millis(20), Millis(1000));
  TimePoint healthy = Clock::now();
  std::string cursor = "0";
  bool is_open = false;
  do {
    Error error;
    if (!is_open) {
      error = co_await connection.open(options_.target, host, "verify");
      if (!error && db != 0) {
        Bytes select = make_command({"SELECT", std::to_string(db)});
        auto selected = co_await connection.call(std::move(select), limit);
        if (!selected) error = selected.error();
      }
    }
    is_open = !error;
    Bytes scan = make_command({"SCAN", cursor, "COUNT", std::to_string(scan_keys)});
    Result<RespValue> page = error;
    if (is_open) page = co_await connection.call(std::move(scan), limit);
    is_open = page.has_value();
    if (!page) {
      const bool gives_up = elapsed_ms(healthy, Clock::now()) > give_up_after_ms;
      if (gives_up || !page.error().is(Errc::unreachable))
        co_return with_context("target", page.error());
      co_await sleep_for(backoff.next());
      continue;
    }
    if (page->items.size() != 2)
      co_return Error(Errc::refused_by_peer, "target: SCAN: " + escaped(page->text));
    healthy = Clock::now();
    cursor = page->items[0].text;
    error = co_await sweep_page(source, db, page->items[1]);
    if (error) co_return error;
  } while (cursor != "0" && !stopping_);
  co_return Error();
}

// Each name may have come from several of the source's (transform/remap); it is extra when there is
// none of them.
Task<Error> Verifier::sweep_page(KeyReader& source, std::int32_t db, const RespValue& keys) {
  KeyList origins;
  std::vector<std::size_t> ends;  // one past the origins of each name
  KeyList::Entry entry;
  for (const RespValue& key : keys.items) {
    if (is_own_key(key.text)) continue;
    if (!transform_.remap().maps_keys() && !transform_.remap().maps_databases()) {
      entry.db = db;
      if (wants(db, key.text)) origins.add(key.text, entry);
    } else {
      for (const auto& [from, name] : transform_.remap().origins(db, key.text)) {
        entry.db = from;
        if (wants(from, name)) origins.add(name, entry);
      }
    }
    const std::size_t begin = ends.empty() ? 0 : ends.back();
    if (origins.size() > begin) ends.push_back(origins.size());
  }
  if (ends.empty()) co_return Error();
  while (doubts_.is_full() && !stopping_)
    co_await page_room_.wait_for(Millis(1000));
  auto looks = co_await source.read(origins);
  if (!looks) co_return with_context("source", looks.error());
  summary_.target_keys += ends.size();
  std::size_t at = 0;
  for (const std::size_t end : ends) {
    bool is_known = false;
    for (std::size_t i = at; i < end; ++i)
      is_known = is_known || (*looks)[i].state == KeyLook::State::here;
    Doubt what;
    what.source.state = Reading::State::gone;
    if (!is_known) doubt(origins[at].db, origins.name(at), std::move(what));
    at = end;
  }
  co_return Error();
}

}  // namespace keyferry
