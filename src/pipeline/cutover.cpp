#include "keyferry/pipeline/cutover.hpp"

#include <charconv>

#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {
namespace {

constexpr const char* out_of_reach = "1000000";
constexpr Millis call_limit{2000};

}  // namespace

Task<Error> SourceFence::open(const std::string& replid) {
  replid_ = replid;
  const HostPort host = options_.uri.hosts.empty() ? HostPort() : options_.uri.hosts.front();
  Error error = co_await connection_.open(options_, host, "cutover");
  if (error) co_return error;
  auto at = co_await offset();
  if (!at && !replid.empty()) co_return at.error();
  // Its name before Redis 5.0 is the second one.
  for (const char* name : {"min-replicas-to-write", "min-slaves-to-write"}) {
    Bytes get = make_command({"CONFIG", "GET", name});
    auto reply = co_await connection_.call(std::move(get), call_limit);
    if (!reply) co_return reply.error();
    if (reply->is_error()) co_return Error(Errc::refused_by_peer, "CONFIG GET: " + reply->text);
    if (reply->items.size() < 2) continue;
    setting_ = name;
    replaced_ = reply->items[1].text;
    co_return Error();
  }
  co_return Error(Errc::refused_by_peer, "the source has no min-replicas-to-write");
}

Task<Error> SourceFence::pause(Millis limit) {
  Bytes command = make_command({"CLIENT", "PAUSE", std::to_string(limit.count()), "WRITE"});
  const TimePoint before = Clock::now();
  Error error = co_await must(std::move(command));
  if (!error) pause_ends_ = before + limit;
  co_return error;
}

Task<Error> SourceFence::unpause() {
  pause_ends_.reset();
  Bytes command = make_command({"CLIENT", "UNPAUSE"});
  co_return co_await must(std::move(command));
}

Task<Result<Offset>> SourceFence::offset() {
  Bytes command = make_command({"INFO", "replication"});
  auto reply = co_await connection_.call(std::move(command), call_limit);
  if (!reply) co_return reply.error();
  if (info_field(reply->text, "role") != "master")
    co_return Error(Errc::unreachable, "the source is no master any more");
  if (info_field(reply->text, "master_replid") != replid_)
    co_return Error(Errc::unreachable, "the source has another history now");
  const ByteView text = info_field(reply->text, "master_repl_offset");
  Offset value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  co_return value;
}

Task<Error> SourceFence::raise() {
  Bytes fence = make_command({"CONFIG", "SET", setting_, out_of_reach});
  Error error = co_await must(std::move(fence));
  if (error) co_return error;
  Bytes kill = make_command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  co_return co_await must(std::move(kill));
}

Task<Error> SourceFence::lower(std::string min_replicas) {
  Bytes command = make_command({"CONFIG", "SET", setting_, min_replicas});
  co_return co_await must(std::move(command));
}

Millis SourceFence::pause_left(TimePoint now) const {
  if (!pause_ends_ || *pause_ends_ <= now) return Millis(0);
  return Millis(elapsed_ms(now, *pause_ends_));
}

Task<Error> SourceFence::must(Bytes command) {
  auto reply = co_await connection_.call(std::move(command), call_limit);
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::refused_by_peer, reply->text);
  co_return Error();
}

}  // namespace keyferry
