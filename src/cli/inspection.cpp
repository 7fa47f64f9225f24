#include "keyferry/cli/inspection.hpp"

#include <fmt/format.h>

namespace keyferry {
namespace {

constexpr const char* plain = "plain";

// How a string lies in the snapshot, from the first byte of its value.
const char* string_encoding_name(ByteView value) {
  constexpr std::uint8_t special = 0xc0;
  const auto first = static_cast<std::uint8_t>(value.empty() ? 0 : value.front());
  if (first < special) return plain;
  return first == (special | rdb::string_encoding::lzf) ? "lzf" : "integer";
}

}  // namespace

std::size_t Inspection::take(ByteView unread) {
  std::size_t taken = 0;
  rdb::Event event;
  while (!ended_ && !error_) {
    std::size_t consumed = 0;
    const auto status = reader_.next(unread.substr(taken), event, consumed);
    if (status == rdb::RdbReader::Status::need_more) break;
    if (status == rdb::RdbReader::Status::error) {
      error_ = reader_.error();
      break;
    }
    on_event(event);
    taken += consumed;
  }
  return taken;
}

void Inspection::on_event(const rdb::Event& event) {
  using Kind = rdb::Event::Kind;
  const bool is_json = form_ == Form::json;
  switch (event.kind) {
    case Kind::key:
      on_key(event);
      break;
    case Kind::element:
      on_element(*event.element);
      break;
    case Kind::header:
      if (is_json) json_.header(reader_.dialect());
      break;
    case Kind::aux:
      is_json ? json_.aux(event.name, event.text) : summary_.add_aux(event.name, event.text);
      break;
    case Kind::function:
      is_json ? json_.function(event.text) : summary_.add_function();
      break;
    case Kind::big_key:
      begin_key(event, false);
      value_at_ = reader_.offset();
      break;
    case Kind::big_key_end:
      end_key(event.key, reader_.offset() - value_at_);
      break;
    case Kind::end:
      summary_.end(event.checksum_disabled);
      checksum_disabled_ = event.checksum_disabled;
      ended_ = true;
      break;
    case Kind::select_db:
    case Kind::resize_db:
    case Kind::skipped:
      break;
  }
}

void Inspection::begin_key(const rdb::Event& event, bool is_whole) {
  const rdb::ValueType& type = rdb::value_type(event.type, reader_.dialect());
  facts_.db = event.db;
  facts_.type = event.type;
  facts_.data = type.data;
  facts_.encoding = type.encoding;
  facts_.has_expiry = event.expire_ms.has_value();
  facts_.elements = 0;
  if (type.data == rdb::DataType::string && is_whole)
    facts_.encoding = string_encoding_name(event.value);
  if (form_ != Form::json) return;
  rdb::ValueType named = type;
  named.encoding = facts_.encoding;
  json_.begin_key(event, named, is_whole);
}

void Inspection::on_element(const rdb::Element& element) {
  // Parts of a string, and what a stream has beside its entries, are not counted.
  facts_.elements +=
      element.kind != rdb::Element::Kind::text && element.kind <= rdb::Element::Kind::entry ? 1 : 0;
  if (form_ == Form::json) json_.element(element);
}

void Inspection::end_key(ByteView key, std::uint64_t bytes) {
  ++keys_;
  facts_.key = key;
  facts_.bytes = bytes;
  if (form_ == Form::json) {
    json_.end_key(bytes);
  } else {
    summary_.add_key(facts_);
  }
}

void Inspection::on_key(const rdb::Event& event) {
  begin_key(event, true);
  // The end of a plain string was found by its length: there is nothing in it to be damaged.
  const bool is_plain =
      form_ == Form::summary && event.type == rdb::type::string && facts_.encoding == plain;
  if (is_plain) {
    end_key(event.key, event.value.size());
    return;
  }
  if (facts_.data != rdb::DataType::module) {
    read_elements(event);
  } else if (form_ == Form::json) {
    json_.raw_value(event.value);
  }
  // A line that breaks off says as much.
  if (!error_) end_key(event.key, event.value.size());
}

void Inspection::read_elements(const rdb::Event& event) {
  ByteView rest = event.value;
  elements_.start(event.type, reader_.dialect(), &reader_.templates());
  for (;;) {
    std::size_t consumed = 0;
    const auto status = elements_.next(rest, element_, consumed);
    if (status == rdb::ElementReader::Status::element) {
      on_element(element_);
      rest.remove_prefix(consumed);
      continue;
    }
    if (status == rdb::ElementReader::Status::end) return;
    const bool is_cut = status == rdb::ElementReader::Status::need_more;
    error_ =
        Error(Errc::corrupt,
              fmt::format("{} RDB version {} at offset {}: key \"{}\": {}",
                          reader_.dialect().family == rdb::Family::valkey ? "Valkey" : "Redis",
                          reader_.dialect().version,
                          reader_.offset() - rest.size() + (is_cut ? 0 : elements_.problem_at()),
                          escaped(event.key), is_cut ? "its value is cut" : elements_.problem()));
    return;
  }
}

Error Inspection::finish(std::uint64_t surplus) {
  if (!error_ && !ended_) {
    error_ = Error(Errc::corrupt,
                   fmt::format("the snapshot ends too early, behind offset {}", reader_.offset()));
  }
  if (form_ == Form::json) {
    if (!error_) json_.end(checksum_disabled_, keys_, surplus);
    json_.flush();
  } else {
    const std::string text = summary_.text(reader_, surplus);
    std::fwrite(text.data(), 1, text.size(), out_);
    std::fflush(out_);
  }
  return error_;
}

}  // namespace keyferry
