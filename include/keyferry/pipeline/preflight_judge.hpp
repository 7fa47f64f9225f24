// The rules of judge_preflight: one method each, in preflight.cpp (either end, ourselves),
// preflight_source.cpp and preflight_target.cpp. Internal to them; everybody else takes
// preflight.hpp.
#pragma once

#include <optional>
#include <span>

#include "keyferry/base/number.hpp"
#include "keyferry/pipeline/preflight.hpp"

namespace keyferry {

constexpr std::int64_t mebibyte = std::int64_t{1024} * 1024;

std::int64_t info_int(const ServerFacts& server, std::string_view name);
// A CONFIG parameter under its new or its old name (before Redis 5.0); nullopt where CONFIG is not
// allowed or the server does not know it.
std::optional<std::string> setting(const ServerFacts& server, const char* name,
                                   const char* old_name = "");
std::string size_text(std::int64_t bytes);
std::map<int, std::int64_t> keys_by_db(const ServerFacts& server);
bool is_exactly_once(const Options& options);

// The findings so far, and the facts that every rule looks at.
class PreflightJudge {
 public:
  PreflightJudge(const PreflightFacts& facts, const Options& options)
      : facts_(facts), options_(options), source_(&facts.source) {}

  std::vector<Finding> run();

 private:
  void add(Grade verdict, std::string name, std::string text, std::string advice = "") {
    findings_.push_back({verdict, std::move(name), std::move(text), std::move(advice)});
  }
  void ok(std::string name, std::string text) { add(Grade::ok, std::move(name), std::move(text)); }
  void warn(std::string name, std::string text, std::string advice) {
    add(Grade::warn, std::move(name), std::move(text), std::move(advice));
  }
  void fail(std::string name, std::string text, std::string advice) {
    add(Grade::fail, std::move(name), std::move(text), std::move(advice));
  }

  // either end
  void reach(const ServerFacts& server, const std::string& end);
  void rights(const ServerFacts& server, const std::string& end,
              const std::vector<NeededCommand>& needed);
  void clock(const ServerFacts& server, const std::string& end);

  // the source; of a cluster, what is asked of every master is said once where it is the same
  void each_source(void (PreflightJudge::*rules)());
  void source_rights();
  void source_settings();
  void cutover();
  void source_file();
  void source_role();
  void source_mode();
  void output_buffer();
  void backlog();
  void diskless();
  void repl_timeout();
  void replicas_counted();
  void notifications();
  void subscriber_buffer();
  void databases();
  void databases_of_cluster(std::size_t used, int highest);
  void lossy_types();
  void modules();

  // the target
  void target_file();
  void same_server();
  void target_role();
  void coverage();
  void emptiness();
  void memory();
  void eviction();
  void enough_replicas();

  // ourselves
  void spool();
  void budget();

  // All of them.
  std::span<const ServerFacts> sources() const {
    if (!facts_.source_masters.empty()) return facts_.source_masters;
    return {&facts_.source, 1};
  }
  // The one that is judged.
  const ServerFacts& source() const { return *source_; }

  const PreflightFacts& facts_;
  const Options& options_;
  const ServerFacts* source_;
  std::vector<Finding> findings_;
};

}  // namespace keyferry
