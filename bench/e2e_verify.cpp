// How fast `keyferry verify` compares a source with a target that is equal, beside redis-cli that
// only asks the source for every name.
#include <thread>

#include "e2e_links.hpp"
#include "e2e_load.hpp"
#include "e2e_measure.hpp"
#include "e2e_scenarios.hpp"

namespace keyferry::bench {
namespace {

struct VerifyRun {
  explicit VerifyRun(const Config& config) : binary(config.keyferry) {}
  test::Process& process() { return process_; }

  void start(const test::RedisServer& source, const test::RedisServer& target) {
    test::ProcessOptions options;
    options.args = {binary, "verify", "--source", source.uri(), "--target", target.uri(), "--json"};
    options.output_file = folder.file("output");
    process_ = test::Process(options);
  }

  std::string binary;
  test::TempDir folder;
  test::Process process_;
};

// A copy that a replica has made, and that is no replica any more.
void copy(const test::RedisServer& source, test::RespClient& target) {
  target.must({"REPLICAOF", source.host(), std::to_string(source.port())});
  const auto is_up = [&] {
    return test::info_field(target.must({"INFO", "replication"}).text, "master_link_status") ==
           "up";
  };
  while (!is_up())
    std::this_thread::sleep_for(poll_interval);
  target.must({"REPLICAOF", "NO", "ONE"});
}

template <class Run>
void end(Run& run) {
  if (run.process().wait(give_up_after) != 0) throw std::runtime_error("it does not end well");
}

}  // namespace

Runs measure_verify(const Config& config) {
  Runs runs;
  const test::RedisServer source(source_options());
  write_mixed(source, config.keys);
  const test::RedisServer target;
  test::RespClient client = target.client(test::Millis{60000});
  copy(source, client);
  for (std::size_t i = 0; i < config.repeats; ++i) {
    VerifyRun verify(config);
    auto begin = Clock::now();
    verify.start(source, target);
    end(verify);
    runs.keyferry.push_back(take(verify, seconds_since(begin), 0, config.keys));
    note("verify", "keyferry", runs.keyferry.back());
    fmt::print(stderr, "verify: {:.0f} keys/s\n",
               static_cast<double>(config.keys) / runs.keyferry.back().wall_s);
    RawScan scan(config);
    begin = Clock::now();
    scan.start(source);
    end(scan);
    runs.native.push_back(take(scan, seconds_since(begin), 0, config.keys));
    note("verify", "native", runs.native.back());
  }
  return runs;
}

}  // namespace keyferry::bench
