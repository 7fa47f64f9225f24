// `keyferry config show`: every option, its value and where it comes from; secrets masked.
#pragma once

#include <map>
#include <string>

#include "keyferry/config/options.hpp"

namespace keyferry {

// Exit code 2 when `run` would not start with these, 0 otherwise; the options are printed in both
// cases.
int config_show_command(const CommandLine& command_line,
                        const std::map<std::string, std::string>& environment);

}  // namespace keyferry
