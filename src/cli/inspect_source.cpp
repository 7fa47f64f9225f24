// The snapshot of a running server, by a full sync that ends with it.
#include <cstdlib>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "keyferry/cli/inspect.hpp"
#include "keyferry/net/connection.hpp"
#include "keyferry/source/handshake.hpp"

namespace keyferry {
namespace {

// The newest dialect this reader knows (Valkey 9.0 and 9.1 write RDB 80 to those who say so).
constexpr std::string_view version_to_inspect = "9.1.0";

// rdb-only (Redis 6.2): no stream is kept for us behind the snapshot. Servers that do not know a
// word answer with an error that does not matter.
std::vector<Bytes> inspection_greeting() {
  std::vector<Bytes> out = greeting(0);
  out.push_back(make_command({"REPLCONF", "version", version_to_inspect}));
  out.push_back(make_command({"REPLCONF", "rdb-only", "1"}));
  return out;
}

Task<Error> greet(Connection& connection, const EndOptions& options) {
  for (const Bytes& command : inspection_greeting()) {
    auto reply = co_await connection.call(command, Millis(options.connect_timeout_ms));
    if (!reply) co_return reply.error();
    Error error = judge_greeting(*reply);
    if (error) co_return error;
  }
  co_return Error();
}

// Reads lines up to the one before the snapshot.
Task<Error> request_snapshot(Connection& connection, const EndOptions& options) {
  const Bytes request = psync_request("PSYNC", std::nullopt);
  Error error = co_await connection.stream().write(request);
  bool is_accepted = false;
  while (!error) {
    auto line = co_await connection.read_line(Millis(options.reply_timeout_ms));
    if (!line) co_return line.error();
    if (is_accepted) {
      if (line->starts_with("-")) co_return Error(Errc::unreachable, "full sync failed: " + *line);
      auto frame = parse_snapshot_frame(*line);
      if (!frame) co_return frame.error();
      if (*frame) break;
      continue;
    }
    const PsyncAnswer answer = judge_psync(*line);
    is_accepted = answer.kind == PsyncAnswer::Kind::full_sync;
    if (!is_accepted && answer.kind != PsyncAnswer::Kind::keep_alive) {
      co_return Error(Errc::refused_by_peer, "PSYNC refused: " + answer.reason);
    }
  }
  co_return error;
}

Task<Error> read_snapshot(const EndOptions& options, SnapshotBuffer& buffer) {
  const auto executor = co_await asio::this_coro::executor;
  Connection connection(executor);
  const HostPort host = options.uri.hosts.empty() ? HostPort() : options.uri.hosts.front();
  Error error = co_await connection.open(options, host, "keyferry-inspect");
  if (!error) error = co_await greet(connection, options);
  if (!error) error = co_await request_snapshot(connection, options);
  if (error) co_return error;
  Bytes unread = connection.take_unread();
  while (!unread.empty()) {
    char* const tail = buffer.tail();
    const std::size_t size = unread.copy(tail, buffer.tail_size());
    buffer.commit(size);
    unread.erase(0, size);
  }
  while (!buffer.is_done()) {
    char* const tail = buffer.tail();
    auto size = co_await connection.stream().read_some(tail, buffer.tail_size());
    if (!size) co_return size.error();
    buffer.commit(*size);
  }
  connection.close();
  co_return Error();
}

}  // namespace

Error inspect_source(const std::string& address, SnapshotBuffer& buffer) {
  const auto uri = parse_uri(address);
  if (!uri) return uri.error();
  EndOptions options;
  options.uri = *uri;
  const char* password = std::getenv("REDISCLI_AUTH");
  if (options.uri.password.empty() && password != nullptr) options.uri.password = password;
  asio::io_context loop(1);
  Error result;
  asio::co_spawn(loop, read_snapshot(options, buffer),
                 [&](std::exception_ptr failure, Error error) {
                   if (failure) std::rethrow_exception(failure);
                   result = std::move(error);
                 });
  loop.run();
  return result ? with_context(redacted(options.uri), std::move(result)) : Error();
}

}  // namespace keyferry
