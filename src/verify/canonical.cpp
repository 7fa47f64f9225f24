#include "keyferry/verify/canonical.hpp"

#include <bit>

#include "keyferry/base/checksum.hpp"
#include "keyferry/rdb/dump.hpp"
#include "keyferry/rdb/elements.hpp"

namespace keyferry {
namespace {

using rdb::Element;

constexpr std::size_t footer_size = 10;     // u16 version, u64 checksum (rdb/dump)
constexpr std::uint8_t counters_type = 19;  // the first stream type that has them (RDB 10)

// Sums of plain checksums would cancel out; this spreads every bit over the whole word (the
// finalizer of splitmix64, public domain, Vigna 2015).
std::uint64_t spread(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

// One element's parts, each with its length or of a fixed size.
class Mix {
 public:
  explicit Mix(Element::Kind kind) : state_(spread(static_cast<std::uint64_t>(kind) + 1)) {}

  Mix& text(ByteView bytes) { return number(crc64(bytes.size(), bytes)).number(bytes.size()); }
  Mix& number(std::uint64_t value) {
    state_ = spread(state_ ^ spread(value));
    return *this;
  }
  Mix& id(const rdb::StreamId& id) { return number(id.ms).number(id.seq); }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_;
};

std::uint64_t score_bits(double score) {
  return score == 0 ? 0 : std::bit_cast<std::uint64_t>(score);  // 0 and -0 are one score
}

}  // namespace

bool is_same(const ValueDigest& a, const ValueDigest& b) {
  if (a.kind != b.kind || a.hash != b.hash) return false;
  return !a.counters || !b.counters || *a.counters == *b.counters;
}

void ValueDigester::add(const Element& element) {
  using Kind = Element::Kind;
  Mix mix(element.kind);
  switch (element.kind) {
    case Kind::text:  // in parts of any size
      text_ = crc64(text_, element.value);
      text_bytes_ += element.value.size();
      return;
    case Kind::item:
      mix.number(ordered_++).text(element.value);
      break;
    case Kind::member:
      mix.text(element.value);
      break;
    case Kind::scored_member:
      mix.text(element.value).number(score_bits(element.score));
      break;
    case Kind::field:
      if (element.expire_ms > 0 && element.expire_ms <= now_ms_) return;
      mix.text(element.name).text(element.value);
      mix.number(static_cast<std::uint64_t>(element.expire_ms));
      break;
    case Kind::entry:
      mix.id(element.id);
      for (const ByteView part : element.pairs)
        mix.text(part);
      break;
    case Kind::stream_info:
      mix.id(element.last_id);
      digest_.counters =
          Mix(element.kind).number(element.entries_added).id(element.max_deleted_id).value();
      break;
    case Kind::group:
      group_ = mix.text(element.name).value();
      mix.id(element.last_id);
      break;
    case Kind::pending:
      mix.number(group_).id(element.id).number(element.deliveries);
      break;
    case Kind::consumer:
      consumer_ = mix.number(group_).text(element.name).value();
      break;
    case Kind::owned:
      mix.number(consumer_).id(element.id);
      break;
    case Kind::nacked:
      mix.number(group_).id(element.id);
      break;
    case Kind::remembered:  // of producers, which no command carries
      return;
    case Kind::array_item:
      mix.number(element.index).text(element.value);
      break;
    case Kind::array_cursor:
      mix.number(element.index);
      break;
  }
  sum_ += spread(mix.value());
}

void ValueDigester::add_raw(ByteView value) {
  text_ = crc64(text_, value);
  text_bytes_ += value.size();
}

ValueDigest ValueDigester::digest() const {
  ValueDigest out = digest_;
  out.hash = spread(sum_ ^ spread(text_)) ^ spread(text_bytes_);
  return out;
}

ValueDigest digest_of_dump(ByteView payload, std::int64_t now_ms) {
  const ValueKind kind = value_kind_of_payload(payload);
  const auto whole = [&] {
    ValueDigester raw(kind, now_ms);
    raw.add_raw(payload.substr(0, payload.size() - std::min(payload.size(), footer_size)));
    return raw.digest();
  };
  const auto dump = rdb::parse_dump(payload);
  if (!dump || !rdb::ElementReader::can_read(dump->type, dump->dialect)) return whole();
  ValueDigester digester(kind, now_ms);
  rdb::ElementReader reader;
  reader.start(dump->type, dump->dialect);
  ByteView rest = dump->value;
  Element element;
  while (true) {
    std::size_t consumed = 0;
    switch (reader.next(rest, element, consumed)) {
      case rdb::ElementReader::Status::element:
        digester.add(element);
        rest.remove_prefix(consumed);
        continue;
      case rdb::ElementReader::Status::end:
        if (dump->type < counters_type) digester.forget_counters();
        return digester.digest();
      case rdb::ElementReader::Status::need_more:
      case rdb::ElementReader::Status::error:
        return whole();
    }
  }
}

bool is_same_dump(ByteView a, ByteView b) {
  if (a == b) return true;
  if (a.size() != b.size() || a.size() <= footer_size) return false;
  const std::size_t body = a.size() - footer_size;
  // Types of the forks' own mean different things in either.
  const auto type = static_cast<std::uint8_t>(a.front());
  return type < rdb::first_dialect_type && a.substr(0, body) == b.substr(0, body);
}

}  // namespace keyferry
