// transform.ttl inside the commands of a stream: what becomes of EXPIRE, SETEX, SET ... PX,
// RESTORE and their like. Pure.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "keyferry/command/command_table.hpp"
#include "keyferry/transform/remap.hpp"

namespace keyferry {

enum class TtlChange : std::uint8_t {
  none,     // the command says nothing about a key's expiry
  changed,  // `args` were rewritten
  drop,     // it did nothing else than set an expiry
};

// Rewrites `args` by the policy of `remap`; new texts live in `texts`. Expiries of hash fields are
// left alone.
TtlChange change_ttl(const Remap& remap, const CommandInfo& info, std::vector<ByteView>& args,
                     std::deque<Bytes>& texts);

}  // namespace keyferry
