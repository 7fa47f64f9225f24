// Turns the bytes of an RDB snapshot into events, incrementally and without copying: the caller
// keeps the unread bytes contiguous and offers them again, with more behind them, after
// `need_more`. Pure; no Asio. It finds where each value ends by walking its structure (for RESTORE
// the bytes go on as they came); only values above a limit are given out element by element, so
// that they are never held whole.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/error.hpp"
#include "keyferry/rdb/cursor.hpp"
#include "keyferry/rdb/elements.hpp"
#include "keyferry/rdb/format.hpp"
#include "keyferry/rdb/templates.hpp"
#include "keyferry/rdb/value_walker.hpp"

namespace keyferry::rdb {

// One event. Views point into the bytes offered to next() or into the reader's own scratch
// (decompressed keys), and stay valid until the following call of next().
struct Event {
  enum class Kind {
    header,     // the magic was read: dialect() is known
    aux,        // name, text
    select_db,  // db
    resize_db,  // db_keys, db_expires: a hint
    function,   // text = library source (FUNCTION2)
    key,        // key, db, type, value, expire_ms, idle_s, freq, key_meta
    // A value of more than the reader's limit: big_key (as key, but without value), then its
    // elements, each with key, db and type again, then big_key_end (likewise).
    big_key,
    element,  // element: valid until the following call of next()
    big_key_end,
    skipped,  // text: a piece of a long record that no other event tells about
    end,      // EOF opcode and, for version >= 5, the checksum trailer were read and are right
  };
  Kind kind = Kind::header;
  ByteView name;
  ByteView text;
  ByteView key;
  std::int32_t db = 0;
  std::uint8_t type = 0;  // RDB type byte of the value
  ByteView value;         // raw value bytes behind the key, as RESTORE wants them behind `type`
  std::optional<std::int64_t> expire_ms;  // absolute unix time
  std::optional<std::uint64_t> idle_s;    // LRU
  std::optional<std::uint8_t> freq;       // LFU
  std::uint64_t db_keys = 0;
  std::uint64_t db_expires = 0;
  bool checksum_disabled = false;  // end: the trailer was 0 (rdbchecksum no)
  const Element* element = nullptr;
  ByteView key_meta;  // raw module data of the key (RDB 13 opcode 243, its body), as DUMP puts it
                      // in front of the type
};

class RdbReader {
 public:
  enum class Status { event, need_more, error };

  // Values whose raw bytes are more than `value_max_bytes` are given out as elements. Module values
  // are always whole: only RESTORE can carry them.
  explicit RdbReader(std::size_t value_max_bytes = std::numeric_limits<std::size_t>::max())
      : value_max_bytes_(value_max_bytes) {}

  // Large texts of collections (ElementReader::limit). What is above `held_max_bytes` and would
  // have to be held (packed values, names, module values) is an error, Errc::data_refused.
  void limit_elements(std::size_t part_bytes, std::size_t held_max_bytes) {
    elements_.limit(part_bytes, held_max_bytes);
    held_max_bytes_ = held_max_bytes;
  }

  // May be empty. Asked once per key, before its value has been read (no value, no metadata in the
  // event): with false the value is stepped over in pieces and no event tells of the key. Types
  // that only their elements delimit are not asked about.
  std::function<bool(const Event&)> wants;

  // Reads the next event from the start of `bytes`; `consumed` says how many bytes may be dropped
  // afterwards (the event's views point into them, so only after the event was used). With
  // need_more nothing is consumed
  // (`consumed` = 0) and need_bytes() says how many bytes, from the start, are surely needed. Work
  // is not repeated: after need_more the walk continues where it stopped, so `bytes` must begin at
  // the same place.
  Status next(ByteView bytes, Event& event, std::size_t& consumed);

  // Must not be called again after the `end` event; bytes behind the snapshot are the caller's.
  std::size_t need_bytes() const { return need_bytes_; }
  Dialect dialect() const { return dialect_; }
  // Bytes consumed so far: file offset for error messages and progress.
  std::uint64_t offset() const { return offset_; }
  // After Status::error: one line with version, offset and key (escaped), code Errc::corrupt.
  const Error& error() const { return error_; }

  // Field names that hashes of types 30 and 32 refer to; for the ElementReader that reads such a
  // value. Grows while records are read; never shrinks.
  const HashTemplates& templates() const { return templates_; }

  // What no event tells about, counted so that it can be reported: MODULE_AUX records (no command
  // can carry them) and keys without elements (servers from 6.2 on skip them too).
  std::uint64_t module_aux_skipped() const { return module_aux_skipped_; }
  std::uint64_t empty_keys_skipped() const { return empty_keys_skipped_; }
  // Slot imports under way at the source (Valkey): its keys of those slots are not its own yet.
  std::uint64_t slot_imports() const { return slot_imports_; }
  // Keys with module metadata (Event::key_meta).
  std::uint64_t keys_with_meta() const { return keys_with_meta_; }

 private:
  // magic -> record; record -> value -> record per key, or value -> elements -> record when it is
  // big; record -> skipped -> record for MODULE_AUX and the like, record -> meta -> record for
  // KEY_META; record -> trailer -> finished at EOF (version < 5: record -> finished).
  enum class Stage : std::uint8_t {
    magic,
    record,
    value,
    elements,
    skipped,
    meta,
    trailer,
    finished
  };

  // What opcodes in front of a key say about it.
  struct Attributes {
    std::optional<std::int64_t> expire_ms;
    std::optional<std::uint64_t> idle_s;
    std::optional<std::uint8_t> freq;
    std::size_t meta_at = 0;  // in the offered bytes
    std::size_t meta_size = 0;
  };

  // Each takes one step of its stage; true when `event` was filled.
  bool step(Cursor& in, ByteView bytes, Event& event);
  bool read_magic(Cursor& in, Event& event);
  bool read_record(Cursor& in, Event& event);
  bool read_attribute(Cursor& in, std::uint8_t code);
  bool read_aux(Cursor& in, Event& event);
  bool read_function(Cursor& in, Event& event);
  bool read_function_pre_ga(Cursor& in, Event& event);
  bool read_template(Cursor& in);
  bool read_family_opcode(Cursor& in, std::uint8_t code);
  bool read_select_db(Cursor& in, Event& event);
  bool read_resize_db(Cursor& in, Event& event);
  bool read_eof(Event& event);
  bool read_trailer(Cursor& in, ByteView bytes, Event& event);
  bool start_skipped(const char* layout, Stage stage);
  bool walk_value(Cursor& in, ByteView bytes);
  bool walk_elements(Cursor& in, ByteView bytes);
  enum class Walk : std::uint8_t { ended, stopped, big, too_large };
  Walk walk_to_limit(Cursor& in, ByteView bytes);
  std::size_t look_ahead() const;
  void announce_big(ByteView bytes, Event& event);
  void fill_key(ByteView bytes, Event& event);
  Status next_element(ByteView bytes, Event& event, std::size_t& consumed);
  Status need_more(const Cursor& in);
  bool may_drop_skipped() const;
  bool is_unwanted(ByteView key) const;
  Status skip_on(ByteView bytes, Event& event, std::size_t& consumed);
  bool start_key(Cursor& in, std::uint8_t code);
  bool finish_value(Cursor& in, ByteView bytes, Event& event);
  void refuse_unknown(Cursor& in, std::uint8_t code);
  bool skip_slot_info(Cursor& in);

  ByteView key_in(ByteView bytes) const;
  void consume(ByteView bytes);
  void report(std::size_t position, ByteView key, const char* problem);

  std::size_t value_max_bytes_;
  std::size_t held_max_bytes_ = std::numeric_limits<std::size_t>::max();
  Dialect dialect_;
  Stage stage_ = Stage::magic;
  std::uint64_t offset_ = 0;
  std::uint64_t crc_ = 0;
  std::size_t need_bytes_ = 0;
  std::size_t skip_left_ = 0;  // of a string inside something skipped, which nobody need hold
  std::size_t walked_ = 0;     // of the bytes offered last: settled, never read again
  std::int32_t db_ = 0;
  Attributes attributes_;

  // The key whose value is being walked; positions count from the start of the offered bytes.
  const ValueType* value_type_ = &no_value_type;
  std::uint8_t type_ = 0;
  std::size_t key_at_ = 0;
  std::size_t key_size_ = 0;
  std::size_t value_at_ = 0;
  bool key_in_scratch_ = false;
  ValueWalker walker_;
  ElementReader elements_;
  Element element_;
  std::uint64_t elements_walked_ = 0;
  Bytes big_key_;
  HashTemplates templates_;

  Bytes scratch_;
  Bytes text_scratch_;
  std::uint64_t module_aux_skipped_ = 0;
  std::uint64_t empty_keys_skipped_ = 0;
  std::uint64_t slot_imports_ = 0;
  std::uint64_t keys_with_meta_ = 0;
  std::string unknown_;  // names the type or opcode when that is the problem
  Error error_;
};

}  // namespace keyferry::rdb
