#include "keyferry/pipeline/sink_status.hpp"

namespace keyferry {
namespace {

std::vector<NamedCount> named(const std::map<std::string, std::uint64_t, std::less<>>& counts) {
  std::vector<NamedCount> out;
  for (const auto& [name, count] : counts)
    out.push_back({name, count});
  return out;
}

}  // namespace

std::string shown_host(const Uri& uri) {
  if (uri.hosts.empty()) return uri.path;
  if (!uri.sentinel_master.empty()) return uri.sentinel_master;
  const HostPort& host = uri.hosts.front();
  return to_string(Endpoint{host.host, host.port});
}

void describe_sink(const RedisSink& sink, Status& status) {
  const SinkStats& stats = sink.stats();
  Status& s = status;
  s.commands_applied = s.applied = stats.applied;
  s.filtered = stats.filtered;
  s.skipped = s.dead_letters = stats.skipped;
  s.failed = stats.failed;
  s.retried = stats.retried;
  s.redirected = stats.redirected;
  s.target_reconnects = sink.reconnects();
  s.transactions_split = stats.transactions_split;
  s.healed_keys = stats.healed_keys;
  s.target_bytes = sink.sent_bytes();
  s.redirects = named(stats.redirects);
  s.errors = named(stats.errors);
  s.cross_slot = named(stats.cross_slot);
  for (const auto& lane : sink.lanes()) {
    s.lanes.push_back({to_string(Endpoint{lane->target().host, lane->target().port}),
                       lane->queued(), lane->in_flight()});
  }
  if (!stats.last_error.empty()) s.last_error = stats.last_error;
}

}  // namespace keyferry
