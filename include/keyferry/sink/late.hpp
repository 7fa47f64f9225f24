// Whether a command that sets a TTL may have found its key expired by the target's clock: it was
// late when it was decoded, or has waited with us since. Pure.
#pragma once

#include "keyferry/sink/lane.hpp"

namespace keyferry {

inline bool is_late(const Unit& unit, TimePoint received, TimePoint now) {
  constexpr std::int64_t late_after_ms = 1000;
  return unit.is_late || elapsed_ms(received, now) > late_after_ms;
}

}  // namespace keyferry
