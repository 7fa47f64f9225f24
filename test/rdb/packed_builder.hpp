// Writes packed blobs by hand: listpacks, ziplists, intsets, zipmaps, and the nodes of streams.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "builder.hpp"

namespace keyferry::rdb::test {

// One listpack entry with its back length behind it.
inline Bytes with_back_length(const Bytes& entry) {
  Bytes back;
  for (std::size_t rest = entry.size();; rest >>= 7) {
    back.insert(back.begin(), static_cast<char>(rest & 0x7f));
    if (rest < 128) break;
  }
  for (std::size_t i = 1; i < back.size(); ++i)
    back[i] = static_cast<char>(back[i] | 0x80);
  return entry + back;
}

inline Bytes lp_text(ByteView text) {
  if (text.size() < 64) return with_back_length(big_endian(0x80 | text.size(), 1) + Bytes(text));
  if (text.size() < 4096) {
    return with_back_length(big_endian(0xe000 | text.size(), 2) + Bytes(text));
  }
  return with_back_length(raw("\xf0") + little_endian(text.size(), 4) + Bytes(text));
}

// The shortest of the number forms.
inline Bytes lp_number(std::int64_t number) {
  const auto bits = static_cast<std::uint64_t>(number);
  if (number >= 0 && number < 128) return with_back_length(big_endian(bits, 1));
  if (number >= -4096 && number < 4096) {
    return with_back_length(big_endian(0xc000 | (bits & 0x1fff), 2));
  }
  if (number >= INT16_MIN && number <= INT16_MAX)
    return with_back_length(raw("\xf1") + little_endian(bits, 2));
  if (number >= -(1 << 23) && number < 1 << 23)
    return with_back_length(raw("\xf2") + little_endian(bits, 3));
  if (number >= INT32_MIN && number <= INT32_MAX)
    return with_back_length(raw("\xf3") + little_endian(bits, 4));
  return with_back_length(raw("\xf4") + little_endian(bits, 8));
}

// `entries` already have their back lengths.
inline Bytes listpack(const std::vector<Bytes>& entries) {
  Bytes body;
  for (const Bytes& entry : entries)
    body += entry;
  const std::size_t count = std::min<std::size_t>(entries.size(), 0xffff);
  return little_endian(body.size() + 7, 4) + little_endian(count, 2) + body + raw("\xff");
}

// Ziplist entries without the length of the one before them.
inline Bytes zl_text(ByteView text) {
  if (text.size() < 64) return big_endian(text.size(), 1) + Bytes(text);
  if (text.size() < 16384) return big_endian(0x4000 | text.size(), 2) + Bytes(text);
  return raw("\x80") + big_endian(text.size(), 4) + Bytes(text);
}
inline Bytes zl_number(std::uint8_t encoding, std::int64_t number, int size) {
  return Bytes(1, static_cast<char>(encoding)) +
         little_endian(static_cast<std::uint64_t>(number), size);
}

inline Bytes ziplist(const std::vector<Bytes>& entries) {
  Bytes body;
  std::size_t previous = 0;
  std::size_t tail = 10;
  for (const Bytes& entry : entries) {
    const Bytes length =
        previous < 254 ? little_endian(previous, 1) : raw("\xfe") + little_endian(previous, 4);
    tail = 10 + body.size();
    body += length + entry;
    previous = length.size() + entry.size();
  }
  const std::size_t count = std::min<std::size_t>(entries.size(), 0xffff);
  return little_endian(body.size() + 11, 4) + little_endian(tail, 4) + little_endian(count, 2) +
         body + raw("\xff");
}

inline Bytes intset(int width, const std::vector<std::int64_t>& numbers) {
  Bytes out = little_endian(static_cast<unsigned>(width), 4) + little_endian(numbers.size(), 4);
  for (const std::int64_t number : numbers)
    out += little_endian(static_cast<std::uint64_t>(number), width);
  return out;
}

// A node of a stream: its ID as a string, its entries as a listpack string.
inline Bytes stream_node(std::uint64_t ms, std::uint64_t seq, const std::vector<Bytes>& entries) {
  return string(big_endian(ms, 8) + big_endian(seq, 8)) + string(listpack(entries));
}

}  // namespace keyferry::rdb::test
