#include "keyferry/source/source_watch.hpp"

#include <algorithm>
#include <array>

#include "keyferry/base/number.hpp"
#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {
namespace {

// "calls=3,usec=...,failed_calls=1" behind "<prefix>".
std::uint64_t count_behind(ByteView line, ByteView prefix) {
  const std::size_t at = line.find(prefix);
  return at == ByteView::npos ? 0 : leading_number<std::uint64_t>(line.substr(at + prefix.size()));
}

template <std::size_t n>
std::uint64_t sum_of(ByteView info, const std::array<ByteView, n>& commands) {
  std::uint64_t sum = 0;
  for (const ByteView command : commands) {
    const ByteView line = info_field(info, std::string("cmdstat_").append(command));
    if (!line.starts_with("calls=")) continue;
    const std::uint64_t calls = count_behind(line, "calls=");
    const std::uint64_t failed = count_behind(line, ",failed_calls=");
    sum += calls - std::min(calls, failed);
  }
  return sum;
}

// Without counters: most of the keys are gone at once.
bool looks_flushed(const SourceReading& before, const SourceReading& now) {
  for (const auto& [db, count] : before.keys) {
    const auto found = now.keys.find(db);
    const std::uint64_t left = found == now.keys.end() ? 0 : found->second;
    if (left < count / 2 || (left == 0 && count > 0)) return true;
  }
  return false;
}

}  // namespace

SourceReading read_source(ByteView info) {
  SourceReading out;
  out.run_id = info_field(info, "run_id");
  out.replid = info_field(info, "master_replid");
  out.role = info_field(info, "role");
  const ByteView link = info_field(info, "master_link_status");
  out.is_cut_off = link == "down" || info_field(info, "master_sync_in_progress") == "1";
  out.counts_commands = info.find("cmdstat_") != ByteView::npos;
  out.flushes = sum_of<3>(info, {"flushall", "flushdb", "swapdb"});
  out.group_reads = sum_of<4>(info, {"xreadgroup", "xack", "xclaim", "xautoclaim"});
  out.functions =
      sum_of<4>(info, {"function|load", "function|delete", "function|flush", "function|restore"});
  for (const DatabaseKeys& one : read_keyspace(info))
    out.keys[one.db] = one.keys;
  return out;
}

SourceChange compare_readings(const SourceReading& before, const SourceReading& now) {
  SourceChange out;
  out.is_other = before.run_id != now.run_id || before.role != now.role ||
                 (now.role != "master" && before.replid != now.replid) ||
                 (before.is_cut_off && !now.is_cut_off);
  // Unequal, not more: CONFIG RESETSTAT takes them back.
  out.is_flushed = before.flushes != now.flushes;
  if (!now.counts_commands) out.is_flushed = looks_flushed(before, now);
  out.group_reads = before.group_reads != now.group_reads;
  out.functions = before.functions != now.functions;
  return out;
}

}  // namespace keyferry
