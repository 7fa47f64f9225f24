// The rules about a source that is scanned.
#include <algorithm>

#include <fmt/format.h>

#include "keyferry/pipeline/observer.hpp"
#include "keyferry/pipeline/preflight_judge.hpp"
#include "keyferry/source/key_events.hpp"

namespace keyferry {

bool must_scan(const PreflightFacts& facts, const Options& options) {
  if (options.source_mode != SourceMode::automatic) return options.source_mode == SourceMode::scan;
  const auto forbids = [](const ServerFacts& source) {
    return source.denied &&
           (source.denied->contains("PSYNC") || source.denied->contains("REPLCONF"));
  };
  return forbids(facts.source) ||
         std::any_of(facts.source_masters.begin(), facts.source_masters.end(), forbids);
}

void PreflightJudge::source_mode() {
  if (!must_scan(facts_, options_)) return;
  if (options_.source_mode == SourceMode::scan)
    return ok("source.mode", "the source is scanned, and followed by keyspace events");
  warn("source.mode",
       fmt::format("'{}' may not use PSYNC: the source is scanned, and followed by keyspace events",
                   source().user),
       fmt::format("ACL SETUSER {} +psync +replconf, where that is possible", source().user));
}

void PreflightJudge::notifications() {
  const std::string name = "source.notifications";
  if (!options_.stream_enabled) return ok(name, "not needed: stream.enabled is false");
  const auto flags = setting(source(), "notify-keyspace-events");
  if (!flags) {
    return warn(name, "notify-keyspace-events cannot be read (CONFIG is not allowed)",
                "set it to AE where the service is configured; a probe key will tell");
  }
  const bool has_modules = source().modules && !source().modules->empty();
  const std::string missing = missing_notify_flags(*flags, has_modules);
  if (missing.empty()) return ok(name, "every change makes an event (\"" + *flags + "\")");
  if (options_.source_scan_enable_notifications) {
    return ok(name, fmt::format("\"{}\" lacks \"{}\": it will be set while the link runs", *flags,
                                missing));
  }
  fail(name,
       fmt::format("notify-keyspace-events is \"{}\" and lacks \"{}\": changes would never arrive",
                   *flags, missing),
       "CONFIG SET notify-keyspace-events AE, or source.scan.enable_notifications: true");
  findings_.back().is_fatal = true;
}

// Events that are not read in time fill it, and the source ends the subscription.
void PreflightJudge::subscriber_buffer() {
  const std::string name = "source.subscriber_buffer";
  const auto value = setting(source(), "client-output-buffer-limit");
  if (!value) {
    return warn(name, "client-output-buffer-limit cannot be read (CONFIG is not allowed)",
                "make sure that it allows subscribers 32mb");
  }
  constexpr std::int64_t comfortable_bytes = 8 * mebibyte;
  const std::int64_t limit = output_limit(*value, "pubsub", "pubsub");
  if (limit == 0) return ok(name, "no limit for subscribers");
  const std::string text = "subscribers may be behind by " + size_text(limit);
  if (limit >= comfortable_bytes) return ok(name, text);
  warn(name, text + "; beyond that every key is looked at once more",
       "CONFIG SET client-output-buffer-limit \"pubsub 32mb 8mb 60\"");
}

}  // namespace keyferry
