#include "keyferry/rdb/same_value.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "keyferry/rdb/dump.hpp"
#include "keyferry/rdb/elements.hpp"

namespace keyferry::rdb {
namespace {

// Each part with its length in front, so that no two elements look alike.
void add_part(Bytes& out, ByteView part) {
  fmt::format_to(std::back_inserter(out), "{}:", part.size());
  out += part;
}

void add_id(Bytes& out, StreamId id) {
  fmt::format_to(std::back_inserter(out), "{}-{},", id.ms, id.seq);
}

// What counts of an element; empty for what does not.
Bytes essence(const Element& element) {
  using Kind = Element::Kind;
  Bytes out;
  switch (element.kind) {
    case Kind::text:
      return Bytes(element.value);
    case Kind::item:
    case Kind::member:
      add_part(out, element.value);
      break;
    case Kind::scored_member:
      add_part(out, element.value);
      fmt::format_to(std::back_inserter(out), "{}", element.score + 0.0);  // -0 is 0
      break;
    case Kind::field:
      add_part(out, element.name);
      add_part(out, element.value);
      fmt::format_to(std::back_inserter(out), "{}", element.expire_ms);
      break;
    case Kind::entry:
      add_id(out, element.id);
      for (const ByteView part : element.pairs)
        add_part(out, part);
      break;
    case Kind::stream_info:
      out = "last ";
      add_id(out, element.last_id);
      break;
    case Kind::group:
      out = "group ";
      add_part(out, element.name);
      add_id(out, element.last_id);
      break;
    case Kind::pending:
      out = "pending ";
      add_id(out, element.id);
      break;
    case Kind::consumer:
      out = "consumer ";
      add_part(out, element.name);
      break;
    case Kind::owned:
    case Kind::nacked:
      out = element.kind == Kind::owned ? "owned " : "nacked ";
      add_id(out, element.id);
      break;
    case Kind::array_item:
      fmt::format_to(std::back_inserter(out), "[{}] ", element.index);
      add_part(out, element.value);
      break;
    case Kind::remembered:
    case Kind::array_cursor:
      break;
  }
  return out;
}

Error read(const DumpPayload& payload, std::vector<Bytes>& out) {
  ElementReader reader;
  reader.start(payload.type, payload.dialect);
  ByteView rest = payload.value;
  while (true) {
    Element element;
    std::size_t consumed = 0;
    switch (reader.next(rest, element, consumed)) {
      case ElementReader::Status::element:
        break;
      case ElementReader::Status::end:
        return {};
      case ElementReader::Status::need_more:
        return {Errc::corrupt, "the value is cut off"};
      case ElementReader::Status::error:
        return {Errc::corrupt, reader.problem()};
    }
    Bytes text = essence(element);
    if (element.kind == Element::Kind::text && !out.empty()) {
      out.back() += text;
    } else if (!text.empty() || element.kind == Element::Kind::text) {
      out.push_back(std::move(text));
    }
    rest.remove_prefix(consumed);
  }
}

bool is_ordered(DataType type) {
  return type != DataType::set && type != DataType::zset && type != DataType::hash;
}

}  // namespace

Error same_value(ByteView a, ByteView b, bool& same) {
  std::vector<Bytes> elements[2];
  DataType types[2] = {};
  const auto left = parse_dump(a);
  const auto right = parse_dump(b);
  if (!left) return left.error();
  if (!right) return right.error();
  same = left->type == right->type && left->value == right->value;
  if (same) return {};
  const DumpPayload* const both[2] = {&*left, &*right};
  for (std::size_t i = 0; i < 2; ++i) {
    const DumpPayload& payload = *both[i];
    if (!ElementReader::can_read(payload.type, payload.dialect)) return {};
    types[i] = value_type(payload.type, payload.dialect).data;
    if (Error error = read(payload, elements[i])) return error;
    if (!is_ordered(types[i])) std::sort(elements[i].begin(), elements[i].end());
  }
  same = types[0] == types[1] && elements[0] == elements[1];
  return {};
}

}  // namespace keyferry::rdb
