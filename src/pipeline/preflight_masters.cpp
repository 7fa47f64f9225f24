// The rules that every master of the source has to stand up to, and how what they find is told:
// once where all say the same.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "keyferry/pipeline/preflight_judge.hpp"

namespace keyferry {
namespace {

// What some masters say alike.
struct Group {
  Finding finding;
  std::vector<std::string> addresses;
};

// Findings of one name stay together, in the order of the rules.
void collect(Finding finding, const std::string& address, std::vector<Group>& groups) {
  const std::string prefix = address + ": ";
  if (finding.text.starts_with(prefix)) finding.text.erase(0, prefix.size());
  auto behind = groups.end();
  for (auto at = groups.begin(); at != groups.end(); ++at) {
    if (at->finding.name != finding.name) continue;
    behind = at + 1;
    const bool is_same = at->finding.verdict == finding.verdict &&
                         at->finding.text == finding.text && at->finding.advice == finding.advice;
    if (is_same) return at->addresses.push_back(address);
  }
  groups.insert(behind, Group{std::move(finding), {address}});
}

}  // namespace

void PreflightJudge::each_source(void (PreflightJudge::*rules)()) {
  if (facts_.source_masters.empty()) return (this->*rules)();
  std::vector<Finding> before = std::exchange(findings_, {});
  std::vector<Group> groups;
  std::size_t asked = 0;
  for (const ServerFacts& master : facts_.source_masters) {
    if (!master.problem.empty()) continue;
    ++asked;
    source_ = &master;
    (this->*rules)();
    for (Finding& one : std::exchange(findings_, {}))
      collect(std::move(one), master.address, groups);
  }
  source_ = &facts_.source;
  findings_ = std::move(before);
  for (Group& group : groups) {
    const std::string who = group.addresses.size() == asked && asked > 1
                                ? fmt::format("all {} masters", asked)
                                : fmt::format("{}", fmt::join(group.addresses, ", "));
    group.finding.text = who + ": " + group.finding.text;
    findings_.push_back(std::move(group.finding));
  }
}

void PreflightJudge::source_rights() {
  const bool scans = must_scan(facts_, options_);
  rights(source(), "source", commands_needed_at_source(options_, scans));
  if (!scans && options_.target.uri.kind != Uri::Kind::file) cutover();
}

void PreflightJudge::source_settings() {
  if (must_scan(facts_, options_)) {
    notifications();
    subscriber_buffer();
  } else {
    backlog();
    output_buffer();
    diskless();
    repl_timeout();
    replicas_counted();
  }
  clock(source(), "source");
}

// What would be found out only in the middle of it.
void PreflightJudge::cutover() {
  const std::string name = "source.cutover";
  const auto lag = setting(source(), "min-replicas-max-lag", "min-slaves-max-lag");
  if (lag && leading_number(*lag) == 0) {
    return warn(name, "min-replicas-max-lag is 0: min-replicas-to-write cannot fence the source",
                "CONFIG SET min-replicas-max-lag 10, before a cutover");
  }
  if (!source().denied) return;  // told with the rights
  std::vector<std::string> missing;
  std::string grant;
  for (const NeededCommand& one : commands_needed_for_cutover()) {
    if (!source().denied->contains(one.name)) continue;
    missing.push_back(one.name);
    grant += fmt::format(" +{}|{}", one.args[0] == "CLIENT" ? "client" : "config",
                         one.name == "CLIENT PAUSE"     ? "pause"
                         : one.name == "CLIENT UNPAUSE" ? "unpause"
                         : one.name == "CLIENT KILL"    ? "kill"
                                                        : "set");
  }
  if (missing.empty())
    return ok(name, fmt::format("'{}' may do what a cutover takes", source().user));
  warn(name,
       fmt::format("'{}' may not use {}: the link works, keyferry cutover does not", source().user,
                   fmt::join(missing, ", ")),
       fmt::format("ACL SETUSER {}{}, for a cutover", source().user, grant));
}

}  // namespace keyferry
