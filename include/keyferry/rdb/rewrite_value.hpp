// A value that is held whole, as one part of commands: what cannot go as RESTORE although it is
// small, and what a target refused to restore. Pure.
#pragma once

#include "keyferry/base/error.hpp"
#include "keyferry/rdb/elements.hpp"
#include "keyferry/rdb/rewrite.hpp"

namespace keyferry::rdb {

struct WholeValue {
  ByteView key;
  std::uint8_t type = 0;
  ByteView bytes;  // as behind the key in the snapshot
  Dialect dialect;
  std::optional<std::int64_t> expire_ms;
  const HashTemplates* templates = nullptr;
};

struct RewrittenValue {
  Rewriter::Part part;           // no replies: there was no element
  bool lost_remembered = false;  // see Rewriter::lost_remembered
};

// Error corrupt: the value cannot be decoded.
Result<RewrittenValue> rewrite_value(const WholeValue& value, const TargetTraits& target);

// The pieces of a RESTORE command in wire form, views into it; nullopt when it is none.
struct RestoreCommand {
  ByteView key;
  std::int64_t expire_ms = 0;  // 0: none
  std::uint8_t type = 0;
  ByteView value;
};
std::optional<RestoreCommand> parse_restore(ByteView wire);

}  // namespace keyferry::rdb
