#include "keyferry/admin/resp_session.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "keyferry/admin/token.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/resp/resp.hpp"
#include "keyferry/resp/word.hpp"

namespace keyferry {
namespace {

constexpr ByteView not_a_server = "-ERR keyferry is not a server\r\n";

void append_integer(Bytes& out, std::int64_t value) {
  fmt::format_to(std::back_inserter(out), ":{}\r\n", value);
}

// The states of a replica's link as ROLE names them (Redis 7.0 replication.c roleCommand).
const char* link_state(const Status& status) {
  if (status.phase == Phase::snapshot) return "sync";
  if (status.phase == Phase::handshake) return "connecting";
  return status.source_link_up ? "connected" : "connect";
}

}  // namespace

struct RespSession::Row {
  ByteView name;
  std::size_t min_args;  // the name included
  void (RespSession::*answer)(const Status&, Bytes&);
};

// Everything that is not here is refused: PSYNC and REPLICAOF (FAILOVER, a Sentinel conversion),
// CONFIG, writes.
const RespSession::Row RespSession::rows[] = {
    {"PING", 1, &RespSession::ping},
    {"INFO", 1, &RespSession::info},
    {"ROLE", 1, &RespSession::role},
    {"SUBSCRIBE", 2, &RespSession::subscribe},
    {"CLIENT", 2, &RespSession::client},
    {"REPLCONF", 1, &RespSession::ok},
    {"AUTH", 2, &RespSession::auth},
    {"SHUTDOWN", 1, &RespSession::shutdown},
    {"PUBLISH", 3, &RespSession::no_receivers},  // Sentinel's hello messages
};

bool RespSession::feed(ByteView bytes, const Status& status, Bytes& out) {
  unread_ += bytes;
  ByteView rest = unread_;
  while (rest.size() >= wanted_) {
    args_.clear();
    const CommandParse parse = parse_command(rest, args_);
    if (parse.status == CommandParse::Status::corrupt) {
      fmt::format_to(std::back_inserter(out), "-ERR Protocol error: {}\r\n", parse.problem);
      return false;
    }
    wanted_ = parse.status == CommandParse::Status::command ? 1 : parse.size;
    if (parse.size > max_request_bytes) {
      out += "-ERR Protocol error: request too large\r\n";
      return false;
    }
    if (parse.status == CommandParse::Status::need_more) break;
    answer(status, out);
    rest.remove_prefix(parse.size);
  }
  unread_.erase(0, unread_.size() - rest.size());
  return true;
}

void RespSession::answer(const Status& status, Bytes& out) {
  for (const Row& row : rows) {
    if (!is_word(args_[0], row.name)) continue;
    if (args_.size() < row.min_args) {
      out += "-ERR wrong number of arguments\r\n";
      return;
    }
    return (this->*row.answer)(status, out);
  }
  out += not_a_server;
}

void RespSession::ping(const Status&, Bytes& out) {
  const ByteView text = args_.size() > 1 ? args_[1] : ByteView();
  if (is_subscribed()) {
    // RESP2 clients in subscribed state understand arrays only (Redis 7.0 server.c pingCommand).
    append_array_header(out, 2);
    append_bulk(out, "pong");
    append_bulk(out, text);
  } else if (args_.size() > 1) {
    append_bulk(out, text);
  } else {
    out += "+PONG\r\n";
  }
}

void RespSession::info(const Status& status, Bytes& out) {
  if (args_.size() == 1) return append_bulk(out, info_text("", status, identity_));
  std::string text;
  for (std::size_t i = 1; i < std::min<std::size_t>(args_.size(), 4); ++i) {
    const std::string section = info_text(args_[i], status, identity_);
    if (!text.empty() && !section.empty()) text += "\r\n";
    text += section;
  }
  append_bulk(out, text);
}

void RespSession::role(const Status& status, Bytes& out) {
  const SourceAddress source = source_address(status);
  append_array_header(out, 5);
  append_bulk(out, "slave");
  append_bulk(out, source.host);
  fmt::format_to(std::back_inserter(out), ":{}\r\n", source.port);
  append_bulk(out, link_state(status));
  append_integer(out, status.applied_offset);
}

// Accepted and never served. Channels are not stored, so one that is named twice counts twice.
void RespSession::subscribe(const Status&, Bytes& out) {
  for (std::size_t i = 1; i < args_.size(); ++i) {
    append_array_header(out, 3);
    append_bulk(out, "subscribe");
    append_bulk(out, args_[i]);
    append_integer(out, ++channels_);
  }
}

void RespSession::client(const Status&, Bytes& out) {
  out += is_word(args_[1], "SETNAME") ? ByteView("+OK\r\n") : not_a_server;
}

// AUTH token, or AUTH user token: the user does not matter.
void RespSession::auth(const Status&, Bytes& out) {
  if (control_ == nullptr || control_->token.empty()) {
    out += not_a_server;
    return;
  }
  authenticated_ = is_token(args_.back(), control_->token);
  out += authenticated_ ? "+OK\r\n" : "-WRONGPASS this is not the token of http.token_file\r\n";
}

void RespSession::shutdown(const Status&, Bytes& out) {
  if (control_ == nullptr || control_->token.empty()) {
    out += not_a_server;
  } else if (!authenticated_) {
    out += "-NOAUTH SHUTDOWN drains the link: AUTH with the token of http.token_file first\r\n";
  } else if (control_->control(ControlVerb::drain)) {
    out += "+OK\r\n";
  } else {
    out += "-ERR the link has ended\r\n";
  }
}

void RespSession::ok(const Status&, Bytes& out) {
  out += "+OK\r\n";
}

void RespSession::no_receivers(const Status&, Bytes& out) {
  append_integer(out, 0);
}

}  // namespace keyferry
