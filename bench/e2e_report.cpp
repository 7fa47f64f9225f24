#include "e2e_report.hpp"

#include <algorithm>
#include <array>

#include <fmt/core.h>

namespace keyferry::bench {
namespace {

struct Column {
  double Figures::*value;
  const char* heading;
  const char* json;  // "": cpu_us_key or cpu_us_op
  int digits;
};
constexpr std::array<Column, 6> columns = {{{&Figures::wall_s, "wall s", "wall", 2},
                                            {&Figures::cpu_us, "CPU us", "", 2},
                                            {&Figures::rss_mib, "RSS MiB", "rss_mb", 1},
                                            {&Figures::disk_mib, "disk MiB", "disk_mb", 2},
                                            {&Figures::p50_ms, "p50 ms", "p50_ms", 3},
                                            {&Figures::p99_ms, "p99 ms", "p99_ms", 3}}};

Figures ratio(const Figures& keyferry, const Figures& native) {
  Figures result;
  for (const Column& column : columns)
    result.*column.value = keyferry.*column.value / native.*column.value;
  return result;
}

// digits < 0: those of the column.
std::string row(const char* name, const Figures& figures, int digits = -1) {
  std::string line = fmt::format("  {:<10}", name);
  for (const Column& column : columns) {
    const double value = figures.*column.value;
    line += std::isfinite(value)
                ? fmt::format("{:>10.{}f}", value, digits < 0 ? column.digits : digits)
                : fmt::format("{:>10}", "-");
  }
  return line + "\n";
}

bool is_of_keys(const std::string& scenario) {
  return scenario == "snapshot" || scenario == "verify";
}

std::string object(const std::string& scenario, const Figures& figures) {
  std::string text;
  for (const Column& column : columns) {
    const std::string name = *column.json != '\0'   ? column.json
                             : is_of_keys(scenario) ? "cpu_us_key"
                                                    : "cpu_us_op";
    const double value = figures.*column.value;
    text += fmt::format("{}\"{}\": {}", text.empty() ? "{" : ", ", name,
                        std::isfinite(value) ? fmt::format("{:.4f}", value) : "null");
  }
  return text + "}";
}

std::string what(const std::string& scenario, const Config& config) {
  if (config.scan) return fmt::format("scan of {} mixed keys", config.keys);
  if (scenario == "snapshot") return fmt::format("snapshot of {} mixed keys", config.keys);
  if (scenario == "verify") return fmt::format("comparing {} mixed keys", config.keys);
  if (scenario == "stream") return fmt::format("catch-up of {} SETs", config.ops);
  return fmt::format("write-to-visible lag, {} writes at 500/s", config.samples);
}

const char* target_name(const Config& config) {
  return config.cluster ? "cluster" : "standalone";
}

}  // namespace

Figures median(const std::vector<Figures>& runs) {
  Figures result;
  for (const Column& column : columns) {
    std::vector<double> values;
    for (const Figures& run : runs) {
      if (std::isfinite(run.*column.value)) values.push_back(run.*column.value);
    }
    if (values.empty()) continue;
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    result.*column.value =
        values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  }
  return result;
}

std::string as_table(const std::string& scenario, const Config& config, const Runs& runs) {
  const Figures keyferry = median(runs.keyferry);
  const Figures native = median(runs.native);
  std::string text = fmt::format("{}, target {}, median of {}\n", what(scenario, config),
                                 target_name(config), config.repeats);
  text += fmt::format("  {:<10}", "");
  for (const Column& column : columns)
    text += fmt::format("{:>10}", column.heading);
  text += "\n" + row("keyferry", keyferry) + row(config.scan ? "raw scan" : "native", native) +
          row("ratio", ratio(keyferry, native), 2);
  if (!config.scan) return text;
  const auto keys = static_cast<double>(config.keys);
  return text + fmt::format("  keys/s: keyferry {:.0f}, redis-cli --scan (names only) {:.0f}\n",
                            keys / keyferry.wall_s, keys / native.wall_s);
}

std::string as_json(const std::string& scenario, const Config& config, const Runs& runs) {
  const Figures keyferry = median(runs.keyferry);
  const Figures native = median(runs.native);
  const std::size_t size = is_of_keys(scenario)   ? config.keys
                           : scenario == "stream" ? config.ops
                                                  : config.samples;
  return fmt::format(R"({{"scenario": "{}", "target": "{}", "size": {}, "repeats": {}, )"
                     R"("keyferry": {}, "native": {}, "ratio": {}}})",
                     scenario, target_name(config), size, config.repeats,
                     object(scenario, keyferry), object(scenario, native),
                     object(scenario, ratio(keyferry, native)));
}

}  // namespace keyferry::bench
