// The one live line that `keyferry run` keeps on a terminal: bar, keys and ETA in the snapshot, lag
// and rates after it. From the same Status as /status. Pure; run_link shows it.
#pragma once

#include <string>

#include "keyferry/pipeline/status.hpp"

namespace keyferry {

struct ProgressStyle {
  std::size_t columns = 80;
  bool colour = false;
};

// Without line end, never wider than the terminal.
std::string progress_line(const Status& status, const ProgressStyle& style);

}  // namespace keyferry
