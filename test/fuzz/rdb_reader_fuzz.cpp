// RdbReader on any bytes: no crash, and the same events whether the snapshot comes whole or in
// pieces, with values given out whole or as elements. What it reads is also encoded as commands.
#include <fmt/core.h>

#include "element_digest.hpp"
#include "keyferry/rdb/restore.hpp"

namespace {

using namespace keyferry;       // NOLINT: a program of its own
using namespace keyferry::rdb;  // NOLINT

// The events so far as one number each way of delivery must arrive at.
struct Digest {
  std::uint64_t crc = 0;
  int events = 0;
  RdbReader::Status status = RdbReader::Status::need_more;
  bool ended = false;

  bool operator==(const Digest&) const = default;

  fuzz::ElementDigest elements;

  void add(const Event& event, Dialect dialect) {
    if (event.kind == Event::Kind::element) return elements.add(*event.element);
    if (event.kind == Event::Kind::skipped) return;
    ++events;
    ended = event.kind == Event::Kind::end;
    Bytes text = fmt::format("{} {} {} {} {} {} {}", static_cast<int>(event.kind), event.db,
                             event.type, event.expire_ms.value_or(-1), event.idle_s.value_or(7),
                             event.freq.value_or(9), event.db_keys + event.db_expires);
    for (const ByteView view : {event.name, event.text, event.key, event.value, event.key_meta}) {
      text += fmt::format(" {}:", view.size());
      text += view;
    }
    if (event.kind == Event::Kind::key) append_restore(text, event, dialect, {});
    crc = crc64(crc, text);
  }
};

// Takes all events that the offered bytes hold; returns how many bytes they took.
std::size_t take_events(RdbReader& reader, ByteView unread, Digest& digest) {
  std::size_t taken = 0;
  while (!digest.ended) {
    fuzz::ExactBuffer buffer;
    const ByteView offered = buffer.hold(unread.substr(taken));
    Event event;
    std::size_t consumed = 0;
    digest.status = reader.next(offered, event, consumed);
    fuzz::require(consumed <= offered.size(), "no more is consumed than was offered");
    if (digest.status != RdbReader::Status::event) {
      fuzz::require(consumed == 0, "only events consume");
      fuzz::require(
          digest.status == RdbReader::Status::error || reader.need_bytes() > offered.size(),
          "need_more asks for more than there is");
      break;
    }
    digest.add(event, reader.dialect());
    taken += consumed;
  }
  return taken;
}

Digest read_whole(ByteView bytes, std::size_t value_max_bytes) {
  RdbReader reader(value_max_bytes);
  Digest digest;
  take_events(reader, bytes, digest);
  return digest;
}

Digest read_in_pieces(ByteView bytes, std::size_t value_max_bytes) {
  RdbReader reader(value_max_bytes);
  Digest digest;
  fuzz::Cuts cuts(bytes);
  std::size_t start = 0;
  std::size_t delivered = 0;
  while (!digest.ended && digest.status != RdbReader::Status::error && delivered < bytes.size()) {
    delivered += cuts.next(bytes.size() - delivered);
    start += take_events(reader, bytes.substr(start, delivered - start), digest);
  }
  return digest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes = fuzz::view(data, size);
  if (bytes.empty()) return 0;
  for (const std::size_t limit : {std::size_t{0}, std::size_t{40}, bytes.size()}) {
    fuzz::require(read_whole(bytes, limit) == read_in_pieces(bytes, limit),
                  "pieces read like the whole");
  }
  return 0;
}
