// What we read of ourselves from a target: any bytes, no crash; a record that was understood is
// written and read again as the same.
#include "fuzz.hpp"
#include "keyferry/checkpoint/crossing.hpp"
#include "keyferry/checkpoint/slot_record.hpp"

namespace {

using namespace keyferry;  // NOLINT: a program of its own

bool same(const NodeRecord& one, const NodeRecord& other) {
  return one.record == other.record && one.slots == other.slots && one.recorded == other.recorded;
}
template <class T>
bool same(const T& one, const T& other) {
  return one == other;
}

template <class T>
void round_trip(ByteView text, Result<T> (*parse)(ByteView), void (*append)(Bytes&, const T&)) {
  const Result<T> read = parse(text);
  if (!read) return;
  Bytes written;
  append(written, *read);
  const Result<T> again = parse(written);
  fuzz::require(again.has_value(), "what we write can be read");
  fuzz::require(same(*read, *again), "and is the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::ExactBuffer buffer;
  const ByteView text = buffer.hold(fuzz::view(data, size));
  round_trip(text, parse_record, append_record);
  round_trip(text, parse_node_record, append_node_record);
  round_trip(text, parse_slot_record, append_slot_record);
  round_trip(text, parse_crossing, append_crossing);
  return 0;
}
