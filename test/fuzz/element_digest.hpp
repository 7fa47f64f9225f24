// Elements as one number that every way of delivery must arrive at, and the reading of a value in
// pieces, for the fuzz targets.
#pragma once

#include <bit>

#include <fmt/core.h>

#include "fuzz.hpp"
#include "keyferry/base/checksum.hpp"
#include "keyferry/rdb/elements.hpp"

namespace keyferry::fuzz {

struct ElementDigest {
  std::uint64_t crc = 0;
  std::uint64_t count = 0;
  std::size_t consumed = 0;
  rdb::ElementReader::Status status = rdb::ElementReader::Status::need_more;

  Bytes large;  // the parts so far of a large text

  bool operator==(const ElementDigest& other) const {
    return crc == other.crc && count == other.count && consumed == other.consumed &&
           status == other.status;
  }

  void add(const rdb::Element& given) {
    rdb::Element element = given;
    if (given.whole_bytes > 0) {
      large += given.value;
      if (given.has_more) return;
      element.value = large;
      element.whole_bytes = 0;
      add(element);
      large.clear();
      return;
    }
    using Kind = rdb::Element::Kind;
    // How a string is cut into parts depends on the delivery.
    if (element.kind != Kind::text) {
      ++count;
      crc = crc64(crc, fmt::format("/{}:", static_cast<int>(element.kind)));
    }
    switch (element.kind) {
      case Kind::field:
        crc = crc64(crc, fmt::format("{} {}:", element.expire_ms, element.name.size()));
        crc = crc64(crc, element.name);
        break;
      case Kind::scored_member:
        crc = crc64(crc, fmt::format("{} ", std::bit_cast<std::uint64_t>(element.score)));
        break;
      case Kind::entry:
        for (const ByteView part : element.pairs) {
          crc = crc64(crc, fmt::format("{}:", part.size()));
          crc = crc64(crc, part);
        }
        [[fallthrough]];
      case Kind::pending:
      case Kind::owned:
      case Kind::nacked:
        crc = crc64(crc, fmt::format("{}-{}", element.id.ms, element.id.seq));
        return;
      case Kind::group:
      case Kind::consumer:
        crc = crc64(crc, element.name);
        return;
      case Kind::stream_info:
        crc = crc64(crc, fmt::format("{} {}", element.length, element.entries_added));
        return;
      case Kind::remembered:
      case Kind::array_cursor:
        return;
      default:
        break;
    }
    crc = crc64(crc, element.value);
  }
};

// Reads the value at the start of `bytes`, delivered in random pieces or whole, its large texts in
// parts or not. End of input is "need more".
inline ElementDigest digest_value(ByteView bytes, std::uint8_t type, rdb::Dialect dialect,
                                  bool in_pieces, bool in_parts = false) {
  static const rdb::HashTemplates templates = {{0, {"a", "b"}}, {1, {"f"}}};
  ElementDigest digest;
  rdb::ElementReader reader;
  constexpr std::size_t part_bytes = 8;
  if (in_parts) reader.limit(part_bytes, std::size_t{1} << 30);
  reader.start(type, dialect, &templates);
  Cuts cuts(bytes);
  std::size_t delivered = in_pieces ? 0 : bytes.size();
  for (;;) {
    ExactBuffer buffer;
    const ByteView offered =
        buffer.hold(bytes.substr(digest.consumed, delivered - digest.consumed));
    rdb::Element element;
    std::size_t consumed = 0;
    digest.status = reader.next(offered, element, consumed);
    require(consumed <= offered.size(), "no more is consumed than was offered");
    if (digest.status == rdb::ElementReader::Status::need_more) {
      require(consumed == 0, "need_more consumes nothing");
      require(reader.need_bytes() > offered.size(), "need_more asks for more than there is");
      if (delivered == bytes.size()) break;
      delivered += cuts.next(bytes.size() - delivered);
      continue;
    }
    if (digest.status == rdb::ElementReader::Status::error) break;
    digest.consumed += consumed;
    if (digest.status == rdb::ElementReader::Status::end) return digest;
    digest.add(element);
  }
  // Where it stopped depends on how it came; what was given out does not.
  digest.consumed = 0;
  return digest;
}

}  // namespace keyferry::fuzz
