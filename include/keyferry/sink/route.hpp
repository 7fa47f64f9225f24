// Where a command of the stream goes: decided once, as a pure function of the command and the kind
// of target. Redirects and retries are not its business (sink/redis_sink).
#pragma once

#include "keyferry/command/keys.hpp"

namespace keyferry {

struct Route {
  enum class Kind {
    lane,       // to the lane of `slot` (standalone: always slot 0, one total order)
    all_nodes,  // to every master, behind everything before and before everything behind
    split,      // one piece per slot (command/keys: split_by_slot)
    // No node can carry it out: what it writes is copied from the source; refused where that cannot
    // be.
    copy_written,
    drop,    // not for the target; counted as filtered
    refuse,  // cannot be carried out there; errors.policy decides
  };
  Kind kind = Kind::lane;
  Slot slot = 0;
  const char* reason = "";  // copy_written, drop, refuse: a word for counters and logs
};

// `info` is the command's row, found in the table or learnt from the target; nullptr when nobody
// knows the name.
Route route_command(const CommandInfo* info, std::span<const ByteView> args, std::int32_t db,
                    bool is_cluster);

// The same for one that the rules of filter and mapping have refused.
Route route_refused(const char* reason);

}  // namespace keyferry
