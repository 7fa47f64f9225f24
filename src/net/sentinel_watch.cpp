#include "keyferry/net/sentinel_watch.hpp"

#include <utility>

#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

// Sentinels are asked again after this.
constexpr Millis listen_max{5000};
constexpr Millis pause{1000};

}  // namespace

bool announces_switch(ByteView channel, ByteView message, ByteView name) {
  constexpr ByteView of_a_master = "master ";
  if (channel == "+failover-state-reconf-slaves") {
    if (!message.starts_with(of_a_master)) return false;
    message.remove_prefix(of_a_master.size());
  } else if (channel != "+switch-master") {
    return false;
  }
  return message.substr(0, message.find(' ')) == name;
}

SentinelWatch::SentinelWatch(const asio::any_io_executor& executor, const EndOptions& options)
    : options_(options), connection_(executor), halt_(executor) {}

// In the order in which net/connection asks them.
Task<Error> SentinelWatch::run() {
  while (!stopping_ && !options_.uri.sentinel_master.empty()) {
    Error error;
    for (const HostPort& sentinel : options_.uri.hosts) {
      error = co_await ask_and_listen(sentinel);
      connection_.close();
      if (!error || stopping_) break;
      log_debug("sentinel {}:{} is not listened to: {}", sentinel.host, sentinel.port, error.what);
    }
    if (!error || stopping_) continue;
    if (!std::exchange(has_complained_, true))
      log_warn("no Sentinel can be listened to, a failover is followed later: error=\"{}\"",
               error.what);
    co_await halt_.wait_for(pause);
  }
  co_return Error();
}

// Until a switch is announced, or it is time to ask again.
Task<Error> SentinelWatch::ask_and_listen(HostPort sentinel) {
  HostPort master;
  Error error = co_await connection_.open_sentinel(options_, std::move(sentinel), master);
  if (error || stopping_) co_return error;
  if (on_master) on_master(master);
  Bytes command = make_command({"SUBSCRIBE", "+switch-master", "+failover-state-reconf-slaves"});
  auto reply = co_await connection_.call(std::move(command), Millis(options_.connect_timeout_ms));
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::refused_by_peer, reply->text);
  has_complained_ = false;
  const std::string& name = options_.uri.sentinel_master;
  const TimePoint until = Clock::now() + listen_max;
  while (!stopping_ && Clock::now() < until) {
    reply = co_await connection_.read(Millis(elapsed_ms(Clock::now(), until) + 1));
    if (!reply) break;
    const bool is_message = reply->items.size() == 3 && reply->items[0].text == "message";
    if (is_message && announces_switch(reply->items[1].text, reply->items[2].text, name))
      co_return Error();
  }
  co_return reply || Clock::now() >= until ? Error() : reply.error();
}

void SentinelWatch::stop() {
  stopping_ = true;
  connection_.close();
  halt_.notify();
}

}  // namespace keyferry
