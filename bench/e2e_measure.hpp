// What the scenarios share: waiting for a link, and taking the figures of its process.
#pragma once

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

#include <fmt/core.h>

#include "e2e_config.hpp"
#include "support/server.hpp"

namespace keyferry::bench {

using Clock = std::chrono::steady_clock;

inline constexpr std::chrono::milliseconds poll_interval{5};
inline constexpr std::chrono::seconds give_up_after{300};

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Bytes a process caused to be written to storage (proc(5), "io"); NaN when the system does not
// tell.
inline double disk_mib(pid_t pid) {
  const std::string io = "\n" + test::read_file(fmt::format("/proc/{}/io", pid));
  const std::string bytes = test::info_field(io, "write_bytes");
  return bytes.empty() ? Figures::none : std::stod(bytes) / 1048576;
}

inline std::int64_t source_offset(const test::RedisServer& source) {
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
inline void write_last(const test::RedisServer& source, const std::string& key) {
  source.command({"SET", key, "1"});
}

// The source keeps the stream back until the first ACK behind a diskless snapshot, which may take a
// second: that is no part of any figure.
template <class Link>
void wait_synced(Link& link, const test::RedisServer& source) {
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

inline void note(const char* scenario, const char* who, const Figures& f) {
  fmt::print(stderr,
             "{} {}: wall {:.2f} s, CPU {:.2f} us, RSS {:.0f} MiB, disk {:.2f} MiB, "
             "p50 {:.3f} ms, p99 {:.3f} ms\n",
             scenario, who, f.wall_s, f.cpu_us, f.rss_mib, f.disk_mib, f.p50_ms, f.p99_ms);
}

}  // namespace keyferry::bench
