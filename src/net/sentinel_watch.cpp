#include "keyferry/net/sentinel_watch.hpp"

#include <vector>

#include "keyferry/base/log.hpp"
#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

// A Sentinel that is gone without a word is left after this; subscribing again costs next to
// nothing.
constexpr Millis silence_max{30000};
constexpr Millis pause{1000};

std::vector<ByteView> words_of(ByteView text) {
  std::vector<ByteView> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

}  // namespace

std::optional<HostPort> former_master(ByteView channel, ByteView message, ByteView name) {
  std::vector<ByteView> words = words_of(message);
  if (channel == "+failover-state-reconf-slaves") {
    if (words.empty() || words[0] != "master") return std::nullopt;
    words.erase(words.begin());
  } else if (channel != "+switch-master") {
    return std::nullopt;
  }
  if (words.size() < 3 || words[0] != name) return std::nullopt;
  return HostPort{std::string(words[1]), static_cast<std::uint16_t>(leading_number(words[2]))};
}

SentinelWatch::SentinelWatch(const asio::any_io_executor& executor, const EndOptions& options)
    : options_(options), connection_(executor), halt_(executor) {}

Task<Error> SentinelWatch::run() {
  if (options_.uri.sentinel_master.empty()) co_return Error();
  for (std::size_t i = 0; !stopping_; ++i) {
    const HostPort sentinel = options_.uri.hosts[i % options_.uri.hosts.size()];
    Error error = co_await listen(sentinel);
    connection_.close();
    if (stopping_) break;
    log_debug("sentinel {}:{} is not listened to now: {}", sentinel.host, sentinel.port,
              error.what);
    co_await halt_.wait_for(pause);
  }
  co_return Error();
}

Task<Error> SentinelWatch::listen(HostPort sentinel) {
  Error error = co_await connection_.open_sentinel(options_, sentinel);
  if (error) co_return error;
  Bytes subscribe = make_command({"SUBSCRIBE", "+switch-master", "+failover-state-reconf-slaves"});
  const Millis limit(options_.connect_timeout_ms);
  auto reply = co_await connection_.call(std::move(subscribe), limit);
  while (reply && !reply->is_error() && !stopping_) {
    if (reply->items.size() == 3 && reply->items[0].text == "message") {
      const auto former =
          former_master(reply->items[1].text, reply->items[2].text, options_.uri.sentinel_master);
      if (former && on_switch) on_switch(*former);
    }
    reply = co_await connection_.read(silence_max);
  }
  co_return reply ? Error(Errc::refused_by_peer, reply->text) : reply.error();
}

void SentinelWatch::stop() {
  stopping_ = true;
  connection_.close();
  halt_.notify();
}

}  // namespace keyferry
