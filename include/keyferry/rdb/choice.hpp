// How one snapshot value travels: its raw bytes as RESTORE (or SET), element by element as
// commands, or not at all; and what is lost on the way. A pure function of the value's type and
// size, the source's dialect and the target. Whether a loss is allowed is the caller's business
// (snapshot.on_lossy, snapshot.on_unknown_module).
#pragma once

#include <bitset>
#include <span>
#include <string>

#include "keyferry/rdb/target.hpp"

namespace keyferry::rdb {

struct Choice {
  enum class Way : std::uint8_t { raw, rewrite, nothing };
  enum class Loss : std::uint8_t {
    nothing,
    field_ttls,  // the hash arrives, its fields never expire
    remembered,  // the stream arrives, but not the ids of its idempotent XADDs
    key_meta,    // the key arrives without what modules have attached to it
    value,       // the target has no such type
    module,      // the target has no module for it
  };
  Way way = Way::raw;
  Loss loss = Loss::nothing;
  int version =
      0;  // raw: what the payload's footer says; a server takes every version up to its own
};

struct ChoiceRules {
  std::size_t restore_max_bytes = 0;     // larger values are rewritten
  std::bitset<256> refused;              // types whose RESTORE this target has refused
  std::span<const std::string> modules;  // of the target: MODULE LIST
};

// `value`: its raw bytes, or as much as is known; only modules are looked into. `bytes`: its size.
Choice choose(std::uint8_t type, ByteView value, std::size_t bytes, Dialect source,
              const TargetTraits& target, const ChoiceRules& rules);

// For people: "the expiry times of its fields".
const char* describe(Choice::Loss loss);

// The nine letters in front of a module's value ("ReJSON-RL"); empty when they are not there.
std::string module_type_name(ByteView value);

}  // namespace keyferry::rdb
