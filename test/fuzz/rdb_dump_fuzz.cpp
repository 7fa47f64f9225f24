// DUMP payloads: any bytes, with their own footer and with one whose checksum is right; their
// values are read.
#include "element_digest.hpp"
#include "keyferry/rdb/dump.hpp"

namespace {

using namespace keyferry;  // NOLINT: a program of its own

void read(ByteView payload) {
  fuzz::ExactBuffer buffer;
  const auto dump = rdb::parse_dump(buffer.hold(payload));
  if (!dump) return;
  fuzz::require(dump->value.size() < payload.size(), "the value is a part of the payload");
  fuzz::digest_value(dump->value, dump->type, dump->dialect, false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes = fuzz::view(data, size);
  read(bytes);
  if (size < 8) return 0;
  Bytes right(bytes.substr(0, size - 8));
  const std::uint64_t crc = crc64(0, right);
  for (int i = 0; i < 8; ++i)
    right += static_cast<char>(crc >> (8 * i));
  read(right);
  return 0;
}
