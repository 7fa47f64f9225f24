#include "keyferry/resp/reply_cursor.hpp"

#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

constexpr std::size_t line_max_bytes = 64 * 1024;
constexpr std::int64_t items_max = std::int64_t{1} << 31;

}  // namespace

ReplyCursor::Status ReplyCursor::next(ReplyToken& token) {
  if (rest_.empty()) return Status::need_more;
  const std::size_t end = rest_.substr(0, line_max_bytes).find("\r\n");
  if (end == ByteView::npos)
    return rest_.size() > line_max_bytes ? Status::corrupt : Status::need_more;
  const char type = rest_.front();
  const ByteView line = rest_.substr(1, end - 1);
  std::size_t size = end + 2;
  token = ReplyToken();
  if (type == '+' || type == '-') {
    token.kind = type == '+' ? ReplyToken::Kind::simple : ReplyToken::Kind::error;
    token.text = line;
    rest_.remove_prefix(size);
    return Status::token;
  }
  if (!read_number(line, token.integer)) return Status::corrupt;
  const bool is_null = token.integer == -1;
  if (type == ':') {
    token.kind = ReplyToken::Kind::integer;
  } else if (type == '$' || type == '*') {
    const std::int64_t most = type == '$' ? bulk_max_bytes : items_max;
    if (token.integer < -1 || token.integer > most) return Status::corrupt;
    if (type == '*' && !is_null) token.kind = ReplyToken::Kind::array;
    if (type == '$' && !is_null) {
      const auto length = static_cast<std::size_t>(token.integer);
      if (rest_.size() < size + length + 2) return Status::need_more;
      if (rest_.substr(size + length, 2) != "\r\n") return Status::corrupt;
      token.kind = ReplyToken::Kind::bulk;
      token.text = rest_.substr(size, length);
      size += length + 2;
    }
  } else {
    return Status::corrupt;
  }
  rest_.remove_prefix(size);
  return Status::token;
}

}  // namespace keyferry
