// What keyspace notifications say (Redis documentation, "Redis keyspace notifications"): messages
// of the subscriber link, whether an event changes its key, and which flags the source must have
// set. Pure.
//
// An event is never carried out: it only says that its key must be read again, and a key that is
// not found then is deleted at the target. So deletion, expiry, eviction, renaming and writing all
// have the same effect, and lost order between events of one key does no harm.
#pragma once

#include <cstdint>
#include <string>

#include "keyferry/resp/reply_cursor.hpp"

namespace keyferry {

// Views point into the bytes offered to parse_push.
struct KeyEvent {
  std::int32_t db = 0;
  ByteView event;  // "set", "del", "expired", ...
  ByteView key;
};

struct Push {
  enum class Kind : std::uint8_t { event, subscribed, pong, error, other };
  Kind kind = Kind::other;
  KeyEvent event;
  ByteView text;  // error: the server's words
};

// One message of a link that has said PSUBSCRIBE; `size` is what it takes of `bytes`.
ReplyCursor::Status parse_push(ByteView bytes, Push& push, std::size_t& size);

// Every database, every event.
inline constexpr std::string_view key_event_pattern = "__keyevent@*__:*";

// Whether the key may have another value, or another expiry, behind this event. An event that we
// do not know does.
bool changes_key(ByteView event);

// Letters that `flags` (CONFIG GET notify-keyspace-events) must hold and does not; "" when events
// of every change arrive. `has_module_keys`: types of modules have a class of their own, "d".
std::string missing_notify_flags(ByteView flags, bool has_module_keys);

}  // namespace keyferry
