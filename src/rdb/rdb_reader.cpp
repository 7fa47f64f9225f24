#include "keyferry/rdb/rdb_reader.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/core.h>

#include "keyferry/base/checksum.hpp"

namespace keyferry::rdb {

namespace {

// Snapshots that are compressed as a whole begin so (Valkey 9.2, documentation).
constexpr ByteView compressed_magic = "VCS";

// Below this no value counts as big before its end was seen: a collection without elements is at
// most this long, and is skipped.
constexpr std::size_t max_empty_value = 32;

// Skipped records are dropped in pieces of at least this size.
constexpr std::size_t skipped_piece = std::size_t{64} * 1024;

}  // namespace

RdbReader::Status RdbReader::next(ByteView bytes, Event& event, std::size_t& consumed) {
  consumed = 0;
  if (error_) return Status::error;
  KEYFERRY_ASSERT(stage_ != Stage::finished);
  KEYFERRY_ASSERT(walked_ <= bytes.size());
  if (stage_ == Stage::elements) return next_element(bytes, event, consumed);
  if (skip_left_ > 0) return skip_on(bytes, event, consumed);
  Cursor in(bytes, walked_);
  for (;;) {
    const bool has_event = step(in, bytes, event);
    if (in.ok()) in.mark();
    if (stage_ != Stage::elements) walked_ = in.position();
    if (in.is_corrupt()) {
      report(walked_, stage_ == Stage::value ? key_in(bytes) : ByteView(), in.problem());
      return Status::error;
    }
    if (error_) return Status::error;
    if (!has_event && in.ok()) continue;
    if (!has_event) {
      const bool in_long_string = stage_ == Stage::skipped && attributes_.meta_size == 0 &&
                                  in.need_bytes() - walked_ > skipped_piece;
      if (in_long_string) {
        skip_left_ = in.need_bytes();
        walker_.pass_string();
        return skip_on(bytes, event, consumed);
      }
      if (stage_ != Stage::skipped || !may_drop_skipped()) return need_more(in);
      event = Event{};
      event.kind = Event::Kind::skipped;
      event.text = bytes.substr(0, walked_);
    }
    consumed = walked_;
    consume(bytes.substr(0, consumed));
    return Status::event;
  }
}

// The length of what follows is known, and that is all that matters of it.
RdbReader::Status RdbReader::skip_on(ByteView bytes, Event& event, std::size_t& consumed) {
  if (bytes.empty()) {
    need_bytes_ = 1;
    return Status::need_more;
  }
  consumed = std::min(skip_left_, bytes.size());
  skip_left_ -= consumed;
  event = Event{};
  event.kind = Event::Kind::skipped;
  event.text = bytes.substr(0, consumed);
  consume(event.text);
  return Status::event;
}

RdbReader::Status RdbReader::need_more(const Cursor& in) {
  need_bytes_ = in.need_bytes();
  return Status::need_more;
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
    case Stage::meta:
      if (walker_.walk(in)) {
        attributes_.meta_size = in.position() - attributes_.meta_at;
        ++keys_with_meta_;
        stage_ = Stage::record;
      }
      return false;
    case Stage::magic:
      return read_magic(in, event);
    case Stage::trailer:
      return read_trailer(in, bytes, event);
    case Stage::elements:
    case Stage::finished:
      break;
  }
  return false;
}

bool RdbReader::read_magic(Cursor& in, Event& event) {
  const ByteView magic = in.raw(magic_size);
  if (!in.ok()) return false;
  if (magic.starts_with(compressed_magic)) {
    in.fail("the snapshot is compressed as a whole (Valkey 9.2), which is not read");
    return false;
  }
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
      return start_skipped(layout::module, Stage::skipped);
    case opcode::function_pre_ga:
      return read_function_pre_ga(in, event);
    case opcode::hash_template:
    case opcode::key_meta:
    case opcode::slot_info:
    case opcode::enterprise_ram_lru:
    case opcode::enterprise_slot_num:
      return read_family_opcode(in, code);
    case opcode::eof:
      return read_eof(event);
    default:
      return start_key(in, code);
  }
}

// Opcodes that mean different things in the dialects, or nothing in one of them.
bool RdbReader::read_family_opcode(Cursor& in, std::uint8_t code) {
  const bool is_redis = dialect_.family == Family::redis;
  const int version = dialect_.version;
  if (!is_redis) {
    if (code == opcode::slot_import && version >= first_valkey_version) {
      ++slot_imports_;
      return start_skipped(layout::slot_import, Stage::skipped);
    }
  } else if (code == opcode::slot_info) {
    return skip_slot_info(in);
  } else if (code == opcode::key_meta && version >= first_version_with_key_meta) {
    attributes_.meta_at = in.position();
    return start_skipped(layout::key_meta, Stage::meta);
  } else if (code == opcode::hash_template && version >= first_version_with_templates) {
    return read_template(in);
  } else if (code == opcode::enterprise_ram_lru || code == opcode::enterprise_slot_num) {
    in.length();
    return false;
  }
  refuse_unknown(in, code);
  return false;
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

// The API these were written for differs from the later one in details; the header that FUNCTION
// LOAD wants is put in front (Redis 7.0-rc2 rdb.c rdbSaveFunctions, Redis 7.0 function.c).
bool RdbReader::read_function_pre_ga(Cursor& in, Event& event) {
  Bytes name(in.string(scratch_));
  Bytes engine(in.string(scratch_));
  if (in.length() != 0) in.skip_string();
  const ByteView code = in.string(scratch_);
  if (!in.ok()) return false;
  for (char& c : engine)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  text_scratch_ = fmt::format("#!{} name={}\n", engine, name);
  text_scratch_ += code;
  event = Event{};
  event.kind = Event::Kind::function;
  event.text = text_scratch_;
  return true;
}

bool RdbReader::read_template(Cursor& in) {
  const std::uint64_t id = in.length();
  FieldNames names;
  for (std::uint64_t left = in.count(); left > 0 && in.ok(); --left)
    names.emplace_back(in.string(scratch_));
  if (!in.ok()) return false;
  if (names.empty() || !is_template_order(names)) {
    in.fail("the fields of a hash template are not in order");
  } else if (!templates_.emplace(id, std::move(names)).second) {
    in.fail("a hash template occurs twice");
  }
  return false;
}

bool RdbReader::start_skipped(const char* layout, Stage stage) {
  walker_.start(layout);
  stage_ = stage;
  return false;
}

// The record of a key's metadata must still be there with the key.
bool RdbReader::may_drop_skipped() const {
  return walked_ >= skipped_piece && attributes_.meta_size == 0;
}

bool RdbReader::skip_slot_info(Cursor& in) {
  const std::uint64_t slot = in.length();
  in.length();
  in.length();
  if (in.ok() && slot >= slot_count) in.fail("a slot has an impossible number");
  return false;
}

bool RdbReader::is_unwanted(ByteView key) const {
  Event event;
  event.kind = Event::Kind::key;
  event.key = key;
  event.db = db_;
  event.type = type_;
  event.expire_ms = attributes_.expire_ms;
  return !wants(event);
}

bool RdbReader::start_key(Cursor& in, std::uint8_t code) {
  value_type_ = &value_type(code, dialect_);
  if (value_type_->name == nullptr) {
    refuse_unknown(in, code);
    return false;
  }
  const ByteView key = in.string(scratch_);
  if (!in.ok()) return false;
  type_ = code;
  if (wants && value_type_->layout != nullptr && is_unwanted(key)) {
    attributes_ = {};
    return start_skipped(value_type_->layout, Stage::skipped);
  }
  key_in_scratch_ = key.data() == scratch_.data();
  key_size_ = key.size();
  value_at_ = in.position();
  key_at_ = value_at_ - (key_in_scratch_ ? 0 : key_size_);
  if (value_type_->layout != nullptr) {
    walker_.start(value_type_->layout);
  } else {
    elements_.start(code, dialect_, &templates_);
    elements_walked_ = 0;
  }
  stage_ = Stage::value;
  return false;
}

bool RdbReader::walk_value(Cursor& in, ByteView bytes) {
  return value_type_->layout != nullptr ? walker_.walk(in) : walk_elements(in, bytes);
}

// Steps over a value that only its elements delimit.
bool RdbReader::walk_elements(Cursor& in, ByteView bytes) {
  for (;;) {
    std::size_t size = 0;
    const auto status = elements_.next(bytes.substr(in.position()), element_, size);
    switch (status) {
      case ElementReader::Status::need_more:
        in.skip(elements_.need_bytes());
        return false;
      case ElementReader::Status::error:
        in.fail(elements_.problem());
        return false;
      case ElementReader::Status::element:
        if (element_.kind != Element::Kind::array_cursor) ++elements_walked_;
        break;
      case ElementReader::Status::end:
        break;
    }
    in.skip(size);
    in.mark();
    if (status == ElementReader::Status::end) return true;
  }
}

// How many raw bytes of a value are looked at before it counts as big.
std::size_t RdbReader::look_ahead() const {
  return value_type_->data == DataType::module
             ? held_max_bytes_
             : std::max(std::min(value_max_bytes_, held_max_bytes_), max_empty_value);
}

// Walks as far as the value may go without being big, whatever was offered behind it: so a damaged
// value gives the same events in every delivery.
RdbReader::Walk RdbReader::walk_to_limit(Cursor& in, ByteView bytes) {
  const std::size_t limit = look_ahead();
  const bool is_module = value_type_->data == DataType::module;
  if (bytes.size() - value_at_ <= limit) {
    if (walk_value(in, bytes)) return Walk::ended;
    const bool is_big = in.is_short() && in.need_bytes() - value_at_ > limit;
    return !is_big ? Walk::stopped : is_module ? Walk::too_large : Walk::big;
  }
  const ByteView ahead = bytes.substr(0, value_at_ + limit);
  Cursor bounded(ahead, in.position());
  const bool has_ended = walk_value(bounded, ahead);
  if (bounded.is_short()) return is_module ? Walk::too_large : Walk::big;
  in.return_to(bounded.position());
  if (bounded.is_corrupt()) in.fail(bounded.problem());
  return has_ended ? Walk::ended : Walk::stopped;
}

bool RdbReader::finish_value(Cursor& in, ByteView bytes, Event& event) {
  const Walk walk = walk_to_limit(in, bytes);
  if (walk == Walk::stopped) return false;
  if (walk == Walk::too_large) {
    report(walked_, key_in(bytes), Cursor::too_large);
    return false;
  }
  if (walk == Walk::big) {
    announce_big(bytes, event);
    return true;
  }
  const bool is_empty =
      value_type_->layout != nullptr ? walker_.saw_empty() : elements_walked_ == 0;
  if (is_empty && value_type_->refuses_empty) {
    ++empty_keys_skipped_;
    attributes_ = {};
    stage_ = Stage::record;
    return false;
  }
  const std::size_t size = in.position() - value_at_;
  if (size > std::min(value_max_bytes_, held_max_bytes_) && value_type_->data != DataType::module) {
    announce_big(bytes, event);
    return true;
  }
  stage_ = Stage::record;
  fill_key(bytes, event);
  event.kind = Event::Kind::key;
  event.value = bytes.substr(value_at_, size);
  return true;
}

void RdbReader::fill_key(ByteView bytes, Event& event) {
  event = Event{};
  event.key = key_in(bytes);
  event.db = db_;
  event.type = type_;
  event.expire_ms = attributes_.expire_ms;
  event.idle_s = attributes_.idle_s;
  event.freq = attributes_.freq;
  event.key_meta = bytes.substr(attributes_.meta_at, attributes_.meta_size);
  attributes_ = {};
}

// The value's bytes stay with the caller: its elements are read from their start.
void RdbReader::announce_big(ByteView bytes, Event& event) {
  fill_key(bytes, event);
  big_key_ = event.key;
  event.kind = Event::Kind::big_key;
  event.key = big_key_;
  elements_.start(type_, dialect_, &templates_);
  walked_ = value_at_;
  stage_ = Stage::elements;
}

RdbReader::Status RdbReader::next_element(ByteView bytes, Event& event, std::size_t& consumed) {
  switch (elements_.next(bytes, element_, consumed)) {
    case ElementReader::Status::need_more:
      need_bytes_ = elements_.need_bytes();
      return Status::need_more;
    case ElementReader::Status::error:
      report(elements_.problem_at(), big_key_, elements_.problem());
      return Status::error;
    case ElementReader::Status::element:
      event = Event{};
      event.kind = Event::Kind::element;
      event.element = &element_;
      break;
    case ElementReader::Status::end:
      event = Event{};
      event.kind = Event::Kind::big_key_end;
      stage_ = Stage::record;
      break;
  }
  event.key = big_key_;
  event.db = db_;
  event.type = type_;
  consume(bytes.substr(0, consumed));
  return Status::event;
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

void RdbReader::report(std::size_t position, ByteView key, const char* problem) {
  std::string text = fmt::format(
      "{} RDB version {} at offset {}: ", dialect_.family == Family::valkey ? "Valkey" : "Redis",
      dialect_.version, offset_ + position);
  if (stage_ == Stage::value || stage_ == Stage::elements) {
    text += fmt::format("key \"{}\": ", escaped(key));
  }
  if (!unknown_.empty()) text += unknown_ + " ";
  const bool is_too_large = problem == Cursor::too_large;
  error_ = Error(is_too_large ? Errc::data_refused : Errc::corrupt, text + problem);
}

}  // namespace keyferry::rdb
