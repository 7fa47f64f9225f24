#include "keyferry/net/connection.hpp"

#include <charconv>

#include <fmt/format.h>

#include "keyferry/config/secret.hpp"
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

// What the password file holds now: passwords change while links run. Else what it held at the
// start.
std::string current(const std::string& file, const std::string& at_start) {
  if (file.empty()) return at_start;
  Result<std::string> secret = read_secret(file);
  return secret ? *secret : at_start;
}

// The answer of SENTINEL get-master-addr-by-name: [host, port], or nil for an unknown name.
Error read_master_address(const RespValue& reply, const std::string& name, HostPort& master) {
  if (reply.is_error()) return Error(Errc::refused_by_peer, reply.text);
  if (reply.items.size() != 2) {
    return Error(Errc::unreachable, "knows no master called " + name);
  }
  const std::string& port = reply.items[1].text;
  std::uint16_t number = 0;
  const auto [end, bad] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (bad != std::errc() || number == 0) {
    return Error(Errc::unreachable, "names no port but \"" + escaped(port) + "\"");
  }
  master.host = reply.items[0].text;
  master.port = number;
  return Error();
}

// Servers name addresses that may mean nothing outside of their network.
HostPort reached_at(const EndOptions& options, const HostPort& named) {
  const bool is_ipv6 = named.host.find(':') != std::string::npos;
  const auto text = is_ipv6 ? fmt::format("[{}]:{}", named.host, named.port)
                            : fmt::format("{}:{}", named.host, named.port);
  const auto mapped = options.address_map.find(text);
  if (mapped == options.address_map.end()) return named;
  Result<HostPort> address = parse_listen(mapped->second);
  return address ? *address : named;
}

}  // namespace

Task<Error> Connection::open(const EndOptions& options, HostPort host, std::string name) {
  const Millis limit(options.connect_timeout_ms);
  Error error = co_await with_deadline(limit, open_unbounded(options, host, std::move(name)));
  // A plain server waits for more of what it takes for a command.
  const bool in_handshake = options.uri.tls && stream_.is_open() && !stream_.is_tls();
  if (error && in_handshake && error.what.starts_with("timed out"))
    error.what += " in the TLS handshake (is this a TLS port?)";
  if (error) close();
  co_return error;
}

Task<Error> Connection::open_unbounded(const EndOptions& options, HostPort host, std::string name) {
  const bool has_sentinels = !options.uri.sentinel_master.empty();
  if (has_sentinels) {
    Error error = co_await ask_sentinels(options, host);
    if (error) co_return error;
  }
  Error error = co_await connect(options, std::move(host));
  if (!error) {
    error = co_await authenticate(options.uri.user,
                                  current(options.password_file, options.uri.password));
  }
  if (!error && has_sentinels) error = co_await require_master();
  if (error) co_return error;
  RespValue reply;
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

Task<Error> Connection::connect(const EndOptions& options, HostPort host) {
  close();
  unread_.clear();
  host_ = host;
  Error error;
  if (options.uri.kind == Uri::Kind::unix_socket) {
    error = co_await stream_.connect_unix(options.uri.path);
  } else {
    host = reached_at(options, host);
    error = co_await stream_.connect_tcp(host);
  }
  if (!error && options.uri.tls) error = co_await stream_.start_tls(options.tls, host.host);
  co_return error;
}

Task<Error> Connection::authenticate(const std::string& user, const std::string& password) {
  if (password.empty()) co_return Error();
  Bytes auth;
  if (user.empty()) {
    append_command(auth, {"AUTH", password});
  } else {
    append_command(auth, {"AUTH", user, password});
  }
  RespValue reply;
  Error error = co_await call_unbounded(auth, reply);
  if (!error) error = judge_opening("AUTH", reply);
  co_return error;
}

Task<Error> Connection::open_sentinel(const EndOptions& options, HostPort sentinel,
                                      HostPort& master) {
  const Millis limit(options.connect_timeout_ms);
  Error error = co_await with_deadline(limit, ask_sentinel(options, std::move(sentinel), master));
  if (error) close();
  co_return error;
}

Task<Error> Connection::ask_sentinel(const EndOptions& options, HostPort sentinel,
                                     HostPort& master) {
  Error error = co_await connect(options, std::move(sentinel));
  if (error) co_return error;
  error = co_await authenticate(options.sentinel_user,
                                current(options.sentinel_password_file, options.sentinel_password));
  const Bytes question =
      make_command({"SENTINEL", "get-master-addr-by-name", options.uri.sentinel_master});
  RespValue reply;
  if (!error) error = co_await call_unbounded(question, reply);
  if (!error) error = read_master_address(reply, options.uri.sentinel_master, master);
  co_return error;
}

// Where the master is now, from the first Sentinel that knows ("Guidelines for Redis clients",
// Redis documentation, steps 1 and 2).
Task<Error> Connection::ask_sentinels(const EndOptions& options, HostPort& master) {
  Error last;
  for (const HostPort& sentinel : options.uri.hosts) {
    Error error = co_await ask_sentinel(options, sentinel, master);
    if (!error) co_return Error();
    last =
        with_context(fmt::format("sentinel {}:{}", sentinel.host, sentinel.port), std::move(error));
  }
  co_return last;
}

// A Sentinel may name the old master for a moment after a failover (step 3).
Task<Error> Connection::require_master() {
  RespValue reply;
  const Bytes role = make_command({"ROLE"});
  Error error = co_await call_unbounded(role, reply);
  if (error || reply.is_error()) co_return error;
  if (!reply.items.empty() && reply.items[0].text == "master") co_return Error();
  co_return Error(Errc::unreachable, "the server that Sentinel names is no master (yet)");
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

Task<Result<RespValue>> Connection::read(Millis limit) {
  RespValue reply;
  Error error = co_await with_deadline(limit, read_reply(reply));
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
    if (unread_.size() > reply_max_bytes) {
      co_return Error(Errc::data_refused,
                      fmt::format("a reply of more than {} bytes", reply_max_bytes));
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
