// What a client can read of a value, as one number: equal for equal values, however a server holds
// them (encoding, order of a set, compression, release), different for different ones. Fed with the
// elements of a DUMP payload or of a large value that is read in pieces; both give the same. Pure.
//
// Left out, since a client cannot rely on it or a replica loses it: idle times of consumers and
// pending entries, entries-read of groups (Redis 7.0 does not tell its replicas), frequencies.
#pragma once

#include <cstdint>
#include <optional>

#include "keyferry/base/bytes.hpp"
#include "keyferry/rdb/element.hpp"
#include "keyferry/transform/filter.hpp"

namespace keyferry {

struct ValueDigest {
  ValueKind kind = ValueKind::unknown;
  std::uint64_t hash = 0;
  // entries-added and max-deleted-id of a stream; nullopt where they are not known (Redis < 7.0).
  std::optional<std::uint64_t> counters;
};
// Whether the values are the same, as far as both digests tell.
bool is_same(const ValueDigest& a, const ValueDigest& b);

class ValueDigester {
 public:
  // `now_ms`: fields of a hash that have expired by then are taken for gone.
  ValueDigester(ValueKind kind, std::int64_t now_ms) : now_ms_(now_ms) { digest_.kind = kind; }

  void add(const rdb::Element& element);
  // Of a value without elements.
  void add_raw(ByteView value);
  void forget_counters() { digest_.counters.reset(); }
  ValueDigest digest() const;

 private:
  ValueDigest digest_;
  std::int64_t now_ms_;
  std::uint64_t sum_ = 0;
  std::uint64_t ordered_ = 0;  // items so far
  std::uint64_t text_ = 0;     // checksum of a string so far
  std::uint64_t text_bytes_ = 0;
  std::uint64_t group_ = 0;  // of a stream: the last one's name, likewise
  std::uint64_t consumer_ = 0;
};

// Of what DUMP gave. A module's value, and one that this reader cannot take apart, stands for its
// bytes.
ValueDigest digest_of_dump(ByteView payload, std::int64_t now_ms);

// The payloads hold the same bytes, but perhaps for the release that wrote them: then the values
// are the same, and nothing need be taken apart.
bool is_same_dump(ByteView a, ByteView b);

}  // namespace keyferry
