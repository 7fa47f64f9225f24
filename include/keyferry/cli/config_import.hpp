// `keyferry config import FILE.toml`: a RedisShake configuration as ours, on standard output; what
// has no equivalent stands above it as comments.
#pragma once

#include <string>

namespace keyferry {

// Exit code 0; 1 when something that changes which data arrives could not be carried over; 2 when
// the file cannot be read or is none of RedisShake's. "-" is standard input.
int config_import_command(const std::string& file);

}  // namespace keyferry
