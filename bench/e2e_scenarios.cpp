#include "e2e_scenarios.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <thread>

#include <fmt/core.h>
#include <signal.h>

#include "e2e_links.hpp"
#include "e2e_load.hpp"

namespace keyferry::bench {
namespace {

using Clock = std::chrono::steady_clock;
using test::RedisServer;

constexpr std::chrono::milliseconds poll_interval{5};
constexpr std::chrono::seconds give_up_after{300};
constexpr std::chrono::milliseconds lag_interval{2};  // 500 writes/s
constexpr std::size_t lag_block = 100;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Bytes a process caused to be written to storage (proc(5), "io"); NaN when the system does not
// tell.
double disk_mib(pid_t pid) {
  const std::string io = "\n" + test::read_file(fmt::format("/proc/{}/io", pid));
  const std::string bytes = test::info_field(io, "write_bytes");
  return bytes.empty() ? Figures::none : std::stod(bytes) / 1048576;
}

std::int64_t source_offset(const RedisServer& source) {
  return std::stoll(source.info("master_repl_offset"));
}

template <class Link>
void wait_for(Link& link, const std::function<bool()>& done) {
  const auto start = Clock::now();
  while (!done()) {
    if (!link.process().is_running()) throw std::runtime_error("ended early:\n" + link.log());
    if (Clock::now() - start > give_up_after) throw std::runtime_error("too slow:\n" + link.log());
    std::this_thread::sleep_for(poll_interval);
  }
}

// A key whose presence at the target says that everything before it is there or nearly so.
void write_last(const RedisServer& source, const std::string& key) {
  source.command({"SET", key, "1"});
}

// The source keeps the stream back until the first ACK behind a diskless snapshot, which may take a
// second: that is no part of any figure.
template <class Link>
void wait_synced(Link& link, const RedisServer& source) {
  wait_for(link, [&] {
    return link.has_snapshot(0) && source.info("slave0").find("state=online") != std::string::npos;
  });
  write_last(source, "bench:synced");
  wait_for(link, [&] { return link.has_applied(source_offset(source), "bench:synced"); });
}

// The figures of a process as a whole, and its CPU since it had used `cpu_before_s`.
template <class Link>
Figures take(Link& link, double wall_s, double cpu_before_s, std::size_t items) {
  const test::ProcessUsage usage = link.process().usage();
  Figures figures;
  figures.wall_s = wall_s;
  figures.cpu_us = (usage.cpu_s - cpu_before_s) * 1e6 / static_cast<double>(items);
  figures.rss_mib = static_cast<double>(usage.peak_rss_kib) / 1024;
  figures.disk_mib = disk_mib(link.process().pid());
  return figures;
}

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
  write_sets(source, config.ops);
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

// One competitor's writes and reads.
template <class Link>
class LagProbe {
 public:
  explicit LagProbe(const Config& config) : source_(source_options()), link_(config) {
    link_.start(source_);
    wait_synced(link_, source_);
    writer_ = source_.client();
    reader_ = link_.reader(key_);
    cpu_before_s_ = link_.process().usage().cpu_s;
  }

  void sample() {
    const std::string value = std::to_string(++value_);
    const auto start = Clock::now();
    writer_.append({"SET", key_, value});
    writer_.flush();
    while (reader_.command({"GET", key_}).text != value) {
      if (Clock::now() - start > std::chrono::seconds(10))
        throw std::runtime_error("never visible:\n" + link_.log());
    }
    lags_ms_.push_back(seconds_since(start) * 1000);
    writer_.read();
  }

  Figures figures() {
    Figures all = take(link_, Figures::none, cpu_before_s_, lags_ms_.size());
    std::sort(lags_ms_.begin(), lags_ms_.end());
    all.p50_ms = lags_ms_[lags_ms_.size() / 2];
    all.p99_ms = lags_ms_[lags_ms_.size() * 99 / 100];
    return all;
  }

 private:
  std::string key_ = "lag:probe";
  RedisServer source_;
  Link link_;
  test::RespClient writer_;
  test::RespClient reader_;
  double cpu_before_s_ = 0;
  std::size_t value_ = 0;
  std::vector<double> lags_ms_;
};

template <class Link>
void sample_block(LagProbe<Link>& probe, std::size_t count) {
  auto next = Clock::now();
  for (std::size_t i = 0; i < count; ++i) {
    std::this_thread::sleep_until(next);
    next += lag_interval;
    probe.sample();
  }
}

void note(const char* scenario, const char* who, const Figures& f) {
  fmt::print(stderr,
             "{} {}: wall {:.2f} s, CPU {:.2f} us, RSS {:.0f} MiB, disk {:.2f} MiB, "
             "p50 {:.3f} ms, p99 {:.3f} ms\n",
             scenario, who, f.wall_s, f.cpu_us, f.rss_mib, f.disk_mib, f.p50_ms, f.p99_ms);
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
  return alternate("snapshot", config, snapshot_once<FerryLink>, snapshot_once<NativeLink>);
}

Runs measure_stream(const Config& config) {
  return alternate("stream", config, stream_once<FerryLink>, stream_once<NativeLink>);
}

// Both links stand side by side and take turns by the block, so that noise meets both.
Runs measure_lag(const Config& config) {
  Runs runs;
  for (std::size_t i = 0; i < config.repeats; ++i) {
    LagProbe<FerryLink> ferry(config);
    LagProbe<NativeLink> native(config);
    for (std::size_t done = 0; done < config.samples; done += lag_block) {
      const std::size_t count = std::min(lag_block, config.samples - done);
      sample_block(ferry, count);
      sample_block(native, count);
    }
    runs.keyferry.push_back(ferry.figures());
    runs.native.push_back(native.figures());
    note("lag", "keyferry", runs.keyferry.back());
    note("lag", "native", runs.native.back());
  }
  return runs;
}

}  // namespace keyferry::bench
