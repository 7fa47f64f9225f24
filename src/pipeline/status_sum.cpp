// Several links that run together, as one.
#include <algorithm>

#include "keyferry/pipeline/status.hpp"

namespace keyferry {
namespace {

template <class T>
void add(std::optional<T>& sum, const std::optional<T>& one) {
  if (!sum || !one) {
    sum.reset();
  } else {
    *sum += *one;
  }
}

template <class T>
void raise(std::optional<T>& most, const std::optional<T>& one) {
  if (one && (!most || *most < *one)) most = one;
}

void add(std::vector<NamedCount>& sum, const std::vector<NamedCount>& more) {
  for (const NamedCount& one : more) {
    const auto at = std::find_if(sum.begin(), sum.end(),
                                 [&](const NamedCount& known) { return known.name == one.name; });
    if (at == sum.end()) {
      sum.push_back(one);
    } else {
      at->count += one.count;
    }
  }
}

void add(LatencyHistogram& sum, const LatencyHistogram& more) {
  for (std::size_t i = 0; i < sum.counts.size(); ++i)
    sum.counts[i] += more.counts[i];
  sum.sum_s += more.sum_s;
  sum.count += more.count;
}

// The first of these that any of them is in; the order of declaration is the way of a link.
Phase phase_of(const std::vector<Status>& shards) {
  constexpr std::array order = {Phase::failed,     Phase::draining,  Phase::paused,
                                Phase::connecting, Phase::handshake, Phase::snapshot,
                                Phase::catch_up,   Phase::steady};
  for (const Phase phase : order) {
    const auto is_in = [phase](const Status& one) { return one.phase == phase; };
    if (std::any_of(shards.begin(), shards.end(), is_in)) return phase;
  }
  return Phase::stopped;
}

void add_counts(Status& sum, const Status& one) {
  constexpr std::array counts = {&Status::snapshot_keys_done,
                                 &Status::snapshot_bytes_done,
                                 &Status::commands_applied,
                                 &Status::applied,
                                 &Status::filtered,
                                 &Status::skipped,
                                 &Status::failed,
                                 &Status::retried,
                                 &Status::redirected,
                                 &Status::reconnects,
                                 &Status::full_resyncs,
                                 &Status::transactions_split,
                                 &Status::dead_letters,
                                 &Status::suspect_keys,
                                 &Status::healed_keys,
                                 &Status::source_reconnects,
                                 &Status::target_reconnects,
                                 &Status::source_bytes,
                                 &Status::target_bytes,
                                 &Status::memory_used_bytes,
                                 &Status::memory_max_bytes,
                                 &Status::spool_used_bytes,
                                 &Status::spool_max_bytes};
  for (const auto count : counts)
    sum.*count += one.*count;
  for (const auto offset :
       {&Status::applied_offset, &Status::received_offset, &Status::source_offset})
    sum.*offset += one.*offset;
  sum.commands_per_s += one.commands_per_s;
  sum.bytes_per_s += one.bytes_per_s;
  add(sum.redirects, one.redirects);
  add(sum.filtered_by, one.filtered_by);
  add(sum.errors, one.errors);
  add(sum.cross_slot, one.cross_slot);
  add(sum.apply_latency, one.apply_latency);
  sum.limits.target_ops_per_s += one.limits.target_ops_per_s;
  sum.limits.target_bytes_per_s += one.limits.target_bytes_per_s;
  sum.limits.source_bytes_per_s += one.limits.source_bytes_per_s;
}

}  // namespace

Status sum_of(std::vector<Status> shards) {
  Status sum;
  sum.phase = phase_of(shards);
  sum.synced = sum.is_streaming = sum.source_link_up = !shards.empty();
  if (!shards.empty()) {
    sum.lag_bytes = 0;
    sum.snapshot_keys_total = sum.snapshot_bytes_total = 0;
  }
  bool knows_lag = true;
  for (const Status& one : shards) {
    add_counts(sum, one);
    sum.synced = sum.synced && one.synced;
    sum.is_streaming = sum.is_streaming && one.is_streaming;
    sum.source_link_up = sum.source_link_up && one.source_link_up;
    add(sum.lag_bytes, one.lag_bytes);
    knows_lag = knows_lag && one.lag_ms.has_value();
    raise(sum.lag_ms, one.lag_ms);
    add(sum.snapshot_keys_total, one.snapshot_keys_total);
    add(sum.snapshot_bytes_total, one.snapshot_bytes_total);
    raise(sum.snapshot_eta_s, one.snapshot_eta_s);
    const auto skew = [](const Status& of) { return std::abs(of.clock_skew_ms.value_or(0)); };
    if (one.clock_skew_ms && (!sum.clock_skew_ms || skew(one) > skew(sum)))
      sum.clock_skew_ms = one.clock_skew_ms;
    if (one.last_error) sum.last_error = one.last_error;
    sum.last_dead_letters.insert(sum.last_dead_letters.end(), one.last_dead_letters.begin(),
                                 one.last_dead_letters.end());
    sum.lanes.insert(sum.lanes.end(), one.lanes.begin(), one.lanes.end());
  }
  if (!knows_lag) sum.lag_ms.reset();
  sum.shards = std::move(shards);
  return sum;
}

}  // namespace keyferry
