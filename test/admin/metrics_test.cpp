#include "keyferry/admin/metrics.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include "keyferry/admin/version.hpp"

namespace keyferry {
namespace {

struct Exposition {
  std::map<std::string, std::string> types;    // family -> type
  std::map<std::string, std::string> samples;  // name{labels} -> value
  std::vector<std::string> problems;

  std::string value(const std::string& sample) const {
    const auto at = samples.find(sample);
    return at == samples.end() ? "absent" : at->second;
  }
};

std::string family_of(const Exposition& seen, const std::string& name) {
  if (seen.types.contains(name)) return name;
  for (const std::string suffix : {"_bucket", "_sum", "_count"}) {
    if (!name.ends_with(suffix)) continue;
    const std::string base = name.substr(0, name.size() - suffix.size());
    const auto at = seen.types.find(base);
    if (at != seen.types.end() && at->second == "histogram") return base;
  }
  return "";
}

// The end of the label set that opens at `at`, behind its brace; npos when it is not well formed.
std::size_t end_of_labels(const std::string& line, std::size_t at) {
  for (++at; at < line.size(); ++at) {
    at = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz", at);
    if (at == line.npos || line.compare(at, 2, "=\"") != 0) return line.npos;
    for (at += 2; at < line.size() && line[at] != '"'; ++at) {
      if (line[at] == '\\' && std::string("\\\"n").find(line[++at]) == line.npos) return line.npos;
    }
    if (++at < line.size() && line[at] == '}') return at + 1;
    if (at >= line.size() || line[at] != ',') return line.npos;
  }
  return line.npos;
}

void parse_sample(const std::string& line, Exposition& seen) {
  const std::size_t open = std::min(line.find('{'), line.size());
  const std::size_t end = end_of_labels(line, open);
  if (end == line.npos || end >= line.size() || line[end] != ' ') {
    seen.problems.push_back("not understood: " + line);
    return;
  }
  const std::string value = line.substr(end + 1);
  if (value.empty() || value.find_first_not_of("0123456789.e+-") != value.npos) {
    seen.problems.push_back("not a number: " + line);
  }
  if (family_of(seen, line.substr(0, open)).empty()) {
    seen.problems.push_back("sample without TYPE: " + line);
  }
  if (!seen.samples.emplace(line.substr(0, end), value).second) {
    seen.problems.push_back("duplicate: " + line);
  }
}

// A small reader of the text format 0.0.4; whatever does not fit lands in `problems`.
Exposition parse(const std::string& text) {
  Exposition seen;
  std::istringstream lines(text);
  std::string helped;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, kind, name, rest;
    words >> hash >> kind >> name >> rest;
    if (hash != "#") {
      parse_sample(line, seen);
    } else if (kind == "HELP" && !rest.empty()) {
      helped = name;
    } else if (kind == "TYPE" && (rest == "counter" || rest == "gauge" || rest == "histogram")) {
      if (name != helped) seen.problems.push_back("TYPE without HELP: " + line);
      if (!seen.types.emplace(name, rest).second) seen.problems.push_back("twice: " + line);
    } else {
      seen.problems.push_back("not understood: " + line);
    }
  }
  return seen;
}

Status full() {
  Status status;
  status.phase = Phase::steady;
  status.source = "h:1";
  status.lag_bytes = 12;
  status.lag_ms = 1500;
  status.snapshot_keys_total = 5;
  status.snapshot_bytes_total = 6;
  status.applied = 1;
  status.filtered = 2;
  status.skipped = 3;
  status.failed = 4;
  status.source_reconnects = 5;
  status.target_reconnects = 6;
  status.redirects = {{"MOVED", 7}, {"ASK", 8}};
  status.errors = {{"OOM", 9}};
  status.cross_slot = {{"mset", 10}};
  status.memory_used_bytes = 11;
  status.apply_latency.observe(0.0002, 3);
  status.apply_latency.observe(0.002, 2);
  status.apply_latency.observe(100, 1);
  return status;
}

TEST(Metrics, AreWellFormed) {
  const Exposition seen = parse(metrics_text(full()));

  EXPECT_EQ(seen.problems, std::vector<std::string>());
  EXPECT_GT(seen.samples.size(), 40U);
}

TEST(Metrics, EndCountersInTotalAndNothingElse) {
  const Exposition seen = parse(metrics_text(full()));

  for (const auto& [name, type] : seen.types) {
    EXPECT_EQ(type == "counter", name.ends_with("_total")) << name;
    EXPECT_TRUE(name.starts_with("keyferry_")) << name;
  }
}

TEST(Metrics, CarryTheValuesOfTheInterface) {
  const Exposition seen = parse(metrics_text(full()));

  EXPECT_EQ(seen.value(R"(keyferry_lag_bytes{shard="h:1"})"), "12");
  EXPECT_EQ(seen.value(R"(keyferry_lag_seconds{shard="h:1"})"), "1.5");
  EXPECT_EQ(seen.value(R"(keyferry_commands_total{shard="h:1",result="applied"})"), "1");
  EXPECT_EQ(seen.value(R"(keyferry_commands_total{shard="h:1",result="filtered"})"), "2");
  EXPECT_EQ(seen.value(R"(keyferry_commands_total{shard="h:1",result="skipped"})"), "3");
  EXPECT_EQ(seen.value(R"(keyferry_commands_total{shard="h:1",result="failed"})"), "4");
  EXPECT_EQ(seen.value(R"(keyferry_reconnects_total{shard="h:1",end="source"})"), "5");
  EXPECT_EQ(seen.value(R"(keyferry_reconnects_total{shard="h:1",end="target"})"), "6");
  EXPECT_EQ(seen.value(R"(keyferry_redirects_total{shard="h:1",kind="ASK"})"), "8");
  EXPECT_EQ(seen.value(R"(keyferry_errors_total{shard="h:1",kind="OOM"})"), "9");
  EXPECT_EQ(seen.value(R"(keyferry_cross_slot_total{shard="h:1",command="mset"})"), "10");
  EXPECT_EQ(seen.value(R"(keyferry_memory_bytes{shard="h:1"})"), "11");
  EXPECT_EQ(seen.value(R"(keyferry_snapshot_keys{shard="h:1"})"), "5");
  EXPECT_EQ(seen.value(R"(keyferry_snapshot_bytes{shard="h:1"})"), "6");
  const std::string build = std::string("keyferry_build_info{version=\"") + version() + "\"}";
  EXPECT_EQ(seen.value(build), "1");
}

TEST(Metrics, ShowExactlyOnePhaseAsCurrent) {
  const Exposition seen = parse(metrics_text(full()));

  EXPECT_EQ(seen.value(R"(keyferry_phase{shard="h:1",phase="steady"})"), "1");
  EXPECT_EQ(seen.value(R"(keyferry_phase{shard="h:1",phase="snapshot"})"), "0");
  EXPECT_EQ(seen.value(R"(keyferry_phase{shard="h:1",phase="failed"})"), "0");
}

TEST(Metrics, LeaveOutWhatIsUnknown) {
  const std::string text = metrics_text(Status());

  EXPECT_EQ(text.find("keyferry_lag_"), text.npos);
  EXPECT_EQ(text.find("keyferry_snapshot_keys{"), text.npos);
  EXPECT_EQ(text.find("keyferry_snapshot_bytes{"), text.npos);
}

TEST(Metrics, CumulateTheHistogramBuckets) {
  const Exposition seen = parse(metrics_text(full()));

  const std::string bucket = R"(keyferry_apply_latency_seconds_bucket{shard="h:1",le=")";
  EXPECT_EQ(seen.value(bucket + "0.0001\"}"), "0");
  EXPECT_EQ(seen.value(bucket + "0.00025\"}"), "3");
  EXPECT_EQ(seen.value(bucket + "0.0025\"}"), "5");
  EXPECT_EQ(seen.value(bucket + "30\"}"), "5");
  EXPECT_EQ(seen.samples.count(bucket + "+Inf\"}"), 1U);
  EXPECT_EQ(seen.value(bucket + "+Inf\"}"), "6");
  EXPECT_EQ(seen.value(R"(keyferry_apply_latency_seconds_count{shard="h:1"})"), "6");
}

// Every metric that interface, alerts and dashboard speak of exists.
std::set<std::string> names_in(const std::string& text) {
  static constexpr std::string_view prefix = "keyferry_";
  std::set<std::string> names;
  for (std::size_t at = text.find(prefix); at != text.npos; at = text.find(prefix, at + 1)) {
    const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at);
    std::string name = text.substr(at, end - at);
    if (name.ends_with("_bucket")) name.resize(name.size() - 7);
    names.insert(name);
  }
  return names;
}

std::string file(const std::string& path) {
  std::ifstream in(KEYFERRY_SOURCE_DIR + path);
  EXPECT_TRUE(in.is_open()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Metrics, HoldEveryNameOfAlertsAndDashboard) {
  const Exposition seen = parse(metrics_text(full()));
  for (const char* path : {"/config/prometheus/alerts.yml", "/config/grafana/keyferry.json"}) {
    const std::set<std::string> names = names_in(file(path));
    EXPECT_GT(names.size(), 8U) << path;
    for (const std::string& name : names)
      EXPECT_TRUE(seen.types.contains(name)) << name << " in " << path;
  }
}

TEST(Metrics, HoldEveryNameOfTheInterface) {
  const Exposition seen = parse(metrics_text(full()));
  for (const char* name : {"lag_bytes",
                           "lag_seconds",
                           "phase",
                           "commands_total",
                           "snapshot_keys_done_total",
                           "snapshot_bytes_done_total",
                           "snapshot_keys",
                           "snapshot_bytes",
                           "source_bytes_total",
                           "target_bytes_total",
                           "reconnects_total",
                           "redirects_total",
                           "full_resyncs_total",
                           "errors_total",
                           "cross_slot_total",
                           "suspect_keys",
                           "healed_keys_total",
                           "dead_letters_total",
                           "memory_bytes",
                           "spool_bytes",
                           "apply_latency_seconds",
                           "build_info"}) {
    EXPECT_TRUE(seen.types.contains(std::string("keyferry_") + name)) << name;
  }
}

TEST(Dashboard, IsJsonWithAQueryInEachPanel) {
  const boost::json::value dashboard = boost::json::parse(file("/config/grafana/keyferry.json"));
  const auto& panels = dashboard.at("panels").as_array();
  EXPECT_GT(panels.size(), 8U);
  for (const auto& panel : panels)
    EXPECT_FALSE(panel.at("targets").as_array().empty()) << panel.at("title");
}

TEST(Metrics, EscapeLabelValues) {
  Status status = full();
  status.errors = {{"a\"b\\c\nd", 1}};

  const Exposition seen = parse(metrics_text(status));

  EXPECT_EQ(seen.problems, std::vector<std::string>());
  EXPECT_EQ(seen.value(R"(keyferry_errors_total{shard="h:1",kind="a\"b\\c\nd"})"), "1");
}

}  // namespace
}  // namespace keyferry
