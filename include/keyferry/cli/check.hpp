// `keyferry check`: asks both ends, prints each finding with what to do. The judging is
// pipeline/preflight's.
#pragma once

#include <string>
#include <vector>

#include "keyferry/config/options.hpp"
#include "keyferry/pipeline/preflight.hpp"

namespace keyferry {

// Exit code 0, 1 with a failed check, 2 for wrong options, 3 when an end was not reached.
int check_command(const CommandLine& command_line, bool json);

// `keyferry cutover --undo-fence`: the source takes writes again.
int undo_fence_command(const CommandLine& command_line);

std::string check_text(const std::vector<Finding>& findings);
std::string check_json(const std::vector<Finding>& findings);
int check_exit_code(const std::vector<Finding>& findings);

}  // namespace keyferry
