#include "keyferry/checkpoint/slot_record.hpp"

#include <array>

#include <fmt/format.h>

#include "keyferry/command/keys.hpp"
#include "record_text.hpp"

namespace keyferry {

using namespace record_text;

namespace {

void append_ranges(Bytes& out, const SlotSet& slots) {
  bool first = true;
  for (std::size_t from = 0; from < slot_count; ++from) {
    if (!slots[from]) continue;
    std::size_t to = from;
    while (to + 1 < slot_count && slots[to + 1])
      ++to;
    if (!std::exchange(first, false)) out += ',';
    out += std::to_string(from);
    if (to > from) out.append("-").append(std::to_string(to));
    from = to;
  }
}

bool read_ranges(ByteView text, SlotSet& slots) {
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const ByteView range = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const std::size_t dash = std::min(range.find('-'), range.size());
    std::size_t from = 0;
    if (!read_number(range.substr(0, dash), from)) return false;
    std::size_t to = from;
    if (dash < range.size() && !read_number(range.substr(dash + 1), to)) return false;
    if (to >= slot_count || from > to) return false;
    for (std::size_t slot = from; slot <= to; ++slot)
      slots.set(slot);
  }
  return true;
}

bool read_hex(ByteView text, Bytes& out) {
  for (; text.size() >= 2; text.remove_prefix(2)) {
    unsigned char byte = 0;
    if (!read_hex_number(text.substr(0, 2), byte)) return false;
    out += static_cast<char>(byte);
  }
  return text.empty();
}

// offset ":" digest ":" key
bool read_intent(ByteView text, Intent& out) {
  const std::size_t first = text.find(':');
  const std::size_t second = first == ByteView::npos ? first : text.find(':', first + 1);
  return second != ByteView::npos && read_number(text.substr(0, first), out.offset) &&
         read_hex_number(text.substr(first + 1, second - first - 1), out.digest) &&
         read_hex(text.substr(second + 1), out.key);
}

// The first decimal number whose hash slot it is: 160,000 tries, about 5 ms.
std::array<std::string, slot_count> make_tags() {
  std::array<std::string, slot_count> tags;
  std::size_t missing = slot_count;
  for (std::uint64_t n = 0; missing > 0; ++n) {
    std::string text = std::to_string(n);
    std::string& tag = tags[slot_of(text)];
    if (!tag.empty()) continue;
    tag = std::move(text);
    --missing;
  }
  return tags;
}

Error not_ours(const char* what, ByteView text) {
  return Error(Errc::corrupt,
               fmt::format("not a {} of this version: \"{}\"", what, escaped(text, 200)));
}

}  // namespace

void append_node_record(Bytes& out, const NodeRecord& record) {
  append_record(out, record.record);
  out += " slots=";
  append_ranges(out, record.slots);
  if (record.recorded.none()) return;
  out += " recorded=";
  append_ranges(out, record.recorded);
}

void append_slot_record(Bytes& out, const SlotRecord& record) {
  fmt::format_to(std::back_inserter(out), "{} generation={} judged={} {}:{}", magic,
                 record.generation, record.judged, record.replid, record.offset);
  if (!record.intent) return;
  fmt::format_to(std::back_inserter(out), " intent={}:{:x}:", record.intent->offset,
                 record.intent->digest);
  for (const char c : record.intent->key)
    fmt::format_to(std::back_inserter(out), "{:02x}", static_cast<unsigned char>(c));
  if (record.intent->db != 0)
    fmt::format_to(std::back_inserter(out), " intent-db={}", record.intent->db);
}

Result<NodeRecord> parse_node_record(ByteView text) {
  auto record = parse_record(text);
  if (!record) return record.error();
  NodeRecord out;
  out.record = std::move(*record);
  const std::size_t at = text.find(" slots=");
  if (at == ByteView::npos) return not_ours("node record", text);
  ByteView rest = text.substr(at + 1);
  if (!read_ranges(value_of(next_word(rest), "slots"), out.slots) ||
      !read_ranges(value_of(next_word(rest), "recorded"), out.recorded))
    return not_ours("node record", text);
  return out;
}

Result<SlotRecord> parse_slot_record(ByteView text) {
  SlotRecord record;
  ByteView rest = text;
  const bool good = next_word(rest) == magic &&
                    read_number(value_of(next_word(rest), "generation"), record.generation) &&
                    read_number(value_of(next_word(rest), "judged"), record.judged) &&
                    read_history(next_word(rest), record.replid, record.offset) &&
                    record.judged >= 0 && record.offset >= record.judged;
  if (!good) return not_ours("slot record", text);
  const ByteView intent = value_of(next_word(rest), "intent");
  if (!intent.empty() && !read_intent(intent, record.intent.emplace()))
    return not_ours("slot record", text);
  const ByteView db = value_of(next_word(rest), "intent-db");
  if (!db.empty() &&
      (!record.intent || !read_number(db, record.intent->db) || record.intent->db < 0))
    return not_ours("slot record", text);
  return record;
}

const std::string& slot_tag(Slot slot) {
  static const std::array<std::string, slot_count> tags = make_tags();
  return tags[slot];
}

std::string node_record_key(const std::string& link, Slot slot) {
  return own_keys(link, slot_tag(slot)).record;
}

std::string slot_record_key(const std::string& link, Slot slot) {
  return node_record_key(link, slot) + ":slot";
}

}  // namespace keyferry
