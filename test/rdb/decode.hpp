// Plays the caller of RdbReader: delivers bytes piece by piece and writes each event down as one
// line of text.
#pragma once

#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "element_text.hpp"
#include "keyferry/rdb/rdb_reader.hpp"

namespace keyferry::rdb::test {

inline Bytes read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

inline Bytes read_data(const std::string& name) {
  return read_file(std::string(KEYFERRY_TEST_DATA) + "/rdb/" + name);
}

template <class T>
std::string or_dash(const std::optional<T>& value) {
  return value ? std::to_string(*value) : "-";
}

inline std::string rank_text(const Event& event) {
  if (event.idle_s) return fmt::format("idle={}", *event.idle_s);
  return event.freq ? fmt::format("freq={}", *event.freq) : "-";
}

inline std::string line_of(const Event& event, Dialect dialect) {
  constexpr std::size_t all = 100'000;
  switch (event.kind) {
    case Event::Kind::header:
      return fmt::format("header {} {}", dialect.family == Family::redis ? "redis" : "valkey",
                         dialect.version);
    case Event::Kind::aux:
      return fmt::format("aux \"{}\" \"{}\"", escaped(event.name, all), escaped(event.text, all));
    case Event::Kind::select_db:
      return fmt::format("select_db {}", event.db);
    case Event::Kind::resize_db:
      return fmt::format("resize_db {} {}", event.db_keys, event.db_expires);
    case Event::Kind::function:
      return fmt::format("function \"{}\"", escaped(event.text, all));
    case Event::Kind::key:
      return fmt::format("key {} type {} expire {} {} \"{}\" value \"{}\"", event.db, event.type,
                         or_dash(event.expire_ms), rank_text(event), escaped(event.key, all),
                         escaped(event.value, all));
    case Event::Kind::big_key:
      return fmt::format("big key {} type {} expire {} {} \"{}\"", event.db, event.type,
                         or_dash(event.expire_ms), rank_text(event), escaped(event.key, all));
    case Event::Kind::element:
      return line_of(*event.element);
    case Event::Kind::big_key_end:
      return fmt::format("end of \"{}\"", escaped(event.key, all));
    case Event::Kind::skipped:
      return "skipped";
    case Event::Kind::end:
      return event.checksum_disabled ? "end, no checksum" : "end";
  }
  return "?";
}

struct Reading {
  RdbReader::Status status = RdbReader::Status::need_more;
  std::vector<std::string> lines;
  std::string error;
  std::size_t consumed = 0;

  // How a string is cut into parts depends on the delivery: they become one line.
  void add(const Event& event, Dialect dialect) {
    const bool is_text =
        event.kind == Event::Kind::element && event.element->kind == Element::Kind::text;
    if (is_text && !lines.empty() && lines.back().starts_with("text ")) {
      lines.back() += escaped(event.element->value, event.element->value.size());
    } else if (event.kind != Event::Kind::skipped) {
      lines.push_back(line_of(event, dialect));
    }
  }

  bool ended() const {
    return !lines.empty() && (lines.back() == "end" || lines.back() == "end, no checksum");
  }
};

// What the caller holds: the unread bytes in a buffer of exactly their size, new at every call, so
// that a read past its end or a view kept over a call is found by ASan. Costs a copy per call: for
// small files.
class ExactBuffer {
 public:
  ByteView offer(ByteView unread) {
    copy_.reset(new char[unread.size()]);
    std::copy(unread.begin(), unread.end(), copy_.get());
    return {copy_.get(), unread.size()};
  }

 private:
  std::unique_ptr<char[]> copy_;
};

// Offers the bytes where they are: for large files.
struct SharedBuffer {
  ByteView offer(ByteView unread) { return unread; }
};

// `pieces` are views of one contiguous sequence (as for_each_split gives them). on_event is called
// per event.
template <class Buffer, class OnEvent>
Reading decode(std::span<const ByteView> pieces, RdbReader& reader, OnEvent on_event) {
  Reading out;
  Buffer buffer;
  std::size_t delivered = 0;
  std::size_t needed = 0;
  const char* start = pieces.empty() ? nullptr : pieces.front().data();
  for (const ByteView piece : pieces) {
    delivered += piece.size();
    for (bool go_on = true; go_on;) {
      const ByteView offered = buffer.offer({start + out.consumed, delivered - out.consumed});
      Event event;
      std::size_t consumed = 0;
      out.status = reader.next(offered, event, consumed);
      go_on = out.status == RdbReader::Status::event;
      if (go_on) {
        EXPECT_GE(offered.size(), needed) << "need_bytes() asked for more than was needed";
        on_event(event);
        out.add(event, reader.dialect());
        out.consumed += consumed;
        EXPECT_EQ(reader.offset(), out.consumed);
        needed = 0;
        if (event.kind == Event::Kind::end) return out;
      } else if (out.status == RdbReader::Status::error) {
        EXPECT_TRUE(reader.error().is(Errc::corrupt));
        out.error = reader.error().what;
        return out;
      } else {
        EXPECT_EQ(consumed, 0U);
        EXPECT_GT(reader.need_bytes(), offered.size()) << "the caller would wait for nothing";
        EXPECT_GE(reader.need_bytes(), needed) << "need_bytes() went back";
        needed = reader.need_bytes();
      }
    }
  }
  return out;
}

template <class Buffer = ExactBuffer>
Reading decode(std::span<const ByteView> pieces) {
  RdbReader reader;
  return decode<Buffer>(pieces, reader, [](const Event&) {});
}

template <class Buffer = ExactBuffer>
Reading decode_with_limit(std::span<const ByteView> pieces, std::size_t value_max_bytes) {
  RdbReader reader(value_max_bytes);
  return decode<Buffer>(pieces, reader, [](const Event&) {});
}

inline Reading decode(ByteView whole) {
  const std::vector<ByteView> pieces{whole};
  return decode(pieces);
}

}  // namespace keyferry::rdb::test
