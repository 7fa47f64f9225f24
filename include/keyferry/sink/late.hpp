// Whether a command that sets a TTL may have found its key expired by the target's clock: it was
// late when it was decoded, or has waited with us since.
#pragma once

#include "keyferry/sink/lane.hpp"

namespace keyferry {

// Answered at `now`. The shorter the key lives, the shorter it may wait: whoever renews a key so
// late in its life that the wait decides is then one in a hundred, and not in thousands.
bool is_late(const Unit& unit, TimePoint received, TimePoint now);

}  // namespace keyferry
