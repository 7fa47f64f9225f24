#include "keyferry/pipeline/observer.hpp"

#include <algorithm>
#include <vector>

#include "keyferry/base/log.hpp"
#include "keyferry/base/number.hpp"
#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {
namespace {

constexpr Millis calm_interval{1000};
constexpr Millis urgent_interval{100};
constexpr Millis elsewhere_after{1000};
// Redis' own default for replicas: 256mb hard, 64mb for 60 s (redis.conf 7.0). Used where CONFIG is
// not allowed.
constexpr std::int64_t default_limit_bytes = 64 * 1024 * 1024;

}  // namespace

std::int64_t replica_output_limit(ByteView config_value) {
  return output_limit(config_value, "replica", "slave");
}

std::int64_t output_limit(ByteView config_value, ByteView name, ByteView old_name) {
  std::vector<ByteView> words;
  while (!config_value.empty()) {
    const std::size_t space = std::min(config_value.find(' '), config_value.size());
    words.push_back(config_value.substr(0, space));
    config_value.remove_prefix(std::min(space + 1, config_value.size()));
  }
  for (std::size_t i = 0; i + 2 < words.size(); ++i) {
    if (words[i] != name && words[i] != old_name) continue;
    const std::int64_t hard = leading_number(words[i + 1]);
    const std::int64_t soft = leading_number(words[i + 2]);
    if (hard == 0 || soft == 0) return std::max(hard, soft);
    return std::min(hard, soft);
  }
  return default_limit_bytes;
}

SourceHistory read_history(ByteView info) {
  SourceHistory out;
  out.replid = info_field(info, "master_replid");
  out.offset = leading_number(info_field(info, "master_repl_offset"));
  out.replid2 = info_field(info, "master_replid2");
  if (const ByteView second = info_field(info, "second_repl_offset"); !second.empty())
    out.second_offset = leading_number(second);
  out.backlog_bytes = leading_number(info_field(info, "repl_backlog_size"));
  return out;
}

// As masterTryPartialResynchronization() of Redis 7.0 judges PSYNC, but for the backlog's size.
bool SourceHistory::holds(const ReplicationPosition& position) const {
  if (position.replid == replid) return position.offset <= offset;
  return position.replid == replid2 && position.offset + 1 <= second_offset;
}

std::optional<Offset> SourceHistory::fork_below(const ReplicationPosition& position) const {
  if (position.replid == replid || position.replid != replid2 || holds(position))
    return std::nullopt;
  return second_offset - 1;
}

Observer::Observer(const asio::any_io_executor& executor, const EndOptions& options)
    : options_(options),
      connection_(executor),
      sentinels_(executor, options),
      scope_(executor),
      halt_(executor),
      limit_bytes_(default_limit_bytes) {
  sentinels_.on_master = [this](const HostPort& master) {
    if (!open_ || connection_.host() == master) return;
    log_info("the source's master is {}:{} now, as Sentinel says", master.host, master.port);
    is_replaced_ = true;
    reconnect();
    halt_.notify();
  };
}

Task<Error> Observer::open(ServerIdentity& identity) {
  const HostPort host = options_.uri.hosts.empty() ? HostPort() : options_.uri.hosts.front();
  Error error = co_await connection_.open(options_, host, "observer");
  if (error) co_return error;
  const Bytes info = make_command({"INFO"});
  auto reply = co_await connection_.call(info, Millis(options_.connect_timeout_ms));
  if (!reply) co_return reply.error();
  if (!reply->is_error()) {
    identity = read_identity(reply->text);
    history_ = read_history(reply->text);
  }
  open_ = true;
  co_return co_await read_limit();
}

Task<Result<std::optional<std::int64_t>>> Observer::clock_ahead_ms() {
  const Bytes time = make_command({"TIME"});
  const std::int64_t sent = unix_now_ms();
  auto reply = co_await connection_.call(time, Millis(options_.connect_timeout_ms));
  if (!reply) co_return reply.error();
  co_return read_clock_ahead(*reply, sent, unix_now_ms());
}

Task<Error> Observer::read_limit() {
  const Bytes command = make_command({"CONFIG", "GET", "client-output-buffer-limit"});
  auto reply = co_await connection_.call(command, Millis(options_.connect_timeout_ms));
  if (!reply) co_return reply.error();
  if (reply->is_array() && reply->items.size() == 2)
    limit_bytes_ = replica_output_limit(reply->items[1].text);
  co_return Error();
}

Task<Error> Observer::run() {
  bool complained = false;
  scope_.spawn(sentinels_.run());
  while (!stopping_) {
    Error error;
    if (!open_) {
      ServerIdentity identity;
      error = co_await open(identity);
    }
    if (!error) error = co_await read_offset();
    if (error && !stopping_) {
      connection_.close();
      open_ = false;
      if (std::exchange(is_replaced_, false)) continue;
      if (!std::exchange(complained, true))
        log_warn("source cannot be asked how far it is: error=\"{}\"", error.what);
    } else {
      complained = is_replaced_ = false;
    }
    co_await halt_.wait_for(is_urgent && is_urgent() ? urgent_interval : calm_interval);
  }
  co_return co_await scope_.join();
}

bool Observer::is_elsewhere(const std::string& replid, TimePoint now) {
  if (replid == history_.replid) {
    elsewhere_since_.reset();
    return false;
  }
  if (!elsewhere_since_) elsewhere_since_ = now;
  if (now - *elsewhere_since_ < elsewhere_after) return false;
  elsewhere_since_.reset();
  return true;
}

Task<Error> Observer::read_offset() {
  const Bytes command = make_command({"INFO", "replication"});
  auto reply = co_await connection_.call(command, Millis(options_.connect_timeout_ms));
  if (!reply) co_return reply.error();
  if (info_field(reply->text, "master_repl_offset").empty())
    co_return Error(Errc::unreachable, "INFO replication shows no offset: " + escaped(reply->text));
  SourceHistory read = read_history(reply->text);
  const TimePoint now = Clock::now();
  if (read_at_ && read.offset >= history_.offset) {
    const std::int64_t ms = std::max<std::int64_t>(1, elapsed_ms(*read_at_, now));
    growth_bytes_per_s_ = (read.offset - history_.offset) * 1000 / ms;
  }
  history_ = std::move(read);
  read_at_ = now;
  if (on_reading) on_reading(history_.replid, history_.offset, now);
  co_return Error();
}

SourcePressure Observer::pressure(Offset received, TimePoint now) const {
  SourcePressure out;
  out.limit_bytes = limit_bytes_;
  out.growth_bytes_per_s = growth_bytes_per_s_;
  // A reading that is older than a few seconds says nothing about now.
  if (read_at_ && elapsed_ms(*read_at_, now) < 5000)
    out.buffered_bytes = std::max<Offset>(0, history_.offset - received);
  return out;
}

void Observer::stop() {
  stopping_ = true;
  connection_.close();
  sentinels_.stop();
  halt_.notify();
}

}  // namespace keyferry
