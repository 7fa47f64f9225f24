// What `keyferry status` shows: the JSON of /status as one screen of text. Pure.
#pragma once

#include <string>

#include "keyferry/base/error.hpp"

namespace keyferry {

// Errc::unreachable for a text that is no status.
Result<std::string> status_screen(const std::string& json);

}  // namespace keyferry
