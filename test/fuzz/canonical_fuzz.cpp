// Two DUMP payloads side by side, with footers whose checksums are right: compared without a crash,
// each is the same as itself, and the same bytes are the same value.
#include "fuzz.hpp"
#include "keyferry/base/checksum.hpp"
#include "keyferry/verify/canonical.hpp"
#include "keyferry/verify/difference.hpp"

namespace {

using namespace keyferry;  // NOLINT: a program of its own

constexpr std::int64_t now_ms = 1'700'000'000'000;

Bytes with_checksum(ByteView body) {
  Bytes out(body);
  const std::uint64_t crc = crc64(0, out);
  for (int i = 0; i < 8; ++i)
    out += static_cast<char>(crc >> (8 * i));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes = fuzz::view(data, size);
  const Bytes whole = with_checksum(bytes);
  const Bytes first = with_checksum(bytes.substr(0, size / 2));
  const Bytes second = with_checksum(bytes.substr(size / 2));
  fuzz::ExactBuffer a;
  fuzz::ExactBuffer b;
  for (const auto& [left, right] : {std::pair(first, second), std::pair(whole, first)}) {
    const ValueDigest of_left = digest_of_dump(a.hold(left), now_ms);
    const ValueDigest of_right = digest_of_dump(b.hold(right), now_ms);
    fuzz::require(is_same(of_left, digest_of_dump(a.hold(left), now_ms)), "a digest stays");
    if (left == right) fuzz::require(is_same(of_left, of_right), "the same bytes, the same value");
    first_difference(a.hold(left), b.hold(right), now_ms);
    is_same_dump(a.hold(left), b.hold(right));
  }
  return 0;
}
