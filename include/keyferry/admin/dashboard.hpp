// The dashboard: src/admin/dashboard.html as the build found it, one page without outside assets.
// It reads /events and POSTs the verbs; nothing here knows what it shows.
#pragma once

#include <string>
#include <string_view>

namespace keyferry {

std::string_view dashboard_page();

// Its Content-Security-Policy: nothing but its own script and style, by their hashes, and requests
// to where it came from.
const std::string& dashboard_policy();

}  // namespace keyferry
