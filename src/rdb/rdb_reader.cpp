#include "keyferry/rdb/rdb_reader.hpp"

#include <limits>

#include <fmt/core.h>

#include "keyferry/base/checksum.hpp"

namespace keyferry::rdb {

RdbReader::Status RdbReader::next(ByteView bytes, Event& event, std::size_t& consumed) {
  consumed = 0;
  if (error_) return Status::error;
  KEYFERRY_ASSERT(stage_ != Stage::finished);
  KEYFERRY_ASSERT(walked_ <= bytes.size());
  Cursor in(bytes, walked_);
  for (;;) {
    const bool has_event = step(in, bytes, event);
    if (in.ok()) in.mark();
    walked_ = in.position();
    if (in.is_short()) {
      need_bytes_ = in.need_bytes();
      return Status::need_more;
    }
    if (in.is_corrupt()) {
      report(in, bytes);
      return Status::error;
    }
    if (has_event) {
      consumed = walked_;
      consume(bytes.substr(0, consumed));
      return Status::event;
    }
  }
}

bool RdbReader::step(Cursor& in, ByteView bytes, Event& event) {
  switch (stage_) {
    case Stage::record:
      return read_record(in, event);
    case Stage::value:
      return finish_value(in, bytes, event);
    case Stage::skipped:
      if (walker_.walk(in)) stage_ = Stage::record;
      return false;
    case Stage::magic:
      return read_magic(in, event);
    case Stage::trailer:
      return read_trailer(in, bytes, event);
    case Stage::finished:
      break;
  }
  return false;
}

bool RdbReader::read_magic(Cursor& in, Event& event) {
  const ByteView magic = in.raw(magic_size);
  if (!in.ok()) return false;
  const bool is_valkey = magic.starts_with(valkey_magic);
  if (!is_valkey && !magic.starts_with(redis_magic)) {
    in.fail("this is no RDB snapshot: it starts with neither REDIS nor VALKEY");
    return false;
  }
  int version = 0;
  for (const char digit : magic.substr(is_valkey ? valkey_magic.size() : redis_magic.size())) {
    if (digit < '0' || digit > '9') in.fail("the RDB version is no number");
    version = version * 10 + (digit - '0');
  }
  if (in.ok() && version == 0) in.fail("the RDB version is 0");
  if (!in.ok()) return false;
  dialect_ = {is_valkey ? Family::valkey : Family::redis, version};
  stage_ = Stage::record;
  event = Event{};
  event.kind = Event::Kind::header;
  return true;
}

bool RdbReader::read_record(Cursor& in, Event& event) {
  const std::uint8_t code = in.byte();
  if (!in.ok()) return false;
  switch (code) {
    case opcode::expire_time_ms:
    case opcode::expire_time:
    case opcode::idle:
    case opcode::freq:
      return read_attribute(in, code);
    case opcode::select_db:
      return read_select_db(in, event);
    case opcode::resize_db:
      return read_resize_db(in, event);
    case opcode::aux:
      return read_aux(in, event);
    case opcode::function2:
      return read_function(in, event);
    case opcode::module_aux:
      ++module_aux_skipped_;
      return start_skipped(layout::module);
    case opcode::slot_info:
      if (dialect_.family == Family::redis) {
        skip_slot_info(in);
      } else {
        refuse_unknown(in, code);
      }
      return false;
    case opcode::eof:
      return read_eof(event);
    default:
      return start_key(in, code);
  }
}

bool RdbReader::read_attribute(Cursor& in, std::uint8_t code) {
  // The value of a failed read is never used: the record is read again from its opcode.
  switch (code) {
    case opcode::expire_time_ms:
      attributes_.expire_ms = in.number<std::int64_t>();
      break;
    case opcode::expire_time:
      attributes_.expire_ms = std::int64_t{in.number<std::int32_t>()} * 1000;
      break;
    case opcode::idle:
      attributes_.idle_s = in.length();
      break;
    default:
      attributes_.freq = in.byte();
      break;
  }
  return false;
}

bool RdbReader::read_select_db(Cursor& in, Event& event) {
  const std::uint64_t db = in.length();
  if (db > std::numeric_limits<std::int32_t>::max()) in.fail("a database has an impossible number");
  if (!in.ok()) return false;
  db_ = static_cast<std::int32_t>(db);
  event = Event{};
  event.kind = Event::Kind::select_db;
  event.db = db_;
  return true;
}

bool RdbReader::read_resize_db(Cursor& in, Event& event) {
  const std::uint64_t keys = in.length();
  const std::uint64_t expires = in.length();
  if (!in.ok()) return false;
  event = Event{};
  event.kind = Event::Kind::resize_db;
  event.db = db_;
  event.db_keys = keys;
  event.db_expires = expires;
  return true;
}

bool RdbReader::read_aux(Cursor& in, Event& event) {
  const ByteView name = in.string(scratch_);
  const ByteView text = in.string(text_scratch_);
  if (!in.ok()) return false;
  event = Event{};
  event.kind = Event::Kind::aux;
  event.name = name;
  event.text = text;
  return true;
}

bool RdbReader::read_function(Cursor& in, Event& event) {
  const ByteView text = in.string(text_scratch_);
  if (!in.ok()) return false;
  event = Event{};
  event.kind = Event::Kind::function;
  event.text = text;
  return true;
}

bool RdbReader::start_skipped(const char* layout) {
  walker_.start(layout);
  stage_ = Stage::skipped;
  return false;
}

void RdbReader::skip_slot_info(Cursor& in) {
  const std::uint64_t slot = in.length();
  in.length();
  in.length();
  if (in.ok() && slot >= slot_count) in.fail("a slot has an impossible number");
}

bool RdbReader::start_key(Cursor& in, std::uint8_t code) {
  value_type_ = value_type(code, dialect_);
  if (value_type_.name == nullptr) {
    refuse_unknown(in, code);
    return false;
  }
  const ByteView key = in.string(scratch_);
  if (!in.ok()) return false;
  type_ = code;
  key_in_scratch_ = key.data() == scratch_.data();
  key_size_ = key.size();
  value_at_ = in.position();
  key_at_ = value_at_ - (key_in_scratch_ ? 0 : key_size_);
  walker_.start(value_type_.layout);
  stage_ = Stage::value;
  return false;
}

bool RdbReader::finish_value(Cursor& in, ByteView bytes, Event& event) {
  if (!walker_.walk(in)) return false;
  stage_ = Stage::record;
  if (walker_.saw_empty() && value_type_.refuses_empty) {
    ++empty_keys_skipped_;
    attributes_ = {};
    return false;
  }
  event = Event{};
  event.kind = Event::Kind::key;
  event.key = key_in(bytes);
  event.db = db_;
  event.type = type_;
  event.value = bytes.substr(value_at_, in.position() - value_at_);
  event.expire_ms = attributes_.expire_ms;
  event.idle_s = attributes_.idle_s;
  event.freq = attributes_.freq;
  attributes_ = {};
  return true;
}

bool RdbReader::read_eof(Event& event) {
  if (dialect_.version >= first_version_with_checksum) {
    stage_ = Stage::trailer;
    return false;
  }
  stage_ = Stage::finished;
  event = Event{};
  event.kind = Event::Kind::end;
  event.checksum_disabled = true;
  return true;
}

bool RdbReader::read_trailer(Cursor& in, ByteView bytes, Event& event) {
  const ByteView covered = bytes.substr(0, in.position());
  const auto trailer = in.number<std::uint64_t>();
  if (!in.ok()) return false;
  if (trailer != 0 && trailer != crc64(crc_, covered)) {
    in.fail("the checksum is wrong: the snapshot was damaged on its way");
    return false;
  }
  stage_ = Stage::finished;
  event = Event{};
  event.kind = Event::Kind::end;
  event.checksum_disabled = trailer == 0;
  return true;
}

// The key helps to find out what it is; it is not waited for.
void RdbReader::refuse_unknown(Cursor& in, std::uint8_t code) {
  constexpr std::uint8_t first_opcode_in_use =
      100;  // Redis Enterprise; no value type is above 64 (KeyDB)
  const bool is_type = code < first_opcode_in_use;
  unknown_ = fmt::format("{} {}", is_type ? "value type" : "opcode", code);
  Cursor ahead = in;
  const ByteView key = is_type ? ahead.string(scratch_) : ByteView{};
  if (is_type && ahead.ok()) unknown_ += fmt::format(" of key \"{}\"", escaped(key));
  in.fail("is not known to this version of KeyFerry");
}

ByteView RdbReader::key_in(ByteView bytes) const {
  return key_in_scratch_ ? ByteView(scratch_) : bytes.substr(key_at_, key_size_);
}

void RdbReader::consume(ByteView bytes) {
  crc_ = crc64(crc_, bytes);
  offset_ += bytes.size();
  walked_ = 0;
  need_bytes_ = 0;
}

void RdbReader::report(const Cursor& in, ByteView bytes) {
  std::string text = fmt::format(
      "{} RDB version {} at offset {}: ", dialect_.family == Family::valkey ? "Valkey" : "Redis",
      dialect_.version, offset_ + in.position());
  if (stage_ == Stage::value) text += fmt::format("key \"{}\": ", escaped(key_in(bytes)));
  if (!unknown_.empty()) text += unknown_ + " ";
  error_ = Error(Errc::corrupt, text + in.problem());
}

}  // namespace keyferry::rdb
