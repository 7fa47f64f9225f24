#include "keyferry/rdb/dump.hpp"

#include "keyferry/base/checksum.hpp"
#include "keyferry/rdb/value_walker.hpp"

namespace keyferry::rdb {
namespace {

// u16 version, u64 checksum of all before it, little endian (Redis 2.6 migrate.c / cluster.c
// createDumpPayload).
constexpr std::size_t version_size = 2;
constexpr std::size_t footer_size = version_size + checksum_size;

Error corrupt(const char* problem) {
  return {Errc::corrupt, std::string("DUMP payload: ") + problem};
}

}  // namespace

Result<DumpPayload> parse_dump(ByteView payload) {
  if (payload.size() <= footer_size) return corrupt("it is too short");
  const ByteView covered = payload.substr(0, payload.size() - checksum_size);
  Cursor footer(payload, payload.size() - footer_size);
  const int version = footer.number<std::uint16_t>();
  const auto checksum = footer.number<std::uint64_t>();
  if (checksum != 0 && checksum != crc64(0, covered)) return corrupt("the checksum is wrong");

  DumpPayload out;
  out.dialect = {version >= first_valkey_version ? Family::valkey : Family::redis, version};
  out.checksum_disabled = checksum == 0;
  const ByteView body = payload.substr(0, payload.size() - footer_size);
  Cursor in(body, 0);
  out.type = in.byte();
  if (out.type == opcode::key_meta && out.dialect.family == Family::redis) {
    ValueWalker walker;
    walker.start(layout::key_meta);
    if (!walker.walk(in)) return corrupt("the key's metadata is damaged");
    out.key_meta = body.substr(1, in.position() - 1);
    out.type = in.byte();
  }
  out.value = body.substr(in.position());
  if (!in.ok()) return corrupt("it has no value");
  return out;
}

}  // namespace keyferry::rdb
