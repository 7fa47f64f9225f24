#include "keyferry/resp/reply_parser.hpp"

#include <algorithm>

#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

using Status = ReplyParse::Status;
constexpr int deepest_nesting = 8;
constexpr std::int64_t largest_bulk_bytes = 512 * 1024 * 1024;
constexpr std::int64_t most_elements = 1024 * 1024;

Status parse_at(ByteView bytes, std::size_t& at, RespValue& out, int depth) {
  const std::size_t end = bytes.find("\r\n", at);
  if (end == ByteView::npos)
    return bytes.size() - at > 64 * 1024 ? Status::corrupt : Status::need_more;
  if (end == at) return Status::corrupt;
  const char type = bytes[at];
  const ByteView text = bytes.substr(at + 1, end - at - 1);
  at = end + 2;
  if (type == '+' || type == '-') {
    out.kind = type == '+' ? RespValue::Kind::simple : RespValue::Kind::error;
    out.text = text;
    return Status::value;
  }
  std::int64_t n = 0;
  if (!read_number(text, n)) return Status::corrupt;
  if (type == ':') {
    out.kind = RespValue::Kind::integer;
    out.integer = n;
    return Status::value;
  }
  if ((type == '$' || type == '*') && n == -1) {
    out.kind = RespValue::Kind::null;
    return Status::value;
  }
  if (type == '$' && n >= 0 && n <= largest_bulk_bytes) {
    const auto size = static_cast<std::size_t>(n);
    if (bytes.size() - at < size + 2) return Status::need_more;
    if (bytes.substr(at + size, 2) != "\r\n") return Status::corrupt;
    out.kind = RespValue::Kind::bulk;
    out.text = bytes.substr(at, size);
    at += size + 2;
    return Status::value;
  }
  if (type == '*' && n >= 0 && n <= most_elements && depth < deepest_nesting) {
    out.kind = RespValue::Kind::array;
    for (std::int64_t i = 0; i < n; ++i) {
      out.items.emplace_back();
      const Status status = parse_at(bytes, at, out.items.back(), depth + 1);
      if (status != Status::value) return status;
    }
    return Status::value;
  }
  return Status::corrupt;
}

// Of an INFO text; `rest` is what follows it.
ByteView take_line(ByteView& rest) {
  const std::size_t end = std::min(rest.find("\r\n"), rest.size());
  const ByteView line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 2, rest.size()));
  return line;
}

}  // namespace

ReplyParse parse_reply(ByteView bytes, RespValue& out) {
  out = RespValue();
  std::size_t at = 0;
  const Status status = bytes.empty() ? Status::need_more : parse_at(bytes, at, out, 0);
  return {status, status == Status::value ? at : 0};
}

ByteView info_field(ByteView info, ByteView name) {
  while (!info.empty()) {
    const ByteView line = take_line(info);
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':') {
      return line.substr(name.size() + 1);
    }
  }
  return {};
}

std::vector<DatabaseKeys> read_keyspace(ByteView info) {
  constexpr ByteView keys = ":keys=";
  constexpr ByteView expires = ",expires=";
  std::vector<DatabaseKeys> out;
  while (!info.empty()) {
    const ByteView line = take_line(info);
    const std::size_t keys_at = line.find(keys);
    if (!line.starts_with("db") || keys_at == ByteView::npos) continue;
    DatabaseKeys one;
    if (!read_number(line.substr(2, keys_at - 2), one.db) || one.db < 0) continue;
    one.keys = leading_number<std::uint64_t>(line.substr(keys_at + keys.size()));
    if (const std::size_t at = line.find(expires); at != ByteView::npos)
      one.expires = leading_number<std::uint64_t>(line.substr(at + expires.size()));
    out.push_back(one);
  }
  return out;
}

std::optional<std::int64_t> time_ms(const RespValue& reply) {
  if (!reply.is_array() || reply.items.size() != 2) return std::nullopt;
  return leading_number(reply.items[0].text) * 1000 + leading_number(reply.items[1].text) / 1000;
}

}  // namespace keyferry
