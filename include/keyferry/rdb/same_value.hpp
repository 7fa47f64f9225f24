// Whether two payloads of DUMP hold the same value, whatever encodings and releases they come from:
// the elements count, and their order only where a type has one. What a replica is not told of a
// stream (when consumers were seen, counts of entries) is left out. Pure; takes both apart whole,
// so it is for values that fit into memory several times.
#pragma once

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/error.hpp"

namespace keyferry::rdb {

// The answer in `same`. Errc::corrupt when one of them is no payload or cannot be taken apart.
// Values of modules are equal when their bytes are.
Error same_value(ByteView a, ByteView b, bool& same);

}  // namespace keyferry::rdb
