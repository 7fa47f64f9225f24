#include "keyferry/admin/status_json.hpp"

#include <cmath>

#include <boost/json/src.hpp>

#include "keyferry/admin/version.hpp"

namespace keyferry {
namespace {

namespace json = boost::json;

template <class T>
json::value or_null(const std::optional<T>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}

// Rates and estimates are shown whole: a digit behind the point would be noise.
json::value whole(double value) {
  return std::isfinite(value) ? json::value(std::llround(value)) : json::value(nullptr);
}

json::object lag(const Status& status) {
  return json::object{{"bytes", or_null(status.lag_bytes)}, {"ms", or_null(status.lag_ms)}};
}

json::object snapshot(const Status& status) {
  return json::object{
      {"keys_done", status.snapshot_keys_done},
      {"keys_total", or_null(status.snapshot_keys_total)},
      {"bytes_done", status.snapshot_bytes_done},
      {"bytes_total", or_null(status.snapshot_bytes_total)},
      {"eta_s", status.snapshot_eta_s ? whole(*status.snapshot_eta_s) : json::value(nullptr)}};
}

json::object stream(const Status& status) {
  return json::object{{"applied_offset", status.applied_offset},
                      {"received_offset", status.received_offset},
                      {"source_offset", status.source_offset},
                      {"commands_applied", status.commands_applied},
                      {"commands_per_s", whole(status.commands_per_s)},
                      {"bytes_per_s", whole(status.bytes_per_s)}};
}

json::object counters(const Status& status) {
  return json::object{{"applied", status.applied},
                      {"filtered", status.filtered},
                      {"skipped", status.skipped},
                      {"failed", status.failed},
                      {"retried", status.retried},
                      {"redirected", status.redirected},
                      {"reconnects", status.reconnects},
                      {"full_resyncs", status.full_resyncs},
                      {"transactions_split", status.transactions_split},
                      {"suspect_keys", status.suspect_keys},
                      {"healed_keys", status.healed_keys},
                      {"dead_letters", status.dead_letters}};
}

json::array lanes(const Status& status) {
  json::array all;
  for (const LaneStatus& lane : status.lanes) {
    all.push_back(json::object{
        {"target", lane.target}, {"queued", lane.queued}, {"in_flight", lane.in_flight}});
  }
  return all;
}

json::object shard(const Status& status) {
  return json::object{{"source", status.source},
                      {"replid", status.replid},
                      {"phase", to_string(status.phase)},
                      {"waits_for_turn", status.waits_for_turn},
                      {"lag", lag(status)},
                      {"lanes", lanes(status)}};
}

json::array shards(const Status& status) {
  json::array all;
  if (status.shards.empty()) all.push_back(shard(status));
  for (const Status& one : status.shards)
    all.push_back(shard(one));
  return all;
}

json::value cutover(const CutoverStatus& of) {
  if (of.state == CutoverStatus::State::none) return nullptr;
  return json::object{
      {"state", to_string(of.state)},
      {"attempt", of.attempt},
      {"pause_ms", of.pause_ms},
      {"sampled_keys", of.sampled_keys},
      {"problem", of.problem.empty() ? json::value(nullptr) : json::value(of.problem)}};
}

json::value verify(const VerifySummary& of) {
  if (of.attempt == 0) return nullptr;
  json::object out{{"attempt", of.attempt},
                   {"running", of.running},
                   {"level", of.level},
                   {"equal", of.is_equal()},
                   {"seconds", std::round(of.seconds * 10) / 10},
                   {"keys", of.keys},
                   {"keys_total", of.keys_total},
                   {"target_keys", of.target_keys}};
  for (std::size_t i = 0; i < difference_kinds; ++i)
    out[to_string(static_cast<KeyFinding>(i))] = of.differences[i];
  out["doubts"] = of.doubts;
  out["looks"] = of.looks;
  out["changing"] = of.changing;
  out["unreadable"] = of.unreadable;
  out["repaired"] = of.repaired;
  out["problem"] = of.problem.empty() ? json::value(nullptr) : json::value(of.problem);
  return out;
}

json::object used_of(std::uint64_t used_bytes, std::uint64_t max_bytes) {
  return json::object{{"used_bytes", used_bytes}, {"max_bytes", max_bytes}};
}

json::object scan(const ScanStatus& scan) {
  return json::object{{"db", scan.db},
                      {"percent", std::round(scan.percent * 10) / 10},
                      {"pending_keys", scan.pending_keys},
                      {"spilled_keys", scan.spilled_keys},
                      {"rescans", scan.rescans},
                      {"notifications", scan.notifications}};
}

}  // namespace

std::string status_json(const Status& status) {
  json::object document{
      {"version", version()},
      {"phase", to_string(status.phase)},
      {"synced", status.synced},
      {"uptime_s", std::round(status.uptime_s * 10) / 10},
      {"lag", lag(status)},
      {"clock_skew_ms", or_null(status.clock_skew_ms)},
      {"snapshot", snapshot(status)},
      {"stream", stream(status)},
      {"counters", counters(status)},
      {"memory", used_of(status.memory_used_bytes, status.memory_max_bytes)},
      {"spool", used_of(status.spool_used_bytes, status.spool_max_bytes)},
      {"shards", shards(status)},
      {"cutover", cutover(status.cutover)},
      {"verify", verify(status.verify)},
      {"last_dead_letters",
       json::array(status.last_dead_letters.begin(), status.last_dead_letters.end())},
      {"limits", json::object{{"target_ops_per_s", status.limits.target_ops_per_s},
                              {"target_bytes_per_s", status.limits.target_bytes_per_s},
                              {"source_bytes_per_s", status.limits.source_bytes_per_s}}},
      {"last_error", or_null(status.last_error)}};
  if (status.scan) document["scan"] = scan(*status.scan);
  return json::serialize(document);
}

}  // namespace keyferry
