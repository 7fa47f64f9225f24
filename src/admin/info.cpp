#include "keyferry/admin/info.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <random>

#include <fmt/format.h>

#include "keyferry/admin/version.hpp"

namespace keyferry {
namespace {

// The server version whose replication link we speak; clients switch features by it.
constexpr const char* shown_redis_version = "8.1.0";

using Out = std::back_insert_iterator<std::string>;

template <class Value>
void field(Out out, std::string_view name, const Value& value) {
  fmt::format_to(out, "{}:{}\r\n", name, value);
}

void server(Out out, const Status& status, const RespIdentity& identity) {
  field(out, "redis_version", shown_redis_version);
  field(out, "redis_mode", "standalone");
  field(out, "run_id", identity.run_id);
  field(out, "tcp_port", identity.port);
  field(out, "uptime_in_seconds", std::llround(std::floor(status.uptime_s)));
}

// The next three are what dashboards made for redis_exporter draw; the numbers are those of
// /status.
void clients(Out out, const Status& status, const RespIdentity&) {
  field(out, "connected_clients", 1);
  field(out, "blocked_clients", status.phase == Phase::paused ? 1 : 0);
}

void memory(Out out, const Status& status, const RespIdentity&) {
  field(out, "used_memory", status.memory_used_bytes);
  field(out, "maxmemory", status.memory_max_bytes);
  field(out, "maxmemory_policy", "noeviction");
}

void stats(Out out, const Status& status, const RespIdentity&) {
  field(out, "total_commands_processed", status.commands_applied);
  field(out, "instantaneous_ops_per_sec", std::llround(status.commands_per_s));
  field(out, "total_net_input_bytes", status.source_bytes);
  field(out, "total_net_output_bytes", status.target_bytes);
  field(out, "sync_full", status.full_resyncs + (status.replid.empty() ? 0 : 1));
  field(out, "sync_partial_ok", status.source_reconnects);
  field(out, "total_error_replies", status.failed + status.skipped);
}

// slave_priority:0 and replica_announced:0 keep Sentinel from promoting or listing us (Redis 7.0
// sentinel.c sentinelSelectSlave, sentinelRefreshInstanceInfo).
void replication(Out out, const Status& status, const RespIdentity&) {
  const SourceAddress source = source_address(status);
  field(out, "role", "slave");
  field(out, "master_host", source.host);
  field(out, "master_port", source.port);
  field(out, "master_link_status", status.source_link_up ? "up" : "down");
  field(out, "master_last_io_seconds_ago", status.source_link_up ? 0 : -1);
  field(out, "master_sync_in_progress", status.phase == Phase::snapshot ? 1 : 0);
  field(out, "slave_read_repl_offset", status.received_offset);
  field(out, "slave_repl_offset", status.applied_offset);
  field(out, "slave_priority", 0);
  field(out, "slave_read_only", 1);
  field(out, "replica_announced", 0);
  field(out, "connected_slaves", 0);
  field(out, "master_replid", status.replid);
  field(out, "master_repl_offset", status.applied_offset);
}

void link(Out out, const Status& status, const RespIdentity&) {
  field(out, "keyferry_version", version());
  field(out, "phase", to_string(status.phase));
  field(out, "synced", status.synced ? 1 : 0);
  if (status.lag_bytes) field(out, "lag_bytes", *status.lag_bytes);
  if (status.lag_ms) field(out, "lag_ms", *status.lag_ms);
  field(out, "snapshot_keys_done", status.snapshot_keys_done);
  field(out, "commands_applied", status.commands_applied);
  field(out, "commands_failed", status.failed);
  field(out, "memory_used_bytes", status.memory_used_bytes);
  field(out, "spool_used_bytes", status.spool_used_bytes);
}

struct Section {
  std::string_view name;
  std::string_view title;
  void (*write)(Out, const Status&, const RespIdentity&);
};
constexpr std::array sections = {Section{"server", "Server", server},
                                 Section{"clients", "Clients", clients},
                                 Section{"memory", "Memory", memory},
                                 Section{"stats", "Stats", stats},
                                 Section{"replication", "Replication", replication},
                                 Section{"keyferry", "KeyFerry", link}};

std::string lower(ByteView text) {
  std::string out(text.substr(0, 32));
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace

RespIdentity::RespIdentity() {
  std::random_device random;
  while (run_id.size() < 40)
    run_id += fmt::format("{:08x}", random());
}

SourceAddress source_address(const Status& status) {
  const std::string& address = status.master.empty() ? status.source : status.master;
  const std::size_t colon = address.rfind(':');
  if (colon == address.npos) return {address, "0"};
  std::string host = address.substr(0, colon);
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return {host, address.substr(colon + 1)};
}

std::string info_text(ByteView section, const Status& status, const RespIdentity& identity) {
  const std::string wanted = lower(section);
  const bool all =
      wanted.empty() || wanted == "all" || wanted == "everything" || wanted == "default";
  std::string text;
  for (const Section& one : sections) {
    if (!all && one.name != wanted) continue;
    if (!text.empty()) text += "\r\n";
    fmt::format_to(std::back_inserter(text), "# {}\r\n", one.title);
    one.write(std::back_inserter(text), status, identity);
  }
  return text;
}

}  // namespace keyferry
