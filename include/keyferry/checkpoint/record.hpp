// What the target itself says about a link: how far its source has been applied here. Written in
// one transaction with the data it vouches for, so it survives the loss of our machine and follows
// the target through its failovers. Pure: text and back.
//
// The value of key "keyferry:{<tag>}:<link>" (database 0), one line, fields in this order:
//
//   record     = "keyferry1" SP generation SP state SP target SP db SP options SP judged SP history
//   generation = "generation=" number          ; full syncs this link has begun, from 1
//   state      = "state=" ("loading" / "complete")  ; loading: a snapshot is being applied
//   target     = "target=" ("own" / "shared")  ; own: the target held nothing when the link began
//   db         = "db=" number                  ; selected in the stream behind `judged`
//   options    = "options=" 16hex              ; fingerprint of what changes the data; 0: nothing
//   judged     = "judged=" number              ; up to this offset every reply was read
//   history    = replid ":" number             ; 40 hex digits, applied offset (>= judged)
//
// Fields that a later version adds stand behind `history`; readers ignore them.
#pragma once

#include <cstdint>
#include <string>

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/error.hpp"
#include "keyferry/command/batch.hpp"

namespace keyferry {

struct Record {
  enum class State : std::uint8_t { loading, complete };
  std::uint64_t generation = 0;
  State state = State::loading;
  bool owns_target = false;
  std::int32_t db = 0;
  std::uint64_t options = 0;
  Offset judged = 0;
  std::string replid;
  Offset offset = 0;

  bool operator==(const Record&) const = default;
};

// Appends the text of `record`. No allocation but the buffer's own.
void append_record(Bytes& out, const Record& record);

// The record in `text`. Errc::corrupt for anything else, a later major version included.
Result<Record> parse_record(ByteView text);

// Names of our keys. `tag` puts a key into a slot of a cluster (any on a standalone target).
struct OwnKeys {
  std::string record;
  std::string lease;  // token of the instance that may write; expires
  std::string fence;  // hash with the token of the instance that took over last as a field, and
                      // guards (sink/guard_ring); watched by transactions
};
OwnKeys own_keys(const std::string& link, const std::string& tag);

// The name of the link from `uri` to its target when the user gives none: 12 hex digits that do not
// depend on credentials.
std::string link_name(const std::string& uri_without_credentials);

}  // namespace keyferry
