#include "keyferry/rdb/snapshot_json.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

namespace keyferry {
namespace {

constexpr std::size_t flush_size = std::size_t{256} * 1024;
constexpr const char* base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// How many bytes the UTF-8 sequence at `at` takes; 0 when there is none (RFC 3629: no surrogates,
// no forms longer than needed, nothing above U+10FFFF).
std::size_t utf8_sequence(ByteView bytes, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[at + i]); };
  const auto first = byte(0);
  const std::size_t left = bytes.size() - at;
  const auto is_tail = [&](std::size_t i) { return i < left && (byte(i) & 0xc0) == 0x80; };
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  if (first < 0xe0) return is_tail(1) ? 2 : 0;
  if (!is_tail(1) || !is_tail(2)) return 0;
  if (first < 0xf0) {
    const bool is_short = first == 0xe0 && byte(1) < 0xa0;
    const bool is_surrogate = first == 0xed && byte(1) >= 0xa0;
    return is_short || is_surrogate ? 0 : 3;
  }
  const bool is_short = first == 0xf0 && byte(1) < 0x90;
  const bool is_above = first == 0xf4 && byte(1) >= 0x90;
  return is_short || is_above || !is_tail(3) ? 0 : 4;
}

bool is_utf8(ByteView bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t size = utf8_sequence(bytes, at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

bool needs_escape(char c) {
  return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
}

void append_json_string(Bytes& out, ByteView text) {
  out += '"';
  while (!text.empty()) {
    const auto* stop = std::find_if(text.begin(), text.end(), needs_escape);
    const auto plain = static_cast<std::size_t>(stop - text.begin());
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const char c = text.front();
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    }
    text.remove_prefix(1);
  }
  out += '"';
}

// 1 to 3 bytes as 4 characters.
void append_base64(Bytes& out, ByteView bytes) {
  unsigned bits = 0;
  for (std::size_t i = 0; i < 3; ++i)
    bits = bits << 8 | (i < bytes.size() ? static_cast<std::uint8_t>(bytes[i]) : 0U);
  for (std::size_t i = 0; i < 4; ++i)
    out += i <= bytes.size() ? base64_digits[bits >> (18 - 6 * i) & 63] : '=';
}

}  // namespace

void SnapshotJson::flush() {
  if (file_ == nullptr) return;
  std::fwrite(out_.data(), 1, out_.size(), file_);
  std::fflush(file_);
  out_.clear();
}

void SnapshotJson::text(ByteView bytes) {
  if (is_utf8(bytes)) {
    append_json_string(out_, bytes);
    return;
  }
  out_ += "{\"base64\":\"";
  for (std::size_t at = 0; at < bytes.size(); at += 3)
    append_base64(out_, bytes.substr(at, 3));
  out_ += "\"}";
}

void SnapshotJson::comma() {
  if (!first_) out_ += ',';
  first_ = false;
}

void SnapshotJson::id(rdb::StreamId id) {
  fmt::format_to(std::back_inserter(out_), "\"{}-{}\"", id.ms, id.seq);
}

// --- what is no key

void SnapshotJson::header(rdb::Dialect dialect) {
  fmt::format_to(std::back_inserter(out_), "{{\"rdb\":{{\"family\":\"{}\",\"version\":{}}}}}\n",
                 dialect.family == rdb::Family::valkey ? "valkey" : "redis", dialect.version);
}

void SnapshotJson::aux(ByteView name, ByteView value) {
  out_ += "{\"aux\":[";
  text(name);
  out_ += ',';
  text(value);
  out_ += "]}\n";
}

void SnapshotJson::function(ByteView source) {
  out_ += "{\"function\":";
  text(source);
  out_ += "}\n";
}

void SnapshotJson::command(std::int32_t db, std::span<const ByteView> args) {
  fmt::format_to(std::back_inserter(out_), "{{\"db\":{},\"command\":[", db);
  first_ = true;
  for (const ByteView arg : args) {
    comma();
    text(arg);
  }
  out_ += "]}\n";
}

void SnapshotJson::end(bool checksum_disabled, std::uint64_t keys, std::uint64_t surplus) {
  fmt::format_to(std::back_inserter(out_),
                 "{{\"end\":{{\"checksum\":\"{}\",\"keys\":{},\"bytes_behind\":{}}}}}\n",
                 checksum_disabled ? "not computed" : "right", keys, surplus);
  flush();
}

// --- keys

void SnapshotJson::begin_key(const rdb::Event& event, const rdb::ValueType& type, bool is_whole) {
  out_ += "{\"key\":";
  text(event.key);
  auto out = std::back_inserter(out_);
  fmt::format_to(out, ",\"db\":{},\"type\":\"{}\",\"encoding\":\"{}\",\"rdb_type\":{}", event.db,
                 rdb::data_type_name(type.data), type.encoding, event.type);
  if (event.expire_ms) fmt::format_to(out, ",\"expire_ms\":{}", *event.expire_ms);
  if (event.idle_s) fmt::format_to(out, ",\"idle_s\":{}", *event.idle_s);
  if (event.freq) fmt::format_to(out, ",\"freq\":{}", *event.freq);
  out_ += ",\"value\":";
  data_ = type.data;
  is_whole_ = is_whole;
  first_ = true;
  in_base64_ = false;
  kept_.clear();
  group_ = Group::none;
  groups_begun_ = false;
  in_items_ = false;
  switch (data_) {
    case rdb::DataType::string:
    case rdb::DataType::module:
      break;
    case rdb::DataType::stream:
      out_ += "{\"entries\":[";
      break;
    case rdb::DataType::array:
      out_ += "{\"items\":[";
      in_items_ = true;
      break;
    default:
      out_ += '[';
      break;
  }
}

void SnapshotJson::element(const rdb::Element& element) {
  using Kind = rdb::Element::Kind;
  switch (element.kind) {
    case Kind::text:
      string_part(element.value);
      break;
    case Kind::item:
    case Kind::member:
      comma();
      text(element.value);
      break;
    case Kind::scored_member:
      comma();
      out_ += '[';
      text(element.value);
      out_ += ',';
      score(element.score);
      out_ += ']';
      break;
    case Kind::field:
      comma();
      out_ += '[';
      text(element.name);
      out_ += ',';
      text(element.value);
      if (element.expire_ms != 0)
        fmt::format_to(std::back_inserter(out_), ",{}", element.expire_ms);
      out_ += ']';
      break;
    case Kind::array_item:
      comma();
      fmt::format_to(std::back_inserter(out_), "[{},", element.index);
      text(element.value);
      out_ += ']';
      break;
    case Kind::array_cursor:
      fmt::format_to(std::back_inserter(out_), "],\"insert_index\":{}", element.index);
      in_items_ = false;
      break;
    default:
      stream_element(element);
      break;
  }
  if (out_.size() >= flush_size) flush();
}

void SnapshotJson::score(double score) {
  if (std::isinf(score)) {
    out_ += score > 0 ? "\"inf\"" : "\"-inf\"";
    return;
  }
  char digits[32];
  out_.append(digits, std::to_chars(digits, digits + sizeof digits, score).ptr);
}

void SnapshotJson::string_part(ByteView bytes) {
  if (is_whole_) {
    kept_ += bytes;
  } else {
    base64(bytes, false);
  }
}

// Whole groups of three bytes now, the others with the next part.
void SnapshotJson::base64(ByteView bytes, bool is_last) {
  if (!in_base64_) out_ += "{\"base64\":\"";
  in_base64_ = true;
  while (!kept_.empty() && kept_.size() < 3 && !bytes.empty()) {
    kept_ += bytes.front();
    bytes.remove_prefix(1);
  }
  if (kept_.size() == 3 || is_last) {
    if (!kept_.empty()) append_base64(out_, kept_);
    kept_.clear();
  }
  for (; bytes.size() >= 3; bytes.remove_prefix(3)) {
    append_base64(out_, bytes.substr(0, 3));
    if (out_.size() >= flush_size) flush();
  }
  kept_ += bytes;
  if (is_last) out_ += "\"}";
}

void SnapshotJson::raw_value(ByteView value) {
  base64(value, false);
  base64({}, true);
}

void SnapshotJson::end_key(std::uint64_t bytes) {
  switch (data_) {
    case rdb::DataType::string:
      if (is_whole_) {
        text(kept_);
      } else {
        base64({}, true);
      }
      break;
    case rdb::DataType::module:
      break;
    case rdb::DataType::stream:
      close_groups();
      out_ += '}';
      break;
    case rdb::DataType::array:
      out_ += in_items_ ? "]}" : "}";
      break;
    default:
      out_ += ']';
      break;
  }
  fmt::format_to(std::back_inserter(out_), ",\"bytes\":{}}}\n", bytes);
  if (out_.size() >= flush_size) flush();
}

// --- streams

void SnapshotJson::stream_element(const rdb::Element& element) {
  using Kind = rdb::Element::Kind;
  switch (element.kind) {
    case Kind::entry:
      comma();
      out_ += '[';
      id(element.id);
      out_ += ",[";
      for (std::size_t i = 0; i < element.pairs.size(); ++i) {
        if (i > 0) out_ += ',';
        text(element.pairs[i]);
      }
      out_ += "]]";
      break;
    case Kind::stream_info:
      stream_info(element);
      break;
    case Kind::remembered:
      close_groups();
      fmt::format_to(std::back_inserter(out_),
                     ",\"remembered\":{{\"keep_s\":{},\"at_most\":{},\"ids\":{}}}", element.keep_s,
                     element.length, element.entries_added);
      break;
    default:
      stream_group(element);
      break;
  }
}

void SnapshotJson::stream_info(const rdb::Element& element) {
  fmt::format_to(std::back_inserter(out_),
                 "],\"length\":{},\"entries_added\":{},\"last_id\":", element.length,
                 element.entries_added);
  id(element.last_id);
  out_ += ",\"first_id\":";
  id(element.first_id);
  out_ += ",\"max_deleted_id\":";
  id(element.max_deleted_id);
  out_ += ",\"groups\":[";
  groups_begun_ = true;
}

// {"name":..,"last_id":..,"entries_read":..,"pending":[..],"consumers":[{..,"pending":[..]}],
//  "nacked":[..]}
void SnapshotJson::stream_group(const rdb::Element& element) {
  using Kind = rdb::Element::Kind;
  auto out = std::back_inserter(out_);
  switch (element.kind) {
    case Kind::group:
      if (group_ != Group::none) {
        next_group_part(Group::group);
        out_ += ',';
      }
      out_ += "{\"name\":";
      text(element.name);
      out_ += ",\"last_id\":";
      id(element.last_id);
      fmt::format_to(out, ",\"entries_read\":{},\"pending\":[", element.entries_read);
      group_ = Group::pending;
      first_ = first_consumer_ = true;
      break;
    case Kind::pending:
      comma();
      out_ += '[';
      id(element.id);
      fmt::format_to(out, ",{},{}]", element.delivered_ms, element.deliveries);
      break;
    case Kind::consumer:
      next_group_part(Group::consumers);
      if (!first_consumer_) out_ += ',';
      first_consumer_ = false;
      out_ += "{\"name\":";
      text(element.name);
      fmt::format_to(out, ",\"seen_ms\":{},\"active_ms\":{},\"pending\":[", element.seen_ms,
                     element.active_ms);
      group_ = Group::owned;
      first_ = true;
      break;
    case Kind::nacked:
      if (group_ != Group::nacked) next_group_part(Group::nacked);
      [[fallthrough]];
    case Kind::owned:
      comma();
      id(element.id);
      break;
    default:
      break;
  }
}

// Closes what is open of the group and opens the part, or (group) closes the group.
void SnapshotJson::next_group_part(Group part) {
  if (group_ == Group::owned) out_ += "]}";
  if (group_ == Group::pending) out_ += "],\"consumers\":[";
  if (part == Group::consumers) return;
  if (group_ != Group::nacked) out_ += ']';
  if (part == Group::nacked) {
    out_ += ",\"nacked\":[";
    group_ = Group::nacked;
    first_ = true;
    return;
  }
  if (group_ == Group::nacked) out_ += ']';
  out_ += '}';
  group_ = Group::none;
}

void SnapshotJson::close_groups() {
  if (!groups_begun_) return;
  if (group_ != Group::none) next_group_part(Group::group);
  out_ += ']';
  groups_begun_ = false;
}

}  // namespace keyferry
