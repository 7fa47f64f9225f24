// What the tests of a source that is scanned share.
#pragma once

#include "e2e/link.hpp"

namespace keyferry::test {

inline std::vector<std::string> scanning(std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"--set", "source.mode=scan"});
  return more;
}

inline RedisServer events_source(std::vector<std::string> args = {}) {
  args.insert(args.begin(), {"--notify-keyspace-events", "AE"});
  return source_server(std::move(args));
}

inline ClusterOptions events_cluster(std::size_t replicas = 0) {
  ClusterOptions options;
  options.replicas = replicas;
  options.server.args = {"--notify-keyspace-events", "AE"};
  return options;
}

inline LiveOptions cluster_data(std::size_t keys = 4000, double commands_per_s = 3000) {
  LiveOptions live;
  live.dataset.keys = keys;
  live.dataset.cluster_safe = true;
  live.commands_per_s = commands_per_s;
  return live;
}

}  // namespace keyferry::test
