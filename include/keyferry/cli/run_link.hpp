// Wires a link from validated options: source, pipeline, target and the two listeners, until it is
// done or stopped.
#pragma once

#include "keyferry/config/options.hpp"

namespace keyferry {

// Returns the exit code. The log is open; problems from here on are log lines.
int run_link(Options options);

}  // namespace keyferry
