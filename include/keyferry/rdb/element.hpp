// One part of a decoded value: what the element reader (elements.hpp) takes out of a value's bytes
// and what the rewriting (rewrite.hpp) turns into commands. Plain data, no behaviour.
// Only the members that `kind` names are set; the others keep what an earlier element left there.
#pragma once

#include <cstdint>
#include <span>

#include "keyferry/base/bytes.hpp"

namespace keyferry::rdb {

struct StreamId {
  std::uint64_t ms = 0;
  std::uint64_t seq = 0;
};

// Views stay valid until the next element is read.
struct Element {
  enum class Kind : std::uint8_t {
    text,           // string: its next bytes in `value`; parts come in order, of any size
    item,           // list, in order: value
    member,         // set: value
    scored_member,  // sorted set: value, score
    field,          // hash: name, value, expire_ms (0: none)
    entry,          // stream, in order, deleted ones left out: id, pairs (field, value, ...)
    stream_info,    // stream, behind its entries: length, last_id, first_id, max_deleted_id,
                    // entries_added
    group,          // of the stream: name, last_id, entries_read
    pending,        // of the last group: id, delivered_ms, deliveries; its owner comes later
    consumer,       // of the last group: name, seen_ms, active_ms
    owned,          // of the last consumer: id, one of the group's pending entries
    nacked,         // of the last group, behind its consumers: id of a pending entry without owner
    remembered,     // stream, last: what XADD IDMP keeps: keep_s, length (at most, per producer),
                    // entries_added (ids kept now); no command carries the ids
    array_item,     // array, ascending: index, value
    array_cursor,   // array, behind its items, if it has one: index, the last one inserted at
  };
  Kind kind = Kind::text;
  ByteView name;
  ByteView value;
  double score = 0;
  std::int64_t expire_ms = 0;  // absolute unix time
  StreamId id;
  std::span<const ByteView> pairs;
  std::uint64_t length = 0;
  StreamId last_id;
  StreamId first_id;
  StreamId max_deleted_id;
  std::uint64_t entries_added = 0;
  std::int64_t entries_read = -1;  // -1: not known
  std::int64_t delivered_ms = 0;
  std::uint64_t deliveries = 0;
  std::int64_t seen_ms = -1;    // -1: the format does not say
  std::int64_t active_ms = -1;  // -1: never active, or the format does not say
  std::uint64_t index = 0;
  std::uint64_t keep_s = 0;
  // item, member, scored_member, field with a text above the reader's limit: comes as several
  // elements, each with the next bytes of it in `value`; the last one brings none, but score and
  // expiry. 0: the text is whole.
  std::uint64_t whole_bytes = 0;
  bool has_more = false;
};

}  // namespace keyferry::rdb
