#include "e2e_scenarios.hpp"

#include <signal.h>

#include "e2e_links.hpp"
#include "e2e_load.hpp"
#include "e2e_measure.hpp"

namespace keyferry::bench {
namespace {

using test::RedisServer;

void expect_same_keys(std::size_t at_source, std::size_t at_target) {
  if (at_source == at_target) return;
  throw std::runtime_error(fmt::format("{} keys at the source, {} copied", at_source, at_target));
}

template <class Link>
Figures snapshot_once(const Config& config) {
  const RedisServer source(source_options());
  write_mixed(source, config.keys);
  Link link(config);
  const double cpu_before_s = link.process().usage().cpu_s;

  const auto start = Clock::now();
  link.start(source);
  wait_for(link, [&] { return link.has_snapshot(config.keys); });
  const Figures figures = take(link, seconds_since(start), cpu_before_s, config.keys);

  expect_same_keys(config.keys, link.keys());
  return figures;
}

template <class Link>
Figures stream_once(const Config& config) {
  const RedisServer source(source_options());
  Link link(config);
  link.start(source);
  wait_synced(link, source);
  link.process().send_signal(SIGSTOP);
  if (config.increments) {
    write_increments(source, config.ops);
  } else {
    write_sets(source, config.ops);
  }
  write_last(source, "bench:end");
  const std::int64_t offset = source_offset(source);
  const double cpu_before_s = link.process().usage().cpu_s;

  const auto start = Clock::now();
  link.process().send_signal(SIGCONT);
  wait_for(link, [&] { return link.has_applied(offset, "bench:end"); });
  const Figures figures = take(link, seconds_since(start), cpu_before_s, config.ops);

  if (source.info("sync_full") != "1") throw std::runtime_error("the link was cut meanwhile");
  const std::size_t keys = static_cast<std::size_t>(source.command({"DBSIZE"}).integer);
  expect_same_keys(keys, link.keys());
  return figures;
}

// The same keys by SCAN, and the raw scan beside it.
template <class Link>
Figures scan_once(const Config& config) {
  const RedisServer source(source_options(true));
  write_mixed(source, config.keys);
  Link link(config);

  const auto start = Clock::now();
  link.start(source);
  std::size_t copied = config.keys;
  if constexpr (std::is_same_v<Link, RawScan>) {
    if (link.process().wait(std::chrono::seconds(300)) != 0) throw std::runtime_error("redis-cli");
  } else {
    wait_for(link, [&] { return link.has_snapshot(config.keys); });
    copied = link.keys();
  }
  const Figures figures = take(link, seconds_since(start), 0, config.keys);

  expect_same_keys(config.keys, copied);
  return figures;
}

// Who goes first changes from repeat to repeat.
template <class Ferry, class Native>
Runs alternate(const char* scenario, const Config& config, Ferry ferry, Native native) {
  Runs runs;
  for (std::size_t i = 0; i < config.repeats; ++i) {
    for (const bool is_native : {i % 2 == 1, i % 2 == 0}) {
      auto& list = is_native ? runs.native : runs.keyferry;
      list.push_back(is_native ? native(config) : ferry(config));
      note(scenario, is_native ? "native" : "keyferry", list.back());
    }
  }
  return runs;
}

}  // namespace

Runs measure_snapshot(const Config& config) {
  if (config.scan) return alternate("scan", config, scan_once<FerryLink>, scan_once<RawScan>);
  return alternate("snapshot", config, snapshot_once<FerryLink>, snapshot_once<NativeLink>);
}

Runs measure_stream(const Config& config) {
  return alternate("stream", config, stream_once<FerryLink>, stream_once<NativeLink>);
}

}  // namespace keyferry::bench
