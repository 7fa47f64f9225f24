// The rules about the source: what a replica link needs of it, and what our link does to it.
#include <fmt/format.h>

#include "keyferry/base/present.hpp"
#include "keyferry/pipeline/observer.hpp"
#include "keyferry/pipeline/preflight_judge.hpp"
#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {

bool is_whole_cluster(const ServerFacts& source, const Options& options) {
  return source.problem.empty() && source.identity.is_cluster &&
         options.source.topology != Topology::standalone;
}

void PreflightJudge::source_role() {
  if (is_whole_cluster(source(), options_)) {
    ok("source.role", source().address + " is a node of a cluster: all of its shards are copied");
  } else if (source().identity.is_cluster) {
    warn("source.role", source().address + " is one node of a cluster: only its slots are copied",
         "run one link per master of the source");
  } else if (source().identity.role == "master") {
    ok("source.role", source().address + " is a master");
  } else if (info_field(source().info, "master_link_status") != "up") {
    fail("source.role", source().address + " is a replica without a link to its master",
         "give the master, or mend the replica's link");
  } else {
    warn("source.role", source().address + " is a replica: its own lag comes on top of ours",
         "give the master for the smallest lag");
  }
}

void PreflightJudge::backlog() {
  constexpr std::int64_t comfortable_s = 60;
  const auto size = setting(source(), "repl-backlog-size");
  if (!size) {
    return warn("source.backlog", "repl-backlog-size cannot be read (CONFIG is not allowed)",
                "make sure that it holds a minute of writes");
  }
  const std::int64_t bytes = leading_number(*size);
  const std::int64_t rate = source().write_bytes_per_s;
  if (rate <= 0) return ok("source.backlog", size_text(bytes) + "; nothing is being written");
  const std::int64_t lasts_s = bytes / rate;
  const std::string text =
      fmt::format("the backlog of {} lasts {} at {}{}/s", size_text(bytes),
                  shown_duration(static_cast<double>(lasts_s)),
                  source().is_write_rate_upper_bound ? "up to " : "", size_text(rate));
  if (lasts_s >= comfortable_s) return ok("source.backlog", text);
  warn("source.backlog", text + "; a longer break costs a full sync",
       fmt::format("CONFIG SET repl-backlog-size {}mb", 2 * comfortable_s * rate / mebibyte + 1));
}

void PreflightJudge::output_buffer() {
  const auto value = setting(source(), "client-output-buffer-limit");
  if (!value) {
    return warn("source.output_buffer",
                "client-output-buffer-limit cannot be read (CONFIG is not allowed)",
                "make sure that it allows replicas 256mb");
  }
  constexpr std::int64_t comfortable_bytes = 32 * mebibyte;
  const std::int64_t limit = replica_output_limit(*value);
  if (limit == 0) return ok("source.output_buffer", "no limit for replicas");
  std::string text = "replicas may be behind by " + size_text(limit);
  if (source().write_bytes_per_s > 0) {
    const double lasts_s =
        static_cast<double>(limit) / static_cast<double>(source().write_bytes_per_s);
    text +=
        fmt::format(", {} at {}/s", shown_duration(lasts_s), size_text(source().write_bytes_per_s));
  }
  if (limit >= comfortable_bytes) return ok("source.output_buffer", text);
  warn("source.output_buffer", text + "; beyond that it cuts the link",
       "CONFIG SET client-output-buffer-limit \"replica 256mb 64mb 60\"");
}

void PreflightJudge::diskless() {
  const auto value = setting(source(), "repl-diskless-sync");
  if (!value) return;
  if (*value == "yes") return ok("source.diskless", "the snapshot is sent without a file");
  warn("source.diskless", "the source writes the snapshot to its disk before it sends it",
       "CONFIG SET repl-diskless-sync yes");
}

void PreflightJudge::repl_timeout() {
  constexpr std::int64_t comfortable_s = 10;
  const auto value = setting(source(), "repl-timeout");
  if (!value) return;
  const std::int64_t seconds = leading_number(*value);
  const std::string text = fmt::format("a silent link is cut after {} s", seconds);
  if (seconds >= comfortable_s) return ok("source.repl_timeout", text);
  warn("source.repl_timeout", text, "CONFIG SET repl-timeout 60");
}

// Our acknowledgements are those of a replica: who counts replicas counts us.
void PreflightJudge::replicas_counted() {
  const std::string advice = "stream.ack: zero keeps us out of the count";
  const auto minimum = setting(source(), "min-replicas-to-write", "min-slaves-to-write");
  if (minimum && leading_number(*minimum) > 0) {
    warn("source.min_replicas",
         fmt::format("min-replicas-to-write is {} with {} replicas: we would count as one, and "
                     "writes may stop when the link ends",
                     *minimum, info_int(source(), "connected_slaves")),
         advice);
  } else if (minimum) {
    ok("source.min_replicas", "min-replicas-to-write is off");
  }
  const ByteView waits = info_field(source().info, "cmdstat_wait");
  if (waits.empty()) {
    ok("source.wait", "nobody has used WAIT");
  } else {
    constexpr ByteView calls = "calls=";
    const std::int64_t count =
        waits.starts_with(calls) ? leading_number(waits.substr(calls.size())) : 0;
    warn("source.wait",
         fmt::format("WAIT was used {} times: our acknowledgements would satisfy it", count),
         advice);
  }
  constexpr std::int64_t default_shutdown_s = 10;  // Redis 7.0 redis.conf, shutdown-timeout
  const auto shutdown = setting(source(), "shutdown-timeout");
  if (!shutdown) return;
  const std::string text =
      fmt::format("a shutdown of the source waits up to {} s for our acknowledgement", *shutdown);
  if (leading_number(*shutdown) <= default_shutdown_s) return ok("source.shutdown_timeout", text);
  warn("source.shutdown_timeout", text, "CONFIG SET shutdown-timeout 10, or stop us first");
}

}  // namespace keyferry
