// DUMP payloads by hand, as servers of several releases write them.
#pragma once

#include "rdb/packed_builder.hpp"

namespace keyferry::test {

inline Bytes dump(int type, const Bytes& value, unsigned version = 11) {
  const Bytes covered =
      Bytes(1, static_cast<char>(type)) + value + rdb::test::little_endian(version, 2);
  return covered + rdb::test::little_endian(crc64(0, covered), 8);
}

inline Bytes strings(const std::vector<Bytes>& texts) {
  Bytes out;
  for (const Bytes& text : texts)
    out += rdb::test::string(text);
  return out;
}

// Of a type whose value is a count and that many strings: list 1, set 2, hash 4 (names and values).
inline Bytes dump_of(int type, const std::vector<Bytes>& texts, unsigned version = 11) {
  const std::size_t count = type == 4 ? texts.size() / 2 : texts.size();
  return dump(type, rdb::test::length(count) + strings(texts), version);
}

// A hash of Redis 7.4 (type 24) with one field that expires at `expire_ms`; 0: never.
inline Bytes dump_of_field(ByteView name, ByteView value, std::uint64_t expire_ms) {
  using namespace rdb::test;
  const std::uint64_t least = expire_ms == 0 ? 0 : expire_ms;
  return dump(24,
              little_endian(least, 8) + length(1) + length(expire_ms == 0 ? 0 : 1) + string(name) +
                  string(value),
              12);
}

}  // namespace keyferry::test
