// Absolute times of expiry in commands. Pure.
//
// Putting them off: while an append-only file is loaded, its keys must not expire between two of
// its commands (a server does not let them either, Redis 7.0 db.c expireIfNeeded), or one that
// renews a key finds it gone. So every absolute time is moved far ahead, and back at the end.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

// A million years: no time that a client sets comes near half of it, whole seconds, and 200 of them
// (what a server samples to learn the mean time to live) can be added up in 64 bits.
constexpr std::int64_t expiry_put_off_ms = 36'000'000'000'000'000;

constexpr bool is_put_off(std::int64_t expire_ms) {
  return expire_ms > expiry_put_off_ms / 2;
}

// Appends the command with its absolute expiry put off. False, and nothing appended: it has none.
// Times of hash fields and times relative to now stay as they are.
bool put_off_expiry(std::span<const ByteView> args, Bytes& wire);

// The unix time in ms at which the command lets its key expire, or fields of it; nullopt: it sets
// none, or one that is relative to now.
std::optional<std::int64_t> expiry_set_by(std::span<const ByteView> args);

}  // namespace keyferry
