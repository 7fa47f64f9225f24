#include "keyferry/rdb/elements.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "keyferry/base/number.hpp"

namespace keyferry::rdb {
namespace {

// Compressed strings that make more than this are decompressed part by part.
constexpr std::size_t max_whole_lzf = std::size_t{64} * 1024;
// Buffers above this are given back when the next value begins.
constexpr std::size_t max_kept_scratch = std::size_t{1} << 20;

// How a list's node is stored (Redis 7.0 quicklist.h QUICKLIST_NODE_CONTAINER_*).
constexpr std::uint64_t plain_container = 1;
constexpr std::uint64_t packed_container = 2;

// How the names of a hash template lie in a DUMP payload (Redis 8.10, documentation).
constexpr std::uint64_t names_in_listpack = 0;
constexpr std::uint64_t names_as_strings = 1;

// A sorted set's score as text: "3", "1.5e+300", "inf".
bool parse_score(ByteView text, double& score) {
  return read_number(text, score) && !std::isnan(score);
}

PackedReader::Format format_of(std::uint8_t type) {
  switch (type) {
    case 9:
      return PackedReader::Format::zipmap;
    case 11:
      return PackedReader::Format::intset;
    case 10:
    case 12:
    case 13:
    case 14:
      return PackedReader::Format::ziplist;
    default:
      return PackedReader::Format::listpack;
  }
}

std::size_t entries_per_element(std::uint8_t type, DataType data) {
  if (type == 23 || type == 25) return 3;  // field, value, expiry
  return data == DataType::hash || data == DataType::zset ? 2 : 1;
}

Element::Kind kind_of(DataType data) {
  switch (data) {
    case DataType::list:
      return Element::Kind::item;
    case DataType::set:
      return Element::Kind::member;
    case DataType::zset:
      return Element::Kind::scored_member;
    case DataType::hash:
      return Element::Kind::field;
    default:
      return Element::Kind::text;
  }
}

void give_back(Bytes& scratch) {
  if (scratch.capacity() > max_kept_scratch) Bytes().swap(scratch);
}

}  // namespace

ElementReader::Form ElementReader::form_of(std::uint8_t type, Dialect dialect) {
  constexpr Form none = Form::none;
  constexpr Form packed = Form::packed;
  constexpr std::array<Form, redis_types.size()> forms = {Form::text,
                                                          Form::strings,
                                                          Form::strings,
                                                          Form::scored,
                                                          Form::pairs,
                                                          Form::scored,
                                                          none,
                                                          none,
                                                          none,
                                                          packed,
                                                          packed,
                                                          packed,
                                                          packed,
                                                          packed,
                                                          Form::nodes,
                                                          Form::stream,
                                                          packed,
                                                          packed,
                                                          Form::typed_nodes,
                                                          Form::stream,
                                                          packed,
                                                          Form::stream,
                                                          Form::ttl_pairs,
                                                          packed,
                                                          Form::min_ttl_pairs,
                                                          Form::min_ttl_packed,
                                                          Form::stream,
                                                          Form::stream,
                                                          Form::array,
                                                          Form::own_template_packed,
                                                          Form::template_packed,
                                                          Form::own_template_array,
                                                          Form::template_array};
  if (value_type(type, dialect).name == nullptr) return none;
  if (type >= first_dialect_type && dialect.family == Family::valkey) return Form::pairs_ttl;
  return forms.at(type);
}

bool ElementReader::can_read(std::uint8_t type, Dialect dialect) {
  return form_of(type, dialect) != Form::none;
}

void ElementReader::start(std::uint8_t type, Dialect dialect, const HashTemplates* templates) {
  form_ = form_of(type, dialect);
  type_ = type;
  data_ = value_type(type, dialect).data;
  format_ = format_of(type);
  entries_per_element_ = entries_per_element(type, data_);
  head_read_ = ended_ = false;
  left_ = 0;
  templates_ = templates;
  names_ = nullptr;
  name_index_ = 0;
  array_begun_ = has_array_cursor_ = false;
  text_begun_ = whole_text_ = in_lzf_ = false;
  if (large_.is_open()) large_ = LargeText();
  blob_.start();
  if (form_ == Form::stream) stream_.start(type);
  give_back(name_scratch_);
  give_back(value_scratch_);
  settled_ = need_bytes_ = 0;
}

ElementReader::Status ElementReader::next(ByteView bytes, Element& element, std::size_t& consumed) {
  consumed = 0;
  Cursor in(bytes, settled_);
  in.limit_text(held_max_bytes_);
  element.whole_bytes = 0;
  for (;;) {
    const bool has_element = step(in, bytes, element);
    if (in.is_short()) {
      settled_ = in.position();
      need_bytes_ = in.need_bytes();
      return Status::need_more;
    }
    if (in.is_corrupt()) {
      settled_ = in.position();
      problem_ = in.problem();
      return Status::error;
    }
    in.mark();
    if (!has_element && !ended_) continue;
    consumed = blob_.needed_from(in.position());
    settled_ = in.position() - consumed;
    blob_.drop(consumed);
    return has_element ? Status::element : Status::end;
  }
}

// True when `element` was filled.
bool ElementReader::step(Cursor& in, ByteView bytes, Element& element) {
  if (form_ == Form::stream) {
    const bool has_element = stream_.step(in, bytes, blob_, element);
    ended_ = stream_.ended() && !has_element;
    return has_element;
  }
  if (blob_.is_open()) return step_packed(in, bytes, element);
  if (large_.is_open()) return step_large(in, bytes, element);
  if (!head_read_) {
    head_read_ = step_head(in, bytes) && in.ok();
    return false;
  }
  if (form_ == Form::text) return step_text(in, bytes, element);
  if (left_ == 0) {
    if (has_array_cursor_) {
      element.kind = Element::Kind::array_cursor;
      element.index = array_cursor_;
      has_array_cursor_ = false;
      return true;
    }
    ended_ = true;
    return false;
  }
  if (form_ == Form::array) return step_array(in, element);
  if (form_ == Form::nodes || form_ == Form::typed_nodes) {
    return open_node(in, bytes, element);
  }
  return step_counted(in, element);
}

// What stands in front of the elements; the single blob of a packed value is opened.
bool ElementReader::step_head(Cursor& in, ByteView bytes) {
  switch (form_) {
    case Form::text:
      begin_text(in);
      break;
    case Form::packed:
      blob_.open(in, format_);
      break;
    case Form::min_ttl_packed:
      in.skip(8);
      blob_.open(in, format_);
      break;
    case Form::min_ttl_pairs: {
      const auto minimum = in.number<std::int64_t>();
      left_ = in.count();
      min_expire_ms_ = minimum;
      break;
    }
    case Form::array: {
      const std::uint64_t count = in.count();
      has_array_cursor_ = in.length() != 0;
      array_cursor_ = has_array_cursor_ ? in.length() : 0;
      left_ = count;
      break;
    }
    case Form::own_template_packed:
      read_names(in);
      if (in.ok()) open_template_blob(in, bytes);
      break;
    case Form::template_packed:
      open_template_blob(in, bytes);
      break;
    case Form::own_template_array:
      read_names(in);
      if (in.ok()) left_ = names_->size();
      break;
    case Form::template_array:
      use_template(in, in.length());
      if (in.ok()) left_ = names_->size();
      break;
    case Form::none:
      in.fail("a module's value can only be understood by its module");
      break;
    default:
      left_ = in.count();
      break;
  }
  return true;
}

// --- strings

void ElementReader::begin_text(Cursor& in) {
  const Cursor::StringHead head = in.string_head();
  if (!in.ok()) return;
  if (head.kind == Cursor::StringHead::Kind::lzf && head.full_size > max_whole_lzf) {
    lzf_.start(head.size, head.full_size);
    in_lzf_ = true;
  } else if (head.kind == Cursor::StringHead::Kind::plain) {
    left_ = head.size;
  } else {
    // Short: given out whole from the buffer.
    const ByteView text = in.string_body(head, value_scratch_);
    if (!in.ok()) return;
    left_ = text.size();
    whole_text_ = true;
  }
}

bool ElementReader::step_text(Cursor& in, ByteView bytes, Element& element) {
  if (in_lzf_) return step_lzf(in, bytes, element);
  if (left_ == 0 && text_begun_) {
    ended_ = true;
    return false;
  }
  element.kind = Element::Kind::text;
  if (whole_text_) {
    element.value = value_scratch_;
  } else {
    const std::size_t there = bytes.size() - in.position();
    const std::size_t want = left_ > 0 && there == 0 ? 1 : std::min<std::size_t>(left_, there);
    element.value = in.raw(want);
    if (!in.ok()) return false;
  }
  left_ -= element.value.size();
  text_begun_ = true;
  return true;
}

bool ElementReader::step_lzf(Cursor& in, ByteView bytes, Element& element) {
  std::size_t used = 0;
  element.kind = Element::Kind::text;
  const auto status = lzf_.next(bytes.substr(in.position()), used, element.value);
  switch (status) {
    case LzfStream::Status::part:
      in.skip(used);
      return true;
    case LzfStream::Status::need_more:
      in.skip(lzf_.need_bytes());
      return false;
    case LzfStream::Status::corrupt:
      in.fail("a compressed string is damaged");
      return false;
    case LzfStream::Status::end:
      ended_ = true;
      return false;
  }
  return false;
}

// --- packed values

bool ElementReader::step_packed(Cursor& in, ByteView bytes, Element& element) {
  if (blob_.at_end()) {
    close_blob(in);
    return false;
  }
  PackedEntry first;
  if (!blob_.next(in, bytes, first)) return false;
  element.kind = kind_of(data_);
  if (names_ != nullptr) {
    if (name_index_ == names_->size()) {
      in.fail("a hash has more values than its template has fields");
      return false;
    }
    element.name = (*names_)[name_index_++];
    element.value = text_of(first, value_digits_);
    element.expire_ms = 0;
  } else if (entries_per_element_ == 1) {
    element.value = text_of(first, value_digits_);
  } else if (!rest_of_element(in, bytes, first, element)) {
    return false;
  }
  // The end is judged with the last element, so that the blob can be dropped with it.
  if (blob_.at_end()) close_blob(in);
  return in.ok();
}

// Score, value, value and expiry of the member or field in `first`.
bool ElementReader::rest_of_element(Cursor& in, ByteView bytes, const PackedEntry& first,
                                    Element& element) {
  PackedEntry second;
  if (!blob_.next(in, bytes, second)) {
    in.fail("a packed value ends inside of an element");
    return false;
  }
  if (data_ == DataType::zset) {
    element.value = text_of(first, value_digits_);
    if (second.is_number) {
      element.score = static_cast<double>(second.number);
    } else if (!parse_score(second.text, element.score)) {
      in.fail("a score is no number");
      return false;
    }
    return true;
  }
  element.name = text_of(first, name_digits_);
  element.value = text_of(second, value_digits_);
  element.expire_ms = 0;
  if (entries_per_element_ == 2) return true;
  PackedEntry expiry;
  if (!blob_.next(in, bytes, expiry) || !expiry.is_number || expiry.number < 0) {
    in.fail("a field's expiry is no number");
    return false;
  }
  element.expire_ms = expiry.number;
  return true;
}

void ElementReader::close_blob(Cursor& in) {
  blob_.finish(in);
  if (names_ != nullptr && name_index_ != names_->size()) {
    in.fail("a hash has fewer values than its template has fields");
  }
}

// The next node of a list; a node that is one plain element is given out at once.
bool ElementReader::open_node(Cursor& in, ByteView bytes, Element& element) {
  const std::uint64_t container = form_ == Form::nodes ? packed_container : in.length();
  if (!in.ok()) return false;
  element.kind = Element::Kind::item;
  if (container == packed_container && part_bytes_ < held_max_bytes_) {
    if (large_.open_node(in, bytes, format_, part_bytes_)) begin_large(element);
    if (large_.is_open() || !in.ok()) return false;
  }
  if (container == plain_container) {
    if (!read_value(in, element)) return false;
    // Only elements too large for a packed node stand alone; servers refuse this (8.6.3, DUMP).
    if (in.ok() && element.value.empty()) in.fail("a list node is empty");
  } else if (container == packed_container) {
    blob_.open(in, format_);
  } else {
    in.fail("a list node is of unknown kind");
  }
  if (!in.ok()) return false;
  --left_;
  return container == plain_container;
}

// --- counted elements

bool ElementReader::step_counted(Cursor& in, Element& element) {
  element.kind = kind_of(data_);
  element.expire_ms = 0;
  switch (form_) {
    case Form::strings:
      if (!read_value(in, element)) return false;
      break;
    case Form::scored:
      if (!read_value(in, element)) return false;
      read_score(in, element);
      break;
    case Form::ttl_pairs:
    case Form::min_ttl_pairs: {
      const std::uint64_t expiry = in.length();
      element.name = in.string(name_scratch_);
      element.expire_ms = static_cast<std::int64_t>(expiry);
      if (form_ == Form::min_ttl_pairs && expiry != 0) {
        element.expire_ms =
            static_cast<std::int64_t>(static_cast<std::uint64_t>(min_expire_ms_) + expiry - 1);
      }
      if (!read_value(in, element)) return false;
      break;
    }
    case Form::pairs_ttl:
      element.name = in.string(name_scratch_);
      if (!read_value(in, element)) return false;
      element.expire_ms = std::max<std::int64_t>(in.number<std::int64_t>(), 0);
      break;
    case Form::own_template_array:
    case Form::template_array:
      element.name = (*names_)[name_index_];
      if (!read_value(in, element)) return false;
      ++name_index_;
      break;
    default:
      element.name = in.string(name_scratch_);
      if (!read_value(in, element)) return false;
      break;
  }
  if (!in.ok()) return false;
  --left_;
  return true;
}

// --- large texts

// The text at the cursor, into `element`. False: the cursor has failed, or the text is large and
// comes in parts from here on.
bool ElementReader::read_value(Cursor& in, Element& element) {
  if (part_bytes_ < held_max_bytes_ && in.ok() && large_.open(in, part_bytes_)) {
    begin_large(element);
    return false;
  }
  element.value = in.string(value_scratch_);
  return in.ok();
}

void ElementReader::begin_large(const Element& element) {
  large_name_ = element.kind == Element::Kind::field ? element.name : ByteView();
  large_expire_ms_ = element.expire_ms;
}

bool ElementReader::step_large(Cursor& in, ByteView bytes, Element& element) {
  element.kind = kind_of(data_);
  element.name = large_name_;
  element.expire_ms = large_expire_ms_;
  element.whole_bytes = large_.size_bytes();
  element.has_more = true;
  if (large_.next(in, bytes, element.value)) return true;
  return in.ok() && end_large(in, element);
}

// What stands behind the text.
bool ElementReader::end_large(Cursor& in, Element& element) {
  if (form_ == Form::scored) read_score(in, element);
  if (form_ == Form::pairs_ttl)
    element.expire_ms = std::max<std::int64_t>(in.number<std::int64_t>(), 0);
  if (!in.ok()) {
    large_.reopen();
    return false;
  }
  if (form_ == Form::own_template_array || form_ == Form::template_array) ++name_index_;
  element.value = {};
  element.has_more = false;
  --left_;
  return true;
}

void ElementReader::read_score(Cursor& in, Element& element) {
  constexpr std::uint8_t old_zset = 3;
  if (type_ == old_zset) {
    read_old_score(in, element);
  } else {
    element.score = std::bit_cast<double>(in.number<std::uint64_t>());
  }
  if (in.ok() && std::isnan(element.score)) in.fail("a score is no number");
}

// One length byte, then that many characters; 253 to 255 stand for NaN and the infinities (Redis
// rdb.c rdbSaveDoubleValue).
void ElementReader::read_old_score(Cursor& in, Element& element) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const std::uint8_t size = in.byte();
  if (size >= 253) {
    element.score = size == 253   ? std::numeric_limits<double>::quiet_NaN()
                    : size == 254 ? infinity
                                  : -infinity;
    return;
  }
  const ByteView text = in.raw(size);
  if (in.ok() && !parse_score(text, element.score)) in.fail("a score is no number");
}

// --- hash templates

void ElementReader::read_names(Cursor& in) {
  const std::uint64_t form = in.length();
  if (in.ok() && form > names_as_strings) {
    in.fail("the field names of a hash are of unknown form");
  }
  own_names_.clear();
  if (form == names_in_listpack) {
    const ByteView names = in.string(name_scratch_);
    PackedReader packed;
    if (in.ok() && !packed.open(PackedReader::Format::listpack, names)) in.fail(packed.problem());
    if (!in.ok()) return;
    PackedEntry entry;
    PackedReader::Status status = packed.next(names, entry);
    for (; status == PackedReader::Status::entry; status = packed.next(names, entry)) {
      own_names_.emplace_back(text_of(entry, name_digits_));
    }
    if (status == PackedReader::Status::corrupt) in.fail(packed.problem());
  } else {
    for (std::uint64_t left = in.count(); left > 0 && in.ok(); --left) {
      own_names_.emplace_back(in.string(name_scratch_));
    }
  }
  if (in.ok() && (own_names_.empty() || !is_template_order(own_names_))) {
    in.fail("the field names of a hash are not in order");
  }
  names_ = &own_names_;
}

void ElementReader::use_template(Cursor& in, std::uint64_t id) {
  if (!in.ok()) return;
  const bool is_known = templates_ != nullptr && templates_->count(id) > 0;
  if (!is_known) {
    in.fail("a hash refers to a template that the snapshot does not have");
    return;
  }
  names_ = &templates_->at(id);
}

// A listpack whose first entry is the template's number; in a value that brings its own names it
// means nothing.
void ElementReader::open_template_blob(Cursor& in, ByteView bytes) {
  blob_.open(in, PackedReader::Format::listpack);
  if (!in.ok()) return;
  in.mark();
  PackedEntry id;
  if (!blob_.next(in, bytes, id) || !id.is_number) {
    in.fail("a hash does not begin with its template");
    return;
  }
  if (form_ == Form::template_packed) use_template(in, static_cast<std::uint64_t>(id.number));
}

}  // namespace keyferry::rdb
