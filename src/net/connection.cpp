#include "keyferry/net/connection.hpp"

#include "keyferry/resp/reply_parser.hpp"
#include "keyferry/resp/reply_scanner.hpp"

namespace keyferry {
namespace {

// What an error reply to AUTH or PING means for the connection. A server that is full or loading
// lets us in later.
Error judge_opening(const std::string& command, const RespValue& reply) {
  if (!reply.is_error()) return Error();
  const std::string what = command + ": " + reply.text;
  const ByteView text = reply.text;
  if (text.starts_with("ERR max number of clients")) return Error(Errc::unreachable, what);
  const bool is_refusal = command == "AUTH" || text.starts_with("NOAUTH") ||
                          text.starts_with("NOPERM") || text.starts_with("DENIED");
  return is_refusal ? Error(Errc::refused_by_peer, what) : Error();
}

}  // namespace

Task<Error> Connection::open(const EndOptions& options, HostPort host, std::string name) {
  const Millis limit(options.connect_timeout_ms);
  Error error = co_await with_deadline(limit, open_unbounded(options, host, std::move(name)));
  if (error) close();
  co_return error;
}

Task<Error> Connection::open_unbounded(const EndOptions& options, HostPort host, std::string name) {
  unread_.clear();
  Error error;
  if (options.uri.kind == Uri::Kind::unix_socket) {
    error = co_await stream_.connect_unix(options.uri.path);
  } else {
    error = co_await stream_.connect_tcp(std::move(host));
  }
  if (error) co_return error;

  RespValue reply;
  if (!options.uri.password.empty()) {
    Bytes auth;
    if (options.uri.user.empty()) {
      append_command(auth, {"AUTH", options.uri.password});
    } else {
      append_command(auth, {"AUTH", options.uri.user, options.uri.password});
    }
    error = co_await call_unbounded(auth, reply);
    if (error) co_return error;
    error = judge_opening("AUTH", reply);
    if (error) co_return error;
  }
  // The first command that needs permission tells whether we are let in at all.
  const Bytes ping = make_command({"PING"});
  error = co_await call_unbounded(ping, reply);
  if (error) co_return error;
  error = judge_opening("PING", reply);
  if (error) co_return error;
  // Servers before 2.6.9 have no CLIENT SETNAME; the name only helps people.
  const Bytes setname = make_command({"CLIENT", "SETNAME", options.client_name + "-" + name});
  co_return co_await call_unbounded(setname, reply);
}

Task<Result<RespValue>> Connection::call(Bytes wire, Millis limit) {
  RespValue reply;
  Error error = co_await with_deadline(limit, call_unbounded(wire, reply));
  if (error) {
    close();
    co_return error;
  }
  co_return reply;
}

Task<Error> Connection::call_unbounded(const Bytes& wire, RespValue& reply) {
  Error error = co_await stream_.write(wire);
  if (!error) error = co_await read_reply(reply);
  co_return error;
}

Task<Error> Connection::read_reply(RespValue& reply) {
  Error error;
  while (!error) {
    const ReplyParse parsed = parse_reply(unread_, reply);
    if (parsed.status == ReplyParse::Status::value) {
      unread_.erase(0, parsed.size);
      break;
    }
    if (parsed.status == ReplyParse::Status::corrupt) {
      co_return Error(Errc::corrupt,
                      "the server's reply is not RESP: \"" + escaped(unread_) + "\"");
    }
    error = co_await fill();
  }
  co_return error;
}

Task<Result<std::vector<RespValue>>> Connection::call_all(Bytes wire, std::size_t replies,
                                                          Millis limit) {
  std::vector<RespValue> values(replies);
  Error error = co_await with_deadline(limit, call_all_unbounded(wire, values));
  if (error) {
    close();
    co_return error;
  }
  co_return values;
}

Task<Error> Connection::call_all_unbounded(const Bytes& wire, std::vector<RespValue>& replies) {
  Error error = co_await stream_.write(wire);
  for (std::size_t i = 0; i < replies.size() && !error; ++i)
    error = co_await read_reply(replies[i]);
  co_return error;
}

Task<Result<std::string>> Connection::deliver(Bytes wire, std::uint32_t replies, Millis limit) {
  std::string first_error;
  Error error = co_await with_deadline(limit, deliver_unbounded(wire, replies, first_error));
  if (error) {
    close();
    co_return error;
  }
  co_return first_error;
}

Task<Error> Connection::deliver_unbounded(const Bytes& wire, std::uint32_t replies,
                                          std::string& first_error) {
  Error error = co_await stream_.write(wire);
  ReplyScanner scanner;
  while (!error && replies > 0) {
    ByteView unread = unread_;
    const ReplyScanner::Status status = scanner.next(unread);
    unread_.erase(0, unread_.size() - unread.size());
    if (status == ReplyScanner::Status::done) {
      --replies;
      if (first_error.empty()) first_error = scanner.error();
    } else if (status == ReplyScanner::Status::corrupt) {
      co_return Error(Errc::unreachable, "a reply is not RESP");
    } else {
      error = co_await fill();
    }
  }
  co_return error;
}

Task<Result<Bytes>> Connection::read_line(Millis limit) {
  Bytes line;
  Error error = co_await with_deadline(limit, read_line_unbounded(line));
  if (error) {
    close();
    co_return error;
  }
  co_return line;
}

Task<Error> Connection::read_line_unbounded(Bytes& line) {
  constexpr std::size_t longest_line_bytes = 64 * 1024;
  std::size_t end = unread_.find('\n');
  while (end == Bytes::npos) {
    if (unread_.size() > longest_line_bytes) co_return Error(Errc::corrupt, "a line without end");
    Error error = co_await fill();
    if (error) co_return error;
    end = unread_.find('\n');
  }
  line = unread_.substr(0, end);
  if (line.ends_with('\r')) line.pop_back();
  unread_.erase(0, end + 1);
  co_return Error();
}

Task<Error> Connection::fill() {
  constexpr std::size_t step_bytes = 16 * 1024;
  const std::size_t before = unread_.size();
  unread_.resize(before + step_bytes);
  auto read = co_await stream_.read_some(unread_.data() + before, step_bytes);
  unread_.resize(before + (read ? *read : 0));
  if (!read) co_return read.error();
  co_return Error();
}

Bytes Connection::take_unread() {
  return std::exchange(unread_, Bytes());
}

}  // namespace keyferry
