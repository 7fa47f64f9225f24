// Reads RESP2 replies token by token, as views into the caller's bytes: for bulk replies of which
// every part is used once (DUMP payloads, pages of SCAN, keyspace events). An array is its header
// followed by its items. Pure: offer the same bytes, with more behind them, after need_more.
#pragma once

#include <cstdint>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

// `text` points into the bytes that were offered.
struct ReplyToken {
  enum class Kind : std::uint8_t { simple, error, integer, bulk, null, array };
  Kind kind = Kind::null;
  ByteView text;             // simple, error (without '-'), bulk
  std::int64_t integer = 0;  // integer; of an array: how many items follow

  bool is_error() const { return kind == Kind::error; }
  bool is_null() const { return kind == Kind::null; }
};

class ReplyCursor {
 public:
  enum class Status : std::uint8_t { token, need_more, corrupt };
  // As parse_reply: what no server sends is no reply.
  static constexpr std::int64_t bulk_max_bytes = std::int64_t{512} * 1024 * 1024;

  explicit ReplyCursor(ByteView bytes) : rest_(bytes), size_(bytes.size()) {}

  Status next(ReplyToken& token);
  std::size_t consumed() const { return size_ - rest_.size(); }

 private:
  ByteView rest_;
  std::size_t size_;
};

}  // namespace keyferry
