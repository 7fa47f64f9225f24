// Takes the elements out of a value: of every type and encoding but modules, which only their
// module understands. Pure and resumable like RdbReader: the caller offers the unread bytes of the
// value, contiguous, again with more behind them after need_more. Holds at most one packed node or
// one element at a time; a string (also a compressed one) is given out in parts, and so is a large
// text of a collection, where that is asked for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "keyferry/base/bytes.hpp"
#include "keyferry/rdb/blob.hpp"
#include "keyferry/rdb/cursor.hpp"
#include "keyferry/rdb/element.hpp"
#include "keyferry/rdb/format.hpp"
#include "keyferry/rdb/large_text.hpp"
#include "keyferry/rdb/lzf_stream.hpp"
#include "keyferry/rdb/stream_value.hpp"
#include "keyferry/rdb/templates.hpp"

namespace keyferry::rdb {

class ElementReader {
 public:
  enum class Status : std::uint8_t { element, end, need_more, error };

  // Whether next() can decode such values.
  static bool can_read(std::uint8_t type, Dialect dialect);

  // Begins a value. `templates` (of the snapshot it comes from) must outlive the reading; without
  // them a hash that refers to one is an error.
  void start(std::uint8_t type, Dialect dialect, const HashTemplates* templates = nullptr);

  // Texts above `part_bytes` are given out in parts (Element::whole_bytes) where they lie by
  // themselves: not in packed values, nor names of fields. What would have to be held and is above
  // `held_max_bytes` is an error, Cursor::too_large.
  void limit(std::size_t part_bytes, std::size_t held_max_bytes) {
    part_bytes_ = part_bytes;
    held_max_bytes_ = held_max_bytes;
  }

  // Reads the next element from the start of `bytes`; `consumed` says how many bytes may be dropped
  // once the element was used. need_more consumes nothing. Bytes behind the value are left alone.
  Status next(ByteView bytes, Element& element, std::size_t& consumed);

  // After need_more: how many bytes, from the start, are surely needed.
  std::size_t need_bytes() const { return need_bytes_; }
  // After error: what is wrong, a sentence part, and where in the bytes offered.
  const char* problem() const { return problem_; }
  std::size_t problem_at() const { return settled_; }

 private:
  // What follows what in a value.
  enum class Form : std::uint8_t {
    none,            // a module
    text,            // one string
    strings,         // count, strings
    scored,          // count, (member, score)
    pairs,           // count, (field, value)
    pairs_ttl,       // count, (field, value, expiry or -1)
    ttl_pairs,       // count, (expiry or 0, field, value)
    min_ttl_pairs,   // minimum, count, (0 or expiry - minimum + 1, field, value)
    packed,          // one blob
    min_ttl_packed,  // minimum, one blob
    nodes,           // count, blobs
    typed_nodes,     // count, (container, blob or string)
    stream,
    array,
    own_template_packed,  // names, blob
    template_packed,      // blob that begins with the template
    own_template_array,   // names, strings
    template_array,       // template, strings
  };
  static Form form_of(std::uint8_t type, Dialect dialect);

  bool step(Cursor& in, ByteView bytes, Element& element);
  bool step_text(Cursor& in, ByteView bytes, Element& element);
  bool step_lzf(Cursor& in, ByteView bytes, Element& element);
  bool step_packed(Cursor& in, ByteView bytes, Element& element);
  bool step_head(Cursor& in, ByteView bytes);
  bool step_counted(Cursor& in, Element& element);
  bool step_array(Cursor& in, Element& element);
  bool rest_of_element(Cursor& in, ByteView bytes, const PackedEntry& first, Element& element);
  void close_blob(Cursor& in);
  void read_array_value(Cursor& in, Element& element);
  void read_names(Cursor& in);
  void use_template(Cursor& in, std::uint64_t id);
  void open_template_blob(Cursor& in, ByteView bytes);
  void read_score(Cursor& in, Element& element);
  void read_old_score(Cursor& in, Element& element);
  bool open_node(Cursor& in, ByteView bytes, Element& element);
  bool read_value(Cursor& in, Element& element);
  void begin_large(const Element& element);
  bool step_large(Cursor& in, ByteView bytes, Element& element);
  bool end_large(Cursor& in, Element& element);
  void begin_text(Cursor& in);

  Form form_ = Form::none;
  std::uint8_t type_ = 0;
  DataType data_ = DataType::string;
  PackedReader::Format format_ = PackedReader::Format::listpack;
  std::size_t entries_per_element_ = 1;
  bool head_read_ = false;
  bool ended_ = false;
  std::uint64_t left_ = 0;  // elements, nodes, or bytes of a text
  std::int64_t min_expire_ms_ = 0;

  const HashTemplates* templates_ = nullptr;
  FieldNames own_names_;
  const FieldNames* names_ = nullptr;
  std::size_t name_index_ = 0;

  std::uint64_t array_index_ = 0;
  bool array_begun_ = false;
  bool has_array_cursor_ = false;
  std::uint64_t array_cursor_ = 0;

  bool text_begun_ = false;
  bool whole_text_ = false;  // in value_scratch_
  bool in_lzf_ = false;
  LzfStream lzf_;

  std::size_t part_bytes_ = static_cast<std::size_t>(-1);
  std::size_t held_max_bytes_ = static_cast<std::size_t>(-1);
  LargeText large_;
  Bytes large_name_;  // of the field whose value is large
  std::int64_t large_expire_ms_ = 0;

  Blob blob_;
  StreamValue stream_;
  Bytes name_scratch_;
  Bytes value_scratch_;
  NumberText name_digits_ = {};
  NumberText value_digits_ = {};

  std::size_t settled_ = 0;  // of the bytes offered last: read, never read again
  std::size_t need_bytes_ = 0;
  const char* problem_ = "";
};

}  // namespace keyferry::rdb
