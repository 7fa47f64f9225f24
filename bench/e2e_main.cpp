// bench/e2e: keyferry against a native replica (REPLICAOF) on real servers, side by side in one
// run, because only ratios of one run mean anything on a noisy machine. bench/README.md says what
// is measured and how. Progress goes to stderr. Exit 0: measured, whatever the figures are.
#include <array>
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "e2e_report.hpp"
#include "e2e_scenarios.hpp"

namespace keyferry::bench {
namespace {

struct Scenario {
  std::string name;
  Runs (*measure)(const Config&);
};
const std::array<Scenario, 4> scenarios = {{{"snapshot", measure_snapshot},
                                            {"stream", measure_stream},
                                            {"lag", measure_lag},
                                            {"verify", measure_verify}}};

void add_options(CLI::App& app, Config& config, std::string& target, std::string& mode) {
  app.add_option("--scenario", config.scenario, "one of them instead of all")
      ->check(CLI::IsMember({"snapshot", "stream", "lag", "verify"}));
  app.add_option("--target", target, "what keyferry writes to")
      ->check(CLI::IsMember({"standalone", "cluster"}))
      ->capture_default_str();
  app.add_option("--mode", mode, "how keyferry reads the source; scan: snapshot only")
      ->check(CLI::IsMember({"psync", "scan"}))
      ->capture_default_str();
  app.add_flag("--increments", config.increments, "stream: INCRs instead of SETs");
  app.add_flag("--exactly-once", config.exactly_once, "delivery.mode (else at_least_once)");
  app.add_flag("--json", config.json, "one JSON object instead of tables");
  app.add_option("--keyferry", config.keyferry, "another build of it, to compare")
      ->check(CLI::ExistingFile);
  const auto add_size = [&app](const char* name, std::size_t& value, const char* text) {
    app.add_option(name, value, text)->check(CLI::PositiveNumber)->capture_default_str();
  };
  add_size("--keys", config.keys, "snapshot, verify: keys at the source");
  add_size("--ops", config.ops, "stream: SETs written while the link is stopped");
  add_size("--samples", config.samples, "lag: writes per competitor");
  add_size("--repeats", config.repeats, "runs per competitor; the median is reported");
}

void run(const Config& config) {
  std::string all;  // all of them as JSON: one object of objects
  for (const Scenario& scenario : scenarios) {
    if (!config.scenario.empty() && config.scenario != scenario.name) continue;
    const Runs runs = scenario.measure(config);
    if (!config.json) {
      fmt::print("{}\n", as_table(scenario.name, config, runs));
      std::fflush(stdout);
    } else if (!config.scenario.empty()) {
      fmt::print("{}\n", as_json(scenario.name, config, runs));
    } else {
      all += fmt::format("{}\"{}\": {}", all.empty() ? "{" : ", ", scenario.name,
                         as_json(scenario.name, config, runs));
    }
  }
  if (!all.empty()) fmt::print("{}}}\n", all);
}

}  // namespace
}  // namespace keyferry::bench

int main(int argc, char** argv) {
  using namespace keyferry::bench;  // NOLINT: a program of its own
  Config config;
  std::string target = "standalone";
  CLI::App app("Measures keyferry against a native replica on real servers.", "e2e");
  std::string mode = "psync";
  add_options(app, config, target, mode);
  CLI11_PARSE(app, argc, argv);
  config.cluster = target == "cluster";
  config.scan = mode == "scan";
  if (config.scan) config.scenario = "snapshot";
  try {
    run(config);
    return 0;
  } catch (const std::exception& failure) {
    fmt::print(stderr, "e2e: FAILED: {}\n", failure.what());
    return 2;
  }
}
