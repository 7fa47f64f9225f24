#include "keyferry/verify/difference.hpp"

#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "keyferry/rdb/dump.hpp"
#include "keyferry/rdb/elements.hpp"

namespace keyferry {
namespace {

using rdb::Element;

struct Piece {
  std::string name;
  Bytes text;
};

std::string words(const rdb::StreamId& id) {
  return fmt::format("{}-{}", id.ms, id.seq);
}

// A value's elements, each under a name of its own.
class Pieces {
 public:
  explicit Pieces(std::int64_t now_ms) : now_ms_(now_ms) {}

  void add(const Element& element);
  bool read(ByteView payload);
  const std::vector<Piece>& all() const { return pieces_; }
  const Bytes& text() const { return text_; }

 private:
  void put(std::string name, Bytes text) { pieces_.push_back({std::move(name), std::move(text)}); }
  void add_to_stream(const Element& element);

  std::int64_t now_ms_;
  std::vector<Piece> pieces_;
  Bytes text_;
  std::string group_;
  std::string consumer_;
};

void Pieces::add(const Element& element) {
  using Kind = Element::Kind;
  switch (element.kind) {
    case Kind::text:
      text_ += element.value;
      return;
    case Kind::item:
      return put(fmt::format("item {}", pieces_.size()), Bytes(element.value));
    case Kind::member:
      return put(fmt::format("member \"{}\"", escaped(element.value)), "");
    case Kind::scored_member:
      return put(fmt::format("member \"{}\"", escaped(element.value)),
                 fmt::format("score {}", element.score == 0 ? 0 : element.score));
    case Kind::field: {
      if (element.expire_ms > 0 && element.expire_ms <= now_ms_) return;
      Bytes text(element.value);
      if (element.expire_ms > 0) text += fmt::format(" (expires {})", element.expire_ms);
      return put(fmt::format("field \"{}\"", escaped(element.name)), std::move(text));
    }
    case Kind::array_item:
      return put(fmt::format("index {}", element.index), Bytes(element.value));
    case Kind::array_cursor:
      return put("cursor", fmt::format("{}", element.index));
    default:
      return add_to_stream(element);
  }
}

void Pieces::add_to_stream(const Element& element) {
  using Kind = Element::Kind;
  const std::string id = words(element.id);
  switch (element.kind) {
    case Kind::entry: {
      Bytes text;
      for (const ByteView part : element.pairs)
        text += fmt::format("{}{}", text.empty() ? "" : " ", part);
      return put("entry " + id, std::move(text));
    }
    case Kind::stream_info:
      return put("last-generated-id", words(element.last_id));
    case Kind::group:
      group_ = fmt::format("group \"{}\"", escaped(element.name));
      return put(group_, "last-delivered-id " + words(element.last_id));
    case Kind::pending:
      return put(fmt::format("{} pending {}", group_, id),
                 fmt::format("delivered {} times", element.deliveries));
    case Kind::consumer:
      consumer_ = fmt::format("{} consumer \"{}\"", group_, escaped(element.name));
      return put(consumer_, "");
    case Kind::owned:
      return put(fmt::format("{} pending {}", consumer_, id), "");
    case Kind::nacked:
      return put(fmt::format("{} without owner {}", group_, id), "");
    default:
      return;
  }
}

bool Pieces::read(ByteView payload) {
  const auto dump = rdb::parse_dump(payload);
  if (!dump || !rdb::ElementReader::can_read(dump->type, dump->dialect)) return false;
  rdb::ElementReader reader;
  reader.start(dump->type, dump->dialect);
  ByteView rest = dump->value;
  Element element;
  std::size_t consumed = 0;
  auto status = reader.next(rest, element, consumed);
  while (status == rdb::ElementReader::Status::element) {
    add(element);
    rest.remove_prefix(consumed);
    status = reader.next(rest, element, consumed);
  }
  return status == rdb::ElementReader::Status::end;
}

std::optional<ElementDifference> difference_of_texts(const Bytes& source, const Bytes& target) {
  if (source == target) return std::nullopt;
  const std::size_t shorter = std::min(source.size(), target.size());
  std::size_t at = 0;
  while (at < shorter && source[at] == target[at])
    ++at;
  constexpr std::size_t shown = 32;
  ElementDifference out;
  out.element = fmt::format("byte {}", at);
  if (at < source.size()) out.source = escaped(ByteView(source).substr(at), shown);
  if (at < target.size()) out.target = escaped(ByteView(target).substr(at), shown);
  return out;
}

}  // namespace

std::optional<ElementDifference> first_difference(ByteView source, ByteView target,
                                                  std::int64_t now_ms) {
  Pieces ours(now_ms);
  Pieces theirs(now_ms);
  if (!ours.read(source) || !theirs.read(target)) return std::nullopt;
  if (auto found = difference_of_texts(ours.text(), theirs.text())) return found;
  std::unordered_map<std::string_view, const Bytes*> there;
  for (const Piece& piece : theirs.all())
    there.emplace(piece.name, &piece.text);
  for (const Piece& piece : ours.all()) {
    const auto at = there.find(piece.name);
    if (at != there.end() && *at->second == piece.text) {
      there.erase(at);
      continue;
    }
    ElementDifference out;
    out.element = piece.name;
    out.source = escaped(piece.text);
    if (at != there.end()) out.target = escaped(*at->second);
    return out;
  }
  for (const Piece& piece : theirs.all()) {
    if (!there.contains(piece.name)) continue;
    return ElementDifference{piece.name, std::nullopt, escaped(piece.text)};
  }
  return std::nullopt;
}

}  // namespace keyferry
