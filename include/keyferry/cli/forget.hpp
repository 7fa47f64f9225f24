// `keyferry forget --target URI`: removes what links have recorded in a target. After that a link
// into it begins with a full sync, as if it had never been there.
#pragma once

#include "keyferry/config/options.hpp"

namespace keyferry {

// Exit code 2 while an instance holds the lease of a link there; nothing is removed then.
int forget_command(const CommandLine& command_line);

}  // namespace keyferry
