// Preflight of a link with several sources: each is looked at as if it were alone, and what is the
// same for all, the target above all, is said once.
#include <algorithm>

#include <fmt/format.h>

#include "keyferry/pipeline/preflight_facts.hpp"

namespace keyferry {

std::vector<Finding> join_findings(std::vector<SourceFindings> all) {
  std::vector<Finding> out;
  const auto is_said_by = [](const SourceFindings& one, const Finding& finding) {
    return std::any_of(one.findings.begin(), one.findings.end(), [&](const Finding& other) {
      return other.name == finding.name && other.text == finding.text;
    });
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const Finding& finding : all[i].findings) {
      const auto says = [&](const SourceFindings& one) { return is_said_by(one, finding); };
      const bool is_of_all = std::all_of(all.begin(), all.end(), says);
      if (is_of_all && i > 0) continue;
      out.push_back(finding);
      if (!is_of_all) out.back().name = all[i].source + ": " + finding.name;
    }
  }
  return out;
}

std::optional<Finding> judge_as_one_of_several(const PreflightFacts& facts, const Options& one) {
  if (!facts.source.problem.empty()) return std::nullopt;
  Finding finding;
  finding.verdict = Grade::fail;
  finding.name = "source.one_of_several";
  if (is_whole_cluster(facts.source, one)) {
    finding.text = facts.source.address + " is a cluster";
    finding.advice = "give a cluster a link of its own";
    return finding;
  }
  if (!must_scan(facts, one)) return std::nullopt;
  finding.is_fatal = true;
  finding.text = facts.source.address + " does not allow PSYNC";
  finding.advice = "one of several sources is not scanned: give it a link of its own";
  return finding;
}

Task<Error> check_link(const Options& options, bool measure_writes,
                       std::vector<Finding>& findings) {
  std::vector<SourceFindings> all;
  for (const Options& one : options.sources) {
    PreflightFacts facts;
    Error error = co_await gather_preflight(one, measure_writes, facts);
    if (error) co_return error;
    all.push_back(SourceFindings());
    all.back().source = one.source_name;
    all.back().findings = judge_preflight(facts, one);
    if (auto problem = judge_as_one_of_several(facts, one))
      all.back().findings.push_back(std::move(*problem));
  }
  if (!all.empty()) {
    findings = join_findings(std::move(all));
    co_return Error();
  }
  PreflightFacts facts;
  Error error = co_await gather_preflight(options, measure_writes, facts);
  if (!error) findings = judge_preflight(facts, options);
  co_return error;
}

}  // namespace keyferry
