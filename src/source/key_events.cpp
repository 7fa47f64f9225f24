#include "keyferry/source/key_events.hpp"

#include <array>
#include <charconv>

namespace keyferry {
namespace {

// "__keyevent@<db>__:<event>".
bool parse_channel(ByteView channel, KeyEvent& event) {
  constexpr ByteView head = "__keyevent@";
  constexpr ByteView tail = "__:";
  if (!channel.starts_with(head)) return false;
  const char* const begin = channel.data() + head.size();
  const char* const last = channel.data() + channel.size();
  const auto [end, bad] = std::from_chars(begin, last, event.db);
  if (bad != std::errc() || event.db < 0) return false;
  const ByteView rest(end, static_cast<std::size_t>(last - end));
  if (!rest.starts_with(tail)) return false;
  event.event = rest.substr(tail.size());
  return true;
}

constexpr std::size_t items_max = 4;  // pmessage, pattern, channel, key

void judge(std::int64_t items, const std::array<ReplyToken, items_max>& token, Push& push) {
  const ByteView kind = token[0].text;
  push.kind = Push::Kind::other;
  if (kind == "pong") {
    push.kind = Push::Kind::pong;
  } else if (kind == "psubscribe") {
    push.kind = Push::Kind::subscribed;
  } else if (kind == "pmessage" && items == 4 && parse_channel(token[2].text, push.event)) {
    push.kind = Push::Kind::event;
    push.event.key = token[3].text;
  }
}

}  // namespace

ReplyCursor::Status parse_push(ByteView bytes, Push& push, std::size_t& size) {
  using Status = ReplyCursor::Status;
  ReplyCursor cursor(bytes);
  ReplyToken head;
  const Status status = cursor.next(head);
  if (status != Status::token) return status;
  push = Push();
  if (head.kind != ReplyToken::Kind::array) {
    // Servers before Redis 3.0 answer PING here with an error, later ones with an array.
    const bool is_pong = head.text == "PONG";
    push.kind = is_pong ? Push::Kind::pong : head.is_error() ? Push::Kind::error : push.kind;
    push.text = head.text;
    size = cursor.consumed();
    return Status::token;
  }
  if (head.integer < 1 || head.integer > static_cast<std::int64_t>(items_max))
    return Status::corrupt;
  std::array<ReplyToken, items_max> tokens;
  for (std::size_t i = 0; i < static_cast<std::size_t>(head.integer); ++i) {
    const Status item = cursor.next(tokens[i]);
    if (item != Status::token) return item;
    if (tokens[i].kind == ReplyToken::Kind::array) return Status::corrupt;
  }
  judge(head.integer, tokens, push);
  size = cursor.consumed();
  return Status::token;
}

bool changes_key(ByteView event) {
  // keymiss: a reader found nothing (Redis 6.0). new: a key is made, and the event of the command
  // that makes it follows (Redis 7.0). overwritten, type_changed: likewise (Redis 8.2).
  return event != "keymiss" && event != "new" && event != "overwritten" && event != "type_changed";
}

std::string missing_notify_flags(ByteView flags, bool has_module_keys) {
  // Redis 7.0 redis.conf, "EVENT NOTIFICATION": A is an alias for "g$lshztxed"; t since 5.0, d
  // since 6.2, where A covers them.
  constexpr ByteView classes = "g$lshztxe";
  const auto has = [flags](char letter) { return flags.find(letter) != ByteView::npos; };
  std::string missing;
  if (!has('E')) missing += 'E';
  if (has('A')) return missing;
  for (const char letter : classes) {
    if (!has(letter)) missing += letter;
  }
  if (has_module_keys && !has('d')) missing += 'd';
  return missing;
}

}  // namespace keyferry
