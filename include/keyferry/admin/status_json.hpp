// The JSON of GET /status: one Status as the document of interface "HTTP". Pure; serving it is
// http_session's work.
#pragma once

#include <string>

#include "keyferry/pipeline/status.hpp"

namespace keyferry {

// Unknown values (lag before the first reading, totals the source did not announce) are null, never
// 0.
std::string status_json(const Status& status);

}  // namespace keyferry
