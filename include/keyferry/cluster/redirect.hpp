// What an error reply of a target means for the command it answers: go elsewhere, wait and try
// again, or refused for good. Pure; one table row per prefix (house contract "Errors").
#pragma once

#include <string>
#include <string_view>

#include "keyferry/cluster/slot_map.hpp"

namespace keyferry {

enum class Verdict : std::uint8_t {
  ok,     // no error
  moved,  // MOVED: learn the map, send to `to`
  ask,    // ASK: send ASKING + command to `to`
  retry,  // LOADING, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, READONLY, BUSY, NOREPLICAS, MISCONF, OOM,
          // max number of clients, failover in progress: same command again after a back-off
  unreachable,  // NOAUTH, WRONGPASS, DENIED: reconnecting may help, retrying does not
  refused,  // for good: WRONGTYPE, unknown command, NOPERM of a command, BUSYKEY, anything unknown
};

struct Judgement {
  Verdict verdict = Verdict::ok;
  Slot slot = 0;  // moved, ask
  Endpoint to;    // moved, ask; an empty host means "the node that answered"
  // Short word for counters and logs: "MOVED", "OOM", "WRONGTYPE"; static storage, empty when ok.
  std::string_view kind;
  // The cluster topology should be read again (MOVED, CLUSTERDOWN, READONLY, ...).
  bool refresh_map = false;
};

// `error` is the text of an error reply without '-'; empty gives ok. An EXECABORT that names its
// reason is judged by it; one "because of previous errors" is refused, so pass the error of the
// command that failed to be queued instead (the caller keeps it). A MOVED or ASK to a host nobody
// can reach ("?") becomes a retry with a fresh map.
Judgement judge_reply(std::string_view error);

}  // namespace keyferry
