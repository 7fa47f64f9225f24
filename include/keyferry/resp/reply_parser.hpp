// Parses one whole RESP2 reply into a RespValue; for control connections only (small replies,
// bounded depth).
#pragma once

#include <optional>

#include "keyferry/resp/resp.hpp"

namespace keyferry {

struct ReplyParse {
  enum class Status { value, need_more, corrupt };
  Status status = Status::need_more;
  std::size_t size = 0;  // value: bytes consumed
};

// Pure: offer the same bytes with more behind them after need_more. Depth is limited to 8, bulks to
// 512 MiB.
ReplyParse parse_reply(ByteView bytes, RespValue& out);

// Field `name` of an INFO text ("name:value\r\n"), empty when it is not there. The view points into
// `info`.
ByteView info_field(ByteView info, ByteView name);

// What INFO says of the databases that hold keys.
struct DatabaseKeys {
  std::int32_t db = 0;
  std::uint64_t keys = 0;
  std::uint64_t expires = 0;  // of these, those that have an expiry
};
// From "db0:keys=12,expires=3,..." lines of an INFO text, in their order.
std::vector<DatabaseKeys> read_keyspace(ByteView info);

// What TIME answers, in Unix milliseconds; nullopt when it is something else.
std::optional<std::int64_t> time_ms(const RespValue& reply);

}  // namespace keyferry
