// Medians and ratios of what was measured, as a table for people or as one JSON object.
#pragma once

#include <string>

#include "e2e_config.hpp"

namespace keyferry::bench {

Figures median(const std::vector<Figures>& runs);

// Several lines with a heading.
std::string as_table(const std::string& scenario, const Config& config, const Runs& runs);
// {"scenario": ..., "keyferry": {"wall": ..., ...}, "native": {...}, "ratio": {...}}; figures that
// a scenario does not have are null.
std::string as_json(const std::string& scenario, const Config& config, const Runs& runs);

}  // namespace keyferry::bench
