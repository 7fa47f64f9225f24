// GET /metrics: one Status in the Prometheus text format (version 0.0.4). Names are those of
// interface "Metric names"; the label `shard` is the source's host:port. Pure; never a key or slot
// label.
#pragma once

#include <string>

#include "keyferry/pipeline/status.hpp"

namespace keyferry {

// What is unknown has no sample: a scraper must not mistake it for 0.
std::string metrics_text(const Status& status);

}  // namespace keyferry
