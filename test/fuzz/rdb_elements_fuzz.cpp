// ElementReader on any bytes: no crash, and the same elements whether the value comes whole or in
// pieces, and whether large texts are given out in parts. First byte: the type (above 127: in
// Valkey's dialect).
#include "element_digest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keyferry;  // NOLINT: a program of its own
  if (size == 0) return 0;
  const auto type = static_cast<std::uint8_t>(data[0] & 0x7f);
  const rdb::Dialect dialect =
      data[0] < 0x80 ? rdb::Dialect{rdb::Family::redis, 15} : rdb::Dialect{rdb::Family::valkey, 80};
  const ByteView value = fuzz::view(data + 1, size - 1);
  const fuzz::ElementDigest whole = fuzz::digest_value(value, type, dialect, false);
  fuzz::require(whole == fuzz::digest_value(value, type, dialect, true),
                "pieces read like the whole");
  const fuzz::ElementDigest in_parts = fuzz::digest_value(value, type, dialect, false, true);
  fuzz::require(in_parts == fuzz::digest_value(value, type, dialect, true, true),
                "pieces read like the whole, in parts");
  // The frame of a node with one large text is not looked at as closely.
  const bool is_read = whole.status == rdb::ElementReader::Status::end;
  fuzz::require(!is_read || in_parts == whole, "parts make the whole");
  return 0;
}
