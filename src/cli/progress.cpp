#include "keyferry/cli/progress.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "keyferry/base/present.hpp"

namespace keyferry {
namespace {

constexpr int widest_bar = 24;
constexpr int narrowest_bar = 6;

// The bar takes what room the numbers leave.
std::string in_snapshot(const Status& status, std::size_t room) {
  const double uptime_s = status.uptime_s > 0 ? status.uptime_s : 1;
  const double rate = status.commands_per_s > 0
                          ? status.commands_per_s
                          : static_cast<double>(status.snapshot_keys_done) / uptime_s;
  std::string numbers =
      fmt::format("  {}  {} keys/s", shown_bytes(status.snapshot_bytes_done), shown_rate(rate));
  if (status.snapshot_eta_s) numbers += "  eta " + shown_duration(*status.snapshot_eta_s);
  const std::string done = shown_count(status.snapshot_keys_done);
  if (!status.snapshot_keys_total || *status.snapshot_keys_total == 0)
    return done + " keys" + numbers;

  const double part = static_cast<double>(status.snapshot_keys_done) /
                      static_cast<double>(*status.snapshot_keys_total);
  numbers = fmt::format("{:.0f}%  {}/{} keys{}", 100 * part, done,
                        shown_count(*status.snapshot_keys_total), numbers);
  const int left = static_cast<int>(room) - static_cast<int>(numbers.size()) - 4;
  if (left < narrowest_bar) return numbers;
  return shown_bar(part, std::min(left, widest_bar)) + " " + numbers;
}

std::string in_stream(const Status& status) {
  std::string lag = "unknown";
  if (status.lag_bytes) lag = shown_bytes(static_cast<std::uint64_t>(*status.lag_bytes));
  if (status.lag_ms) lag += ", " + shown_duration(static_cast<double>(*status.lag_ms) / 1000);
  return fmt::format("lag {}  {} commands/s  {}/s{}", lag, shown_rate(status.commands_per_s),
                     shown_bytes(static_cast<std::uint64_t>(status.bytes_per_s)),
                     status.synced ? "  synced" : "");
}

// Green: nothing to wait for. Red: over. Yellow: under way.
const char* colour_of(const Status& status) {
  if (status.phase == Phase::failed) return "\x1b[31m";
  return status.synced ? "\x1b[32m" : "\x1b[33m";
}

}  // namespace

std::string progress_line(const Status& status, const ProgressStyle& style) {
  const std::string phase = to_string(status.phase);
  const bool is_snapshot = status.phase == Phase::snapshot || !status.is_streaming;
  const bool has_begun = status.snapshot_keys_done > 0 || status.is_streaming;
  const std::size_t taken = phase.size() + 2;
  const std::size_t room = style.columns > taken ? style.columns - taken : 0;
  std::string line = phase;
  if (has_begun) line += "  " + (is_snapshot ? in_snapshot(status, room) : in_stream(status));
  if (style.columns > 0 && line.size() >= style.columns) line.resize(style.columns - 1);
  if (!style.colour || line.size() < phase.size()) return line;
  return colour_of(status) + phase + "\x1b[0m" + line.substr(phase.size());
}

}  // namespace keyferry
