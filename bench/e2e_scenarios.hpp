// The measurements. Each starts fresh servers for every run, lets the competitors take turns,
// and checks that the work was really done; failures throw.
#pragma once

#include "e2e_config.hpp"

namespace keyferry::bench {

// From the start of the link until the whole snapshot is in the target.
Runs measure_snapshot(const Config& config);
// The link is stopped by a signal while the source is written to; from its waking until the target
// has it all.
Runs measure_stream(const Config& config);
// From sending a write to the source until a busy reader sees it at the target.
Runs measure_lag(const Config& config);
// From the start of `keyferry verify` until it has found an equal target equal.
Runs measure_verify(const Config& config);

}  // namespace keyferry::bench
