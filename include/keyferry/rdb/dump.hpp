// Takes a payload of DUMP apart: what RESTORE is given. Verifies its footer; the value itself is
// the element reader's. (The writing side is restore.) Pure.
#pragma once

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/error.hpp"
#include "keyferry/rdb/format.hpp"

namespace keyferry::rdb {

// Views point into the payload.
struct DumpPayload {
  Dialect dialect;  // from the footer's version
  std::uint8_t type = 0;
  ByteView value;
  ByteView key_meta;               // as in Event
  bool checksum_disabled = false;  // 0 in its place (Redis 8.6 accepts and writes that)
};

// The parts of `payload`; an error (Errc::corrupt) when the footer is not right. Whether the type
// is known and the value complete, the element reader finds out.
Result<DumpPayload> parse_dump(ByteView payload);

}  // namespace keyferry::rdb
