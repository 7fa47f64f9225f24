// What a command name means for replication: where its keys are and how it must be routed. One row
// per command, covering every write command of Redis 7.4 (and the newer ones that streams are known
// to carry); names the table lacks can be learnt from the target's own COMMAND reply (modules).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "keyferry/base/bytes.hpp"
#include "keyferry/resp/resp.hpp"

namespace keyferry {

// How a command travels.
enum class CommandKind : std::uint8_t {
  write,      // has keys: goes to their slot
  all_nodes,  // FLUSHALL, FLUSHDB, SWAPDB, FUNCTION, SCRIPT: every master, behind a barrier
  publish,    // PUBLISH: once, by its channel's slot; args[1] is the channel and no key
  spublish,   // SPUBLISH: to its channel's slot, likewise
  control,    // PING, REPLCONF, SELECT, MULTI, EXEC: eaten or handled by the stream decoder
  never,      // never forwarded (cluster administration in the stream): dropped and counted
};

// How the keys of a command are found (positions count from 0 = the name, as in COMMAND INFO).
enum class KeyShape : std::uint8_t {
  none,
  range,      // first, last (negative: from the end), step
  num_keys,   // args[first] = number of keys, which follow it by `step`; a destination at `last`
              // when not 0
  xread,      // the keys are the first half behind STREAMS
  migrate,    // key at `first`, or behind KEYS
  sort,       // key at 1, optional destination behind STORE
  georadius,  // key at 1, optional destination behind STORE or STOREDIST
};

// How a multi-key command may be cut into one command per slot.
enum class SplitShape : std::uint8_t { no, keys, key_value_pairs };

// When a command of an `is_absolute` row really is absolute.
enum class AbsoluteWhen : std::uint8_t {
  always,
  no_option,  // EXPIREAT, PEXPIREAT: nothing behind the time (NX, XX, GT, LT)
  set,        // SET: without NX, XX, GET, KEEPTTL or a comparison
  zadd,       // ZADD, GEOADD: without NX, XX, GT, LT, INCR
  restore,    // RESTORE: with REPLACE, and ABSTTL unless the TTL is 0
  msetex,     // MSETEX: without NX, XX, KEEPTTL
};

struct CommandInfo {
  std::string_view name;  // upper case
  CommandKind kind = CommandKind::write;
  KeyShape shape = KeyShape::range;
  std::int8_t first = 1;
  std::int8_t last = 1;
  std::int8_t step = 1;
  SplitShape split = SplitShape::no;
  bool is_absolute = false;  // its plain form leaves what it touches independent of what was there
  AbsoluteWhen absolute_when = AbsoluteWhen::always;
  bool sets_ttl = false;  // and nothing else: answers 0 (or less, per field) where the key is gone
  bool flushes = false;   // takes all keys of a database with it
};

// Whether this very command, options included, leaves what it touches independent of what was
// there, so that doing it again does no harm (house rule "absolute"). Everything unknown or
// malformed is not.
bool is_absolute(const CommandInfo& info, std::span<const ByteView> args);

// The row of a name in any letter case, or nullptr. O(1), no allocation; any thread. Container
// commands (XGROUP, FUNCTION, ...) are looked up by their first word. Reading commands have no row,
// but PFCOUNT.
const CommandInfo* find_command(ByteView name);

// Every row, for tests and documentation.
std::span<const CommandInfo> all_commands();

// Rows learnt from a server's COMMAND reply for names the static table lacks. Pipeline thread only.
class LearntCommands {
 public:
  // Takes over the write commands of a COMMAND reply (array of [name, arity, flags, first, last,
  // step, ...]); malformed rows and known names are skipped. Returns how many were new.
  std::size_t learn(const RespValue& command_reply);
  // In any letter case, or nullptr. The row stays valid as long as this object. No allocation.
  const CommandInfo* find(ByteView name) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(ByteView name) const { return std::hash<ByteView>{}(name); }
  };
  // Keyed by the upper-case name, which the row's `name` points into.
  std::unordered_map<std::string, CommandInfo, Hash, std::equal_to<>> rows_;
};

}  // namespace keyferry
