// Plays the caller of ElementReader: delivers a value piece by piece and writes each element down
// as one line of text. The parts of a string become one line.
#pragma once

#include <charconv>
#include <string>

#include <fmt/core.h>

#include "keyferry/base/bytes.hpp"
#include "keyferry/rdb/element.hpp"

namespace keyferry::rdb::test {

inline std::string id_text(StreamId id) {
  return fmt::format("{}-{}", id.ms, id.seq);
}

inline std::string score_text(double score) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, score).ptr};
}

inline std::string stream_line(const Element& element) {
  using Kind = Element::Kind;
  switch (element.kind) {
    case Kind::entry: {
      std::string line = "entry " + id_text(element.id);
      for (const ByteView part : element.pairs)
        line += fmt::format(" \"{}\"", escaped(part, 100'000));
      return line;
    }
    case Kind::stream_info:
      return fmt::format("stream length {} last {} first {} max_deleted {} added {}",
                         element.length, id_text(element.last_id), id_text(element.first_id),
                         id_text(element.max_deleted_id), element.entries_added);
    case Kind::group:
      return fmt::format("group \"{}\" last {} read {}", escaped(element.name, 1000),
                         id_text(element.last_id), element.entries_read);
    case Kind::pending:
      return fmt::format("pending {} delivered {} times {}", id_text(element.id),
                         element.delivered_ms, element.deliveries);
    case Kind::consumer:
      return fmt::format("consumer \"{}\" seen {} active {}", escaped(element.name, 1000),
                         element.seen_ms, element.active_ms);
    case Kind::owned:
      return "owned " + id_text(element.id);
    case Kind::nacked:
      return "nacked " + id_text(element.id);
    case Kind::remembered:
      return fmt::format("remembered {} for {} s, at most {}", element.entries_added,
                         element.keep_s, element.length);
    default:
      return "?";
  }
}

inline std::string line_of(const Element& element) {
  using Kind = Element::Kind;
  // Only of the kinds that have one: another kind's is what an earlier element left there.
  const auto value = [&] { return escaped(element.value, 100'000); };
  switch (element.kind) {
    case Kind::text:
      return "text " + value();
    case Kind::item:
      return "item " + value();
    case Kind::member:
      return "member " + value();
    case Kind::scored_member:
      return fmt::format("{} {}", score_text(element.score), value());
    case Kind::field:
      return fmt::format("{} = {}{}", escaped(element.name, 100'000), value(),
                         element.expire_ms != 0 ? fmt::format(" until {}", element.expire_ms) : "");
    case Kind::array_item:
      return fmt::format("[{}] = {}", element.index, value());
    case Kind::array_cursor:
      return fmt::format("cursor {}", element.index);
    default:
      return stream_line(element);
  }
}

}  // namespace keyferry::rdb::test
