// What a link of several sources remembers in its target besides each one's own record. Pure: text
// and back. The value of key "keyferry:{<tag>}:<link>:sources", one line:
//
//   record = "keyferry1" SP target SP state
//   target = "target=" ("own" / "shared")      ; own: it held nothing when the link began
//   state  = "state=" ("loading" / "complete") ; complete: every source's snapshot was applied once
//
// Fields that a later version adds stand behind `state`; readers ignore them.
#pragma once

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/error.hpp"

namespace keyferry {

struct SourcesRecord {
  bool owns_target = false;
  bool is_complete = false;

  bool operator==(const SourcesRecord&) const = default;
};

void append_sources_record(Bytes& out, const SourcesRecord& record);

// Errc::corrupt for anything else, a later major version included.
Result<SourcesRecord> parse_sources_record(ByteView text);

}  // namespace keyferry
