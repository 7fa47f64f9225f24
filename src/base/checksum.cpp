#include "keyferry/base/checksum.hpp"

#include <array>
#include <limits>

#include <isa-l/crc64.h>
#include <liblzf/lzf.h>

namespace keyferry {
namespace {

// CRC16/XMODEM: polynomial 0x1021, not reflected, init 0 (Redis cluster specification, appendix A).
constexpr std::array<std::uint16_t, 256> make_crc16_table() {
  std::array<std::uint16_t, 256> table{};
  for (unsigned byte = 0; byte < table.size(); ++byte) {
    unsigned crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc & 0x8000U) != 0 ? (crc << 1) ^ 0x1021U : crc << 1;
    table[byte] = static_cast<std::uint16_t>(crc);
  }
  return table;
}

constexpr auto crc16_table = make_crc16_table();

}  // namespace

std::uint16_t crc16(ByteView bytes) {
  unsigned crc = 0;
  for (const char c : bytes) {
    crc = ((crc << 8) & 0xffffU) ^ crc16_table[(crc >> 8) ^ static_cast<unsigned char>(c)];
  }
  return static_cast<std::uint16_t>(crc);
}

std::uint64_t crc64(std::uint64_t seed, ByteView bytes) {
  // ISA-L inverts the register on entry and exit, Redis does not.
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  return ~crc64_jones_refl(~seed, data, bytes.size());
}

bool lzf_decompress(ByteView blob, std::size_t size, Bytes& out) {
  constexpr std::size_t limit = std::numeric_limits<unsigned>::max();
  // Three bytes of LZF make at most 264 (a copy of 9 + 255): a larger claim is not worth its
  // memory.
  if (blob.empty() || blob.size() > limit || size > limit || size / 88 > blob.size()) return false;
  out.resize(size);
  const unsigned made = ::lzf_decompress(blob.data(), static_cast<unsigned>(blob.size()),
                                         out.data(), static_cast<unsigned>(size));
  return made == size && size != 0;
}

}  // namespace keyferry
