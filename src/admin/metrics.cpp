#include "keyferry/admin/metrics.hpp"

#include <algorithm>
#include <deque>
#include <iterator>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "keyferry/admin/version.hpp"

namespace keyferry {
namespace {

// Label values: backslash, quote and line feed are escaped (Prometheus text format 0.0.4,
// "Comments, help text...").
std::string label_value(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

// Builds the text family by family; every sample carries the shard, and those of all shards stand
// together.
class MetricsWriter {
 public:
  void shard(const Status& status) { shard_ = label_value(status.source); }

  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    const auto known = std::find_if(families_.begin(), families_.end(),
                                    [&](const auto& one) { return one.first == name; });
    if (known != families_.end()) {
      out_ = &known->second;
      return;
    }
    out_ = &families_.emplace_back(name, std::string()).second;
    fmt::format_to(end(), "# HELP keyferry_{0} {2}\n# TYPE keyferry_{0} {1}\n", name, type, help);
  }
  template <class Number>
  void sample(Number value) {
    fmt::format_to(end(), "keyferry_{}{{shard=\"{}\"}} {}\n", name_, shard_, value);
  }
  template <class Number>
  void sample(std::string_view label, std::string_view text, Number value,
              std::string_view suffix = {}) {
    fmt::format_to(end(), "keyferry_{}{}{{shard=\"{}\",{}=\"{}\"}} {}\n", name_, suffix, shard_,
                   label, label_value(text), value);
  }
  template <class Number>
  void single(std::string_view name, std::string_view type, std::string_view help, Number value) {
    family(name, type, help);
    sample(value);
  }
  void named(std::string_view name, std::string_view label, std::string_view help,
             const std::vector<NamedCount>& counts) {
    family(name, "counter", help);
    for (const NamedCount& count : counts)
      sample(label, count.name, count.count);
  }
  void histogram(const LatencyHistogram& histogram) {
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < histogram.bounds_s.size(); ++i) {
      below += histogram.counts[i];
      sample("le", fmt::format("{}", histogram.bounds_s[i]), below, "_bucket");
    }
    sample("le", "+Inf", histogram.count, "_bucket");
    fmt::format_to(end(), "keyferry_{}_sum{{shard=\"{}\"}} {}\n", name_, shard_, histogram.sum_s);
    fmt::format_to(end(), "keyferry_{}_count{{shard=\"{}\"}} {}\n", name_, shard_, histogram.count);
  }
  void build_info() {
    family("build_info", "gauge", "Constant 1; the version is the label.");
    fmt::format_to(end(), "keyferry_build_info{{version=\"{}\"}} 1\n", label_value(version()));
  }
  std::string take() const {
    std::string all;
    for (const auto& [name, text] : families_)
      all += text;
    return all;
  }

 private:
  std::back_insert_iterator<std::string> end() { return std::back_inserter(*out_); }

  std::string shard_;
  std::string_view name_;
  std::string* out_ = nullptr;  // of the family under way
  std::deque<std::pair<std::string_view, std::string>> families_;
};

void state(const Status& status, MetricsWriter& out) {
  out.family("phase", "gauge", "1 for the phase the link is in, 0 for the others.");
  for (const Phase phase : all_phases) {
    out.sample("phase", to_string(phase), phase == status.phase ? 1 : 0);
  }
  out.single("synced", "gauge", "1 when the target has everything the source had.",
             status.synced ? 1 : 0);
  if (status.lag_bytes) {
    out.single("lag_bytes", "gauge", "Stream bytes not yet applied to the target.",
               *status.lag_bytes);
  }
  if (status.lag_ms) {
    out.single("lag_seconds", "gauge", "Age of the oldest change not yet applied.",
               static_cast<double>(*status.lag_ms) / 1000);
  }
  out.single("memory_bytes", "gauge", "Memory in use of the budget.", status.memory_used_bytes);
  out.single("memory_max_bytes", "gauge", "The memory budget.", status.memory_max_bytes);
  out.single("spool_bytes", "gauge", "Disk space in use by the spool.", status.spool_used_bytes);
  out.single("spool_max_bytes", "gauge", "The most the spool may use.", status.spool_max_bytes);
}

void snapshot(const Status& status, MetricsWriter& out) {
  out.single("snapshot_keys_done_total", "counter", "Snapshot keys applied.",
             status.snapshot_keys_done);
  out.single("snapshot_bytes_done_total", "counter", "Snapshot bytes read.",
             status.snapshot_bytes_done);
  if (status.snapshot_keys_total) {
    out.single("snapshot_keys", "gauge", "Keys the source announced.", *status.snapshot_keys_total);
  }
  if (status.snapshot_bytes_total) {
    out.single("snapshot_bytes", "gauge", "Snapshot bytes the source announced.",
               *status.snapshot_bytes_total);
  }
}

void traffic(const Status& status, MetricsWriter& out) {
  out.family("commands_total", "counter", "Commands and snapshot keys by how they ended.");
  out.sample("result", "applied", status.applied);
  out.sample("result", "filtered", status.filtered);
  out.sample("result", "skipped", status.skipped);
  out.sample("result", "failed", status.failed);
  out.single("retries_total", "counter", "Commands sent again.", status.retried);
  out.single("source_bytes_total", "counter", "Bytes read from the source.", status.source_bytes);
  out.single("target_bytes_total", "counter", "Bytes sent to the target.", status.target_bytes);
  out.single("transactions_split_total", "counter", "Transactions split by slot.",
             status.transactions_split);
  out.named("filtered_total", "reason",
            "Commands and snapshot keys held back by a rule, by reason (part: only some keys).",
            status.filtered_by);
  out.named("cross_slot_total", "command", "Commands over several slots, by name.",
            status.cross_slot);
  out.family("apply_latency_seconds", "histogram", "From received to acknowledged by the target.");
  out.histogram(status.apply_latency);
}

void trouble(const Status& status, MetricsWriter& out) {
  out.family("reconnects_total", "counter", "Connections made again.");
  out.sample("end", "source", status.source_reconnects);
  out.sample("end", "target", status.target_reconnects);
  out.named("redirects_total", "kind", "Redirections by the target cluster.", status.redirects);
  out.named("errors_total", "kind", "Error replies of the target.", status.errors);
  out.single("full_resyncs_total", "counter", "Full synchronisations.", status.full_resyncs);
  out.single("dead_letters_total", "counter", "Commands written to the dead-letter file.",
             status.dead_letters);
  out.single("suspect_keys", "gauge", "Keys whose value is in doubt and not healed yet.",
             status.suspect_keys);
  out.single("healed_keys_total", "counter", "Keys copied again because they were in doubt.",
             status.healed_keys);
}

void verify(const VerifySummary& verify, MetricsWriter& out) {
  out.single("verify_running", "gauge", "Whether both ends are being compared.",
             std::uint64_t{verify.running});
  out.single("verify_keys", "gauge", "Keys that the last comparison has looked at.", verify.keys);
  out.family("verify_differences", "gauge", "What the last comparison found, by kind.");
  for (std::size_t i = 0; i < difference_kinds; ++i)
    out.sample("kind", to_string(static_cast<KeyFinding>(i)), verify.differences[i]);
  out.single("verify_repaired", "gauge", "Of these, what is equal by now.", verify.repaired);
}

void scan(const ScanStatus& scan, MetricsWriter& out) {
  out.single("scan_pending_keys", "gauge", "Keys that changed and are not copied again yet.",
             scan.pending_keys);
  out.single("scan_spilled_keys", "gauge", "Pending keys that wait on disk.", scan.spilled_keys);
  out.single("scan_progress_ratio", "gauge", "How much of the pass under way is done.",
             scan.percent / 100);
  out.single("scan_rescans_total", "counter", "Passes over the source after the first one.",
             scan.rescans);
  out.single("scan_notifications_total", "counter", "Keyspace events received.",
             scan.notifications);
}

}  // namespace

std::string metrics_text(const Status& status) {
  MetricsWriter out;
  out.build_info();
  // Sums are the reader's to make.
  const std::span<const Status> alone(&status, 1);
  for (const Status& one : status.shards.empty() ? alone : std::span(status.shards)) {
    out.shard(one);
    state(one, out);
    snapshot(one, out);
    traffic(one, out);
    trouble(one, out);
    if (one.scan) scan(*one.scan, out);
    if (one.verify.attempt > 0) verify(one.verify, out);
  }
  if (!status.shards.empty() && status.verify.attempt > 0) {
    out.shard(status);
    verify(status.verify, out);
  }
  return out.take();
}

}  // namespace keyferry
