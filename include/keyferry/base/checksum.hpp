// Checksums and decompression that Redis' formats need: CRC16 (cluster slots), CRC64 (RDB, DUMP),
// LZF strings.
#pragma once

#include <cstdint>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

// CRC16/XMODEM, the one of the cluster specification: crc16("123456789") == 0x31c3.
std::uint16_t crc16(ByteView bytes);

// CRC-64 "Jones" as Redis computes it (reflected, init 0, no final xor), by ISA-L; continues from
// `seed`: crc64(0, "123456789") == 0xe9c6d914c4b8d9ca (Redis crc64.c test vector).
std::uint64_t crc64(std::uint64_t seed, ByteView bytes);

// Decompresses an LZF blob (Redis RDB string encoding 3) into exactly `size` bytes. False when the
// blob is corrupt.
bool lzf_decompress(ByteView blob, std::size_t size, Bytes& out);

}  // namespace keyferry
