#include "keyferry/source/key_request.hpp"

#include <algorithm>
#include <array>

#include "keyferry/base/number.hpp"
#include "keyferry/command/keys.hpp"

namespace keyferry {
namespace {

using Token = ReplyCursor::Status;

// Where MEMORY USAGE is not to be had: exactly one of these is no WRONGTYPE.
constexpr std::array<ByteView, 6> length_commands = {"STRLEN", "LLEN",  "HLEN",
                                                     "SCARD",  "ZCARD", "XLEN"};
constexpr std::uint64_t usual_element_bytes = 64;

bool is_redirection(ByteView error) {
  return error.starts_with("MOVED ") || error.starts_with("ASK ");
}

// The server has no such command, or not for us.
bool is_denied(ByteView error) {
  return error.starts_with("NOPERM") || error.starts_with("ERR unknown") ||
         error.starts_with("ERR Unknown");
}

KeyRequest::Status as_status(Token token) {
  return token == Token::need_more ? KeyRequest::Status::need_more : KeyRequest::Status::corrupt;
}

}  // namespace

bool is_passing_trouble(ByteView error) {
  for (const ByteView word : {"LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"}) {
    if (error.starts_with(word)) return true;
  }
  return false;
}

KeyRequest::Status KeyRequest::refuse(ByteView command, ByteView error) {
  error_ = std::string(command).append(": ").append(error);
  may_try_again_ = is_passing_trouble(error);
  return Status::refused;
}

void KeyRequest::select(std::int32_t db, std::int32_t& selected) {
  append_command(wire_, {"SELECT", std::to_string(db)});
  selected = db;
}

void KeyRequest::scan(std::int32_t db, ByteView cursor, std::int64_t count, ByteView type,
                      std::int32_t& selected) {
  has_scan_ = true;
  scan_db_ = db;
  scan_selects_ = db != selected;
  if (scan_selects_) select(db, selected);
  const std::string keys = std::to_string(count);
  if (type.empty()) {
    append_command(wire_, {"SCAN", cursor, "COUNT", keys});
  } else {
    append_command(wire_, {"SCAN", cursor, "COUNT", keys, "TYPE", type});
  }
}

void KeyRequest::ask_sizes(KeyList keys, std::int32_t& selected) {
  sizes_ = std::move(keys);
  sizes_select_.assign(sizes_.size(), false);
  for (std::size_t i = 0; i < sizes_.size(); ++i) {
    if (sizes_[i].asking) continue;  // would be one more redirection
    sizes_select_[i] = sizes_[i].db != selected;
    if (sizes_select_[i]) select(sizes_[i].db, selected);
    if (ways_.memory_usage) {
      append_command(wire_, {"MEMORY", "USAGE", sizes_.name(i)});
      continue;
    }
    for (const ByteView command : length_commands)
      append_command(wire_, {command, sizes_.name(i)});
  }
}

void KeyRequest::read(KeyList keys, std::int32_t& selected) {
  keys_ = std::move(keys);
  keys_select_.assign(keys_.size(), false);
  if (!keys_.empty() && !ways_.pexpiretime) append_command(wire_, {"TIME"});
  const ByteView expiry = ways_.pexpiretime ? "PEXPIRETIME" : "PTTL";
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const KeyList::Entry& entry = keys_[i];
    if (entry.value_bytes > limits_.big_bytes) continue;
    keys_select_[i] = entry.db != selected;
    if (keys_select_[i]) select(entry.db, selected);
    if (entry.asking) append_command(wire_, {"ASKING"});
    append_command(wire_, {"DUMP", keys_.name(i)});
    if (entry.asking) append_command(wire_, {"ASKING"});
    append_command(wire_, {expiry, keys_.name(i)});
  }
}

KeyRequest::Status KeyRequest::next(ByteView bytes, std::size_t& consumed, ReadKey& out) {
  consumed = 0;
  while (true) {
    switch (stage_) {
      case Stage::scan:
        stage_ = Stage::sizes;
        if (has_scan_) {
          stage_ = Stage::scan;
          const Status status = next_page(bytes, consumed);
          if (status == Status::page) stage_ = Stage::sizes;
          return status;
        }
        break;
      case Stage::sizes: {
        if (at_ < sizes_.size()) {
          const Status status = next_size(bytes.substr(consumed), consumed);
          if (status != Status::key) return status;
          break;
        }
        at_ = 0;
        stage_ = keys_.empty() || ways_.pexpiretime ? Stage::values : Stage::time;
        return Status::head_done;
      }
      case Stage::time: {
        const Status status = next_time(bytes.substr(consumed), consumed);
        if (status != Status::key) return status;
        stage_ = Stage::values;
        break;
      }
      case Stage::values:
        if (at_ == keys_.size()) {
          stage_ = Stage::done;
          return Status::done;
        }
        return next_value(bytes.substr(consumed), consumed, out);
      case Stage::done:
        return Status::done;
    }
  }
}

// The +OK of a SELECT in front, if one was sent.
bool KeyRequest::takes_selection(ReplyCursor& cursor, bool is_due, Token& status) {
  if (!is_due) return true;
  ReplyToken token;
  status = cursor.next(token);
  if (status == Token::token && token.is_error()) {
    refuse("SELECT", token.text);
    return false;
  }
  return status == Token::token;
}

KeyRequest::Status KeyRequest::next_page(ByteView bytes, std::size_t& consumed) {
  ReplyCursor cursor(bytes);
  Token status = Token::token;
  if (!takes_selection(cursor, scan_selects_, status))
    return error_.empty() ? as_status(status) : Status::refused;
  ReplyToken token;
  status = cursor.next(token);
  if (status != Token::token) return as_status(status);
  if (token.is_error()) return refuse("SCAN", token.text);
  if (token.kind != ReplyToken::Kind::array || token.integer != 2) return Status::corrupt;
  ReplyToken at;
  status = cursor.next(at);
  if (status != Token::token) return as_status(status);
  status = cursor.next(token);
  if (status != Token::token) return as_status(status);
  if (at.kind != ReplyToken::Kind::bulk || token.kind != ReplyToken::Kind::array)
    return Status::corrupt;
  page_.clear();
  KeyList::Entry entry;
  entry.db = scan_db_;
  for (std::int64_t left = token.integer; left > 0; --left) {
    ReplyToken key;
    status = cursor.next(key);
    if (status != Token::token) return as_status(status);
    if (key.kind != ReplyToken::Kind::bulk) return Status::corrupt;
    if (!is_own_key(key.text)) page_.add(key.text, entry);
  }
  scan_cursor_.assign(at.text);
  consumed += cursor.consumed();
  return Status::page;
}

// `key`: the size of one key is known.
KeyRequest::Status KeyRequest::next_size(ByteView bytes, std::size_t& consumed) {
  KeyList::Entry& entry = sizes_[at_];
  if (entry.asking) {
    ++at_;
    return Status::key;
  }
  ReplyCursor cursor(bytes);
  Token status = Token::token;
  if (!takes_selection(cursor, sizes_select_[at_], status))
    return error_.empty() ? as_status(status) : Status::refused;
  std::uint64_t size = 0;
  const std::size_t replies = ways_.memory_usage ? 1 : length_commands.size();
  for (std::size_t i = 0; i < replies; ++i) {
    ReplyToken token;
    status = cursor.next(token);
    if (status != Token::token) return as_status(status);
    if (token.is_error() && ways_.memory_usage && is_denied(token.text)) {
      ways_.memory_usage = false;
      return refuse("MEMORY USAGE", token.text);
    }
    if (token.kind != ReplyToken::Kind::integer) continue;
    const auto found = static_cast<std::uint64_t>(std::max<std::int64_t>(0, token.integer));
    const bool is_count = !ways_.memory_usage && i > 0;
    size = std::max(size, is_count ? found * usual_element_bytes : found);
  }
  entry.value_bytes = size;
  consumed += cursor.consumed();
  ++at_;
  return Status::key;
}

KeyRequest::Status KeyRequest::next_time(ByteView bytes, std::size_t& consumed) {
  ReplyCursor cursor(bytes);
  std::array<ReplyToken, 3> tokens;
  for (ReplyToken& token : tokens) {
    const Token status = cursor.next(token);
    if (status != Token::token) return as_status(status);
    if (token.is_error()) return refuse("TIME", token.text);
  }
  now_ms_ = leading_number(tokens[1].text) * 1000 + leading_number(tokens[2].text) / 1000;
  consumed += cursor.consumed();
  return Status::key;
}

KeyRequest::Status KeyRequest::next_value(ByteView bytes, std::size_t& consumed, ReadKey& out) {
  const KeyList::Entry& entry = keys_[at_];
  out = ReadKey();
  out.db = entry.db;
  out.asking = entry.asking;
  out.key = keys_.name(at_);
  out.number = entry.number;
  if (entry.value_bytes > limits_.big_bytes) {
    out.kind = ReadKey::Kind::big;
    ++at_;
    return Status::key;
  }
  ReplyCursor cursor(bytes);
  Token status = Token::token;
  if (!takes_selection(cursor, keys_select_[at_], status))
    return error_.empty() ? as_status(status) : Status::refused;
  ReplyToken value;
  ReplyToken expiry;
  ReplyToken ignored;
  if (entry.asking) status = cursor.next(ignored);
  if (status == Token::token) status = cursor.next(value);
  if (status == Token::token && entry.asking) status = cursor.next(ignored);
  if (status == Token::token) status = cursor.next(expiry);
  if (status != Token::token) return as_status(status);
  if (expiry.is_error() && ways_.pexpiretime && is_denied(expiry.text)) {
    ways_.pexpiretime = false;
    return refuse("PEXPIRETIME", expiry.text);
  }
  consumed += cursor.consumed();
  ++at_;
  if (value.is_error()) {
    out.kind = is_redirection(value.text) ? ReadKey::Kind::moved : ReadKey::Kind::refused;
    out.text = value.text;
    return Status::key;
  }
  // An expiry of -2: it went between the two commands, and its event comes.
  if (value.is_null() || expiry.integer == -2) return Status::key;
  out.kind = ReadKey::Kind::value;
  out.payload = value.text;
  if (expiry.integer >= 0)
    out.expire_ms =
        ways_.pexpiretime ? std::max<std::int64_t>(1, expiry.integer) : now_ms_ + expiry.integer;
  return Status::key;
}

}  // namespace keyferry
