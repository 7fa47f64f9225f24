#include "keyferry/cli/status_screen.hpp"

#include <iterator>
#include <map>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "keyferry/base/present.hpp"

namespace keyferry {
namespace {

namespace json = boost::json;

// Fields may be missing: the server may be of another version.
const json::value& field(const json::value& of, std::string_view name) {
  static const json::value nothing;
  const json::object* object = of.if_object();
  const json::value* found = object == nullptr ? nullptr : object->if_contains(name);
  return found == nullptr ? nothing : *found;
}

double number(const json::value& value) {
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  return value.is_double() ? value.get_double() : 0;
}

std::uint64_t count(const json::value& value) {
  const double given = number(value);
  return given > 0 ? static_cast<std::uint64_t>(given) : 0;
}

std::string text(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : std::string();
}

// Known -> shown by `show`, null -> "unknown".
template <class Show>
std::string or_unknown(const json::value& value, Show show) {
  return value.is_null() ? std::string("unknown") : show(number(value));
}

std::string bytes_of(double value) {
  return shown_bytes(static_cast<std::uint64_t>(value));
}

class Screen {
 public:
  template <class... Args>
  void line(std::string_view name, fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), "{:<10}{}\n", name,
                   fmt::format(format, std::forward<Args>(args)...));
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

void snapshot(const json::value& status, Screen& out) {
  const json::value& of = field(status, "snapshot");
  const std::uint64_t done = count(field(of, "keys_done"));
  const json::value& total = field(of, "keys_total");
  std::string progress = shown_count(done) + " keys";
  if (!total.is_null()) {
    const double part = number(total) > 0 ? static_cast<double>(done) / number(total) : 0;
    progress = fmt::format("{} {:.0f}%  {} of {} keys", shown_bar(part, 20), 100 * part,
                           shown_count(done), shown_count(count(total)));
  }
  const json::value& eta = field(of, "eta_s");
  const std::string left = eta.is_null() ? std::string() : "  eta " + shown_duration(number(eta));
  out.line("snapshot", "{}  {}{}", progress, shown_bytes(count(field(of, "bytes_done"))), left);
}

void stream(const json::value& status, Screen& out) {
  const json::value& lag = field(status, "lag");
  out.line("lag", "{}  {}", or_unknown(field(lag, "bytes"), bytes_of),
           or_unknown(field(lag, "ms"), [](double ms) { return shown_duration(ms / 1000); }));
  const json::value& of = field(status, "stream");
  out.line("stream", "{} commands/s  {}/s  offsets: applied {}  received {}  source {}",
           shown_rate(number(field(of, "commands_per_s"))),
           bytes_of(number(field(of, "bytes_per_s"))), count(field(of, "applied_offset")),
           count(field(of, "received_offset")), count(field(of, "source_offset")));
}

// Every counter that has counted something.
void counters(const json::value& status, Screen& out) {
  std::string shown;
  const json::value& of = field(status, "counters");
  if (const json::object* object = of.if_object()) {
    for (const auto& one : *object) {
      if (count(one.value()) == 0) continue;
      shown += fmt::format("{}{} {}", shown.empty() ? "" : "  ", std::string_view(one.key()),
                           shown_count(count(one.value())));
    }
  }
  out.line("counters", "{}", shown.empty() ? "none" : shown);
}

std::string used(const json::value& of) {
  return fmt::format("{} of {}", shown_bytes(count(field(of, "used_bytes"))),
                     shown_bytes(count(field(of, "max_bytes"))));
}

VerifySummary summary_of(const json::value& verify) {
  VerifySummary out;
  const auto is_true = [](const json::value& value) { return value.is_bool() && value.get_bool(); };
  out.attempt = count(field(verify, "attempt"));
  out.running = is_true(field(verify, "running"));
  out.level = text(field(verify, "level"));
  out.problem = text(field(verify, "problem"));
  out.seconds = number(field(verify, "seconds"));
  out.keys = count(field(verify, "keys"));
  out.keys_total = count(field(verify, "keys_total"));
  out.target_keys = count(field(verify, "target_keys"));
  for (std::size_t i = 0; i < difference_kinds; ++i)
    out.differences[i] = count(field(verify, to_string(static_cast<KeyFinding>(i))));
  out.changing = count(field(verify, "changing"));
  out.unreadable = count(field(verify, "unreadable"));
  out.repaired = count(field(verify, "repaired"));
  return out;
}

void verify(const json::value& status, Screen& out) {
  const VerifySummary last = summary_of(field(status, "verify"));
  if (last.attempt == 0) return;
  const char* const state = last.running            ? "under way"
                            : !last.problem.empty() ? "broke off"
                            : last.is_equal()       ? "equal"
                                                    : "DIFFERENT";
  out.line("verify", "{}  {} of {} keys  {} different  {} repaired", state, shown_count(last.keys),
           shown_count(last.keys_total), shown_count(last.different()), shown_count(last.repaired));
}

void shards(const json::value& status, Screen& out) {
  const json::array* all = field(status, "shards").if_array();
  if (all == nullptr) return;
  for (const json::value& shard : *all) {
    const json::value& waits = field(shard, "waits_for_turn");
    out.line("source", "{}  {}{}  replid {}", text(field(shard, "source")),
             text(field(shard, "phase")),
             waits.is_bool() && waits.get_bool() ? ", waits for its turn" : "",
             text(field(shard, "replid")));
    struct Sum {
      std::uint64_t lanes = 0, queued = 0, in_flight = 0;
    };
    std::map<std::string, Sum> targets;
    const json::array* lanes = field(shard, "lanes").if_array();
    for (std::size_t i = 0; lanes != nullptr && i < lanes->size(); ++i) {
      const json::value& lane = (*lanes)[i];
      Sum& sum = targets[text(field(lane, "target"))];
      ++sum.lanes;
      sum.queued += count(field(lane, "queued"));
      sum.in_flight += count(field(lane, "in_flight"));
    }
    for (const auto& [target, sum] : targets) {
      out.line("target", "{}  {} lanes  {} queued  {} in flight", target, sum.lanes, sum.queued,
               sum.in_flight);
    }
  }
}

}  // namespace

Result<std::string> status_screen(const std::string& body) {
  json::error_code ec;
  const json::value status = json::parse(body, ec);
  if (ec || !field(status, "phase").is_string()) {
    return Error(Errc::unreachable, "the answer is no status of keyferry");
  }
  Screen out;
  const json::value& synced = field(status, "synced");
  out.line("keyferry", "{}  {}{}  up {}", text(field(status, "version")),
           text(field(status, "phase")), synced.is_bool() && synced.get_bool() ? ", synced" : "",
           shown_duration(number(field(status, "uptime_s"))));
  shards(status, out);
  snapshot(status, out);
  stream(status, out);
  counters(status, out);
  out.line("memory", "{}  spool {}", used(field(status, "memory")), used(field(status, "spool")));
  verify(status, out);
  const std::string problem = text(field(status, "last_error"));
  out.line("error", "{}", problem.empty() ? "none" : problem);
  return out.take();
}

CutoverOutcome cutover_outcome(const std::string& body) {
  json::error_code ec;
  const json::value status = json::parse(body, ec);
  CutoverOutcome out;
  if (ec) return out;
  const json::value& cutover = field(status, "cutover");
  out.state = text(field(cutover, "state"));
  out.attempt = count(field(cutover, "attempt"));
  out.pause_ms = static_cast<std::int64_t>(count(field(cutover, "pause_ms")));
  out.sampled_keys = count(field(cutover, "sampled_keys"));
  out.problem = text(field(cutover, "problem"));
  return out;
}

LinkLag link_lag(const std::string& body) {
  json::error_code ec;
  const json::value status = json::parse(body, ec);
  LinkLag out;
  if (ec) return out;
  const std::string phase = text(field(status, "phase"));
  out.is_alive = !phase.empty() && phase != "stopped" && phase != "failed";
  const json::array* const shards = field(status, "shards").if_array();
  if (shards != nullptr && !shards->empty()) out.source = text(field(shards->front(), "source"));
  const json::value& ms = field(field(status, "lag"), "ms");
  if (!ms.is_null()) out.lag_ms = static_cast<std::int64_t>(number(ms));
  return out;
}

VerifySummary verify_outcome(const std::string& body) {
  json::error_code ec;
  const json::value status = json::parse(body, ec);
  return ec ? VerifySummary() : summary_of(field(status, "verify"));
}

}  // namespace keyferry
