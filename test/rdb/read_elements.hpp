// Plays the caller of ElementReader: delivers a value piece by piece and writes each element down
// as one line of text. The parts of a string, and of a large text, become one line.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "decode.hpp"
#include "element_text.hpp"
#include "keyferry/rdb/elements.hpp"

namespace keyferry::rdb::test {

struct Elements {
  ElementReader::Status status = ElementReader::Status::need_more;
  std::vector<std::string> lines;
  std::string problem;
  std::size_t consumed = 0;
  Bytes large;
  std::size_t large_parts = 0;

  void add(const Element& element) {
    if (element.whole_bytes > 0) {
      large += element.value;
      ++large_parts;
      if (element.has_more) return;
      EXPECT_EQ(large.size(), element.whole_bytes);
      Element whole = element;
      whole.value = large;
      lines.push_back(line_of(whole));
      large.clear();
      return;
    }
    std::string line = line_of(element);
    if (element.kind == Element::Kind::text && !lines.empty()) {
      lines.back() += escaped(element.value, 100'000'000);
    } else {
      lines.push_back(std::move(line));
    }
  }
};

// What ElementReader::limit is told.
struct Limits {
  std::size_t part_bytes = static_cast<std::size_t>(-1);
  std::size_t held_max_bytes = static_cast<std::size_t>(-1);
};

// `pieces` are views of one contiguous sequence that begins with the value.
template <class Buffer = ExactBuffer>
Elements read_elements(std::span<const ByteView> pieces, std::uint8_t type, Dialect dialect,
                       const HashTemplates* templates = nullptr, Limits limits = {}) {
  Elements out;
  ElementReader reader;
  reader.limit(limits.part_bytes, limits.held_max_bytes);
  reader.start(type, dialect, templates);
  Buffer buffer;
  std::size_t delivered = 0;
  const char* start = pieces.empty() ? nullptr : pieces.front().data();
  for (const ByteView piece : pieces) {
    delivered += piece.size();
    for (;;) {
      const ByteView offered = buffer.offer({start + out.consumed, delivered - out.consumed});
      Element element;
      std::size_t consumed = 0;
      out.status = reader.next(offered, element, consumed);
      EXPECT_LE(consumed, offered.size());
      if (out.status == ElementReader::Status::need_more) {
        EXPECT_EQ(consumed, 0U);
        EXPECT_GT(reader.need_bytes(), offered.size()) << "the caller would wait for nothing";
        break;
      }
      if (out.status == ElementReader::Status::error) {
        out.problem = reader.problem();
        return out;
      }
      out.consumed += consumed;
      if (out.status == ElementReader::Status::end) return out;
      out.add(element);
    }
  }
  return out;
}

inline Elements read_elements(ByteView whole, std::uint8_t type,
                              Dialect dialect = {Family::redis, 99},
                              const HashTemplates* templates = nullptr) {
  const std::vector<ByteView> pieces{whole};
  return read_elements(pieces, type, dialect, templates);
}

}  // namespace keyferry::rdb::test
