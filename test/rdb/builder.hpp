// Writes small RDB files by hand: lengths and strings in every encoding, and the frame of a file
// with its checksum.
#pragma once

#include <cstdint>
#include <string>

#include <fmt/core.h>

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/checksum.hpp"

namespace keyferry::rdb::test {

// Bytes of a literal that may hold NULs.
template <std::size_t n>
Bytes raw(const char (&literal)[n]) {
  return Bytes(literal, n - 1);
}

inline Bytes little_endian(std::uint64_t value, int size) {
  Bytes out;
  for (int i = 0; i < size; ++i)
    out += static_cast<char>(value >> (8 * i));
  return out;
}

inline Bytes big_endian(std::uint64_t value, int size) {
  Bytes out;
  for (int i = size - 1; i >= 0; --i)
    out += static_cast<char>(value >> (8 * i));
  return out;
}

// The shortest form, as servers write it.
inline Bytes length(std::uint64_t value) {
  if (value < 64) return big_endian(value, 1);
  if (value < 16384) return big_endian(value | 0x4000, 2);
  if (value <= 0xffffffff) return raw("\x80") + big_endian(value, 4);
  return raw("\x81") + big_endian(value, 8);
}

inline Bytes string(ByteView bytes) {
  return length(bytes.size()) + Bytes(bytes);
}
inline Bytes int8(int value) {
  return raw("\xc0") + little_endian(static_cast<unsigned>(value), 1);
}
inline Bytes int16(int value) {
  return raw("\xc1") + little_endian(static_cast<unsigned>(value), 2);
}
inline Bytes int32(int value) {
  return raw("\xc2") + little_endian(static_cast<unsigned>(value), 4);
}

// `size` (10 to 264) times the letter `c`, LZF compressed: one literal, then one overlapping copy.
inline Bytes lzf(char c, unsigned size) {
  Bytes blob = raw("\x00") + Bytes(1, c) + raw("\xe0");
  blob += static_cast<char>(size - 1 - 9);
  blob += '\0';
  return raw("\xc3") + length(blob.size()) + length(size) + blob;
}

inline Bytes record(int type, ByteView key, ByteView value) {
  return Bytes(1, static_cast<char>(type)) + string(key) + Bytes(value);
}

inline Bytes magic(int version) {
  return fmt::format("REDIS{:04}", version);
}

// A whole file around `body`, with a right checksum where the version has one.
inline Bytes file(int version, ByteView body) {
  Bytes out = magic(version) + Bytes(body) + raw("\xff");
  if (version >= 5) out += little_endian(crc64(0, out), 8);
  return out;
}

}  // namespace keyferry::rdb::test
