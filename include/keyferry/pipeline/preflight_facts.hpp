// Asks both ends and the file system what judge_preflight wants to know. Changes nothing anywhere.
// Executor thread only.
#pragma once

#include "keyferry/net/task.hpp"
#include "keyferry/pipeline/preflight.hpp"

namespace keyferry {

// What cannot be asked is left empty; an end that cannot be reached says so in its facts. With
// `measure_writes` the source is asked twice, a second apart.
Task<Error> gather_preflight(const Options& options, bool measure_writes, PreflightFacts& facts);

// The same, judged: of one source, or of every one of a list.
Task<Error> check_link(const Options& options, bool measure_writes, std::vector<Finding>& findings);

}  // namespace keyferry
