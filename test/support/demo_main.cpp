// The demo behind config/demo/run: a source with every core type and a live writer, a 3-master
// cluster, keyferry in between, then a comparison of every key. With --source and --target it uses
// those servers, writes nothing to them itself, and only ferries and compares. Prints one line of
// result; exit 0 when nothing differs.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <thread>

#include <unistd.h>

#include "support/compare.hpp"
#include "support/keyferry.hpp"
#include "support/live_writer.hpp"

namespace keyferry::test {
namespace {

using Clock = std::chrono::steady_clock;

struct DemoOptions {
  std::string keyferry;
  std::string source;
  std::string target;
  std::size_t keys = 100000;
  std::chrono::seconds follow{10};  // the writer goes on so long after the snapshot
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void show_progress(const std::string& json, std::uint64_t written) {
  const bool terminal = ::isatty(1) == 1;
  const auto field = [&json](const char* path) { return json_field(json, path); };
  std::printf("%s%-10s keys %s of %s, lag %s bytes, applied %s, written %llu%s",
              terminal ? "\r" : "", field("phase").c_str(), field("snapshot.keys_done").c_str(),
              field("snapshot.keys_total").c_str(), field("lag.bytes").c_str(),
              field("counters.applied").c_str(), static_cast<unsigned long long>(written),
              terminal ? "   " : "\n");
  std::fflush(stdout);
}

// Runs keyferry to its own end. The writer, if any, stops when the snapshot has been followed long
// enough.
int ferry(Keyferry& ferry, LiveWriter* writer, std::chrono::seconds follow) {
  Clock::time_point following{};
  while (!ferry.wait_exit(Millis{1000})) {
    std::string json;
    try {
      json = ferry.http_get("/status").body;
    } catch (const std::runtime_error&) {
      continue;  // not listening yet, or about to end
    }
    show_progress(json, writer == nullptr ? 0 : writer->commands());
    const std::string phase = json_field(json, "phase");
    const bool follows = phase == "catch_up" || phase == "steady";
    if (follows && following == Clock::time_point{}) following = Clock::now();
    if (writer != nullptr && follows && Clock::now() - following >= follow) writer->stop();
  }
  if (::isatty(1) == 1) std::printf("\n");
  return ferry.wait_exit(Millis{0}).value();
}

// The one line of result, and the exit code.
int report(int exit_code, const Endpoint& source, const Endpoint& target,
           const std::vector<std::string>& writer_errors, double ferry_s) {
  const auto started = Clock::now();
  const std::vector<Difference> differences = compare(source, target);
  std::cerr << describe(differences);
  for (const std::string& error : writer_errors)
    std::cerr << "writer: " << error << "\n";
  const bool good = exit_code == 0 && differences.empty() && writer_errors.empty();
  std::printf(
      "demo: %s: %zu keys at the source, %zu differences, keyferry ended with %d after %.1f s, "
      "compared in %.1f s\n",
      good ? "ok" : "FAILED", key_count(source), differences.size(), exit_code, ferry_s,
      seconds_since(started));
  return good ? 0 : 1;
}

int run_own_servers(const DemoOptions& options) {
  std::printf("starting a source and a cluster of 3 masters\n");
  RedisServer source;
  RedisCluster target;
  DatasetOptions dataset;
  dataset.keys = options.keys;
  dataset.cluster_safe = true;
  const auto filling = Clock::now();
  const std::size_t keys = fill(source, dataset);
  std::printf("filled %s with %zu keys of every core type in %.1f s\n", source.address().c_str(),
              keys, seconds_since(filling));
  LiveOptions live;
  live.dataset = dataset;
  LiveWriter writer(source, live);
  Keyferry program(options.keyferry);
  const auto started = Clock::now();
  // The link must be quiet for longer than the writer goes on, so keyferry cannot end before it.
  const auto stable_ms = std::chrono::duration_cast<Millis>(options.follow).count() + 2000;
  program.run(
      source.uri(), target.uri(),
      {"--stop-when", "lag-zero", "--set", "stop.stable_for_ms=" + std::to_string(stable_ms)});
  const int exit_code = ferry(program, &writer, options.follow);
  const double took_s = seconds_since(started);
  writer.stop();
  if (exit_code != 0) std::cerr << program.output();
  std::printf("the writer made %llu changes meanwhile\n",
              static_cast<unsigned long long>(writer.commands()));
  return report(exit_code, source, target, writer.errors(), took_s);
}

int run_given_servers(const DemoOptions& options) {
  Keyferry program(options.keyferry);
  const auto started = Clock::now();
  program.run(options.source, options.target, {"--stop-when", "lag-zero"});
  const int exit_code = ferry(program, nullptr, options.follow);
  const double took_s = seconds_since(started);
  if (exit_code != 0) std::cerr << program.output();
  return report(exit_code, Endpoint::of_uri(options.source), Endpoint::of_uri(options.target), {},
                took_s);
}

DemoOptions parse(int argc, char** argv) {
  DemoOptions options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--keyferry") {
      options.keyferry = value;
    } else if (name == "--source") {
      options.source = value;
    } else if (name == "--target") {
      options.target = value;
    } else if (name == "--keys") {
      options.keys = std::strtoul(value.c_str(), nullptr, 10);
    } else if (name == "--follow-s") {
      options.follow = std::chrono::seconds(std::atoi(value.c_str()));
    } else {
      throw std::runtime_error("unknown option " + name);
    }
  }
  if (argc % 2 == 0 || options.keyferry.empty() ||
      options.source.empty() != options.target.empty()) {
    throw std::runtime_error(
        "usage: keyferry_demo --keyferry PROGRAM [--keys N] [--follow-s N] [--source URI --target "
        "URI]");
  }
  return options;
}

}  // namespace
}  // namespace keyferry::test

int main(int argc, char** argv) {
  using namespace keyferry::test;
  try {
    const DemoOptions options = parse(argc, argv);
    return options.source.empty() ? run_own_servers(options) : run_given_servers(options);
  } catch (const std::exception& failure) {
    std::cerr << "demo: FAILED: " << failure.what() << "\n";
    return 2;
  }
}
