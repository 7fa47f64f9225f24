#include "keyferry/source/notifications.hpp"

#include <algorithm>

namespace keyferry {
namespace {

constexpr std::size_t read_bytes = 64 * 1024;

}  // namespace

Notifications::Notifications(const asio::any_io_executor& executor, const EndOptions& options)
    : options_(options), connection_(executor) {}

Task<Error> Notifications::open(HostPort host) {
  buffer_at_ = buffer_end_ = 0;
  events_.clear();
  is_subscribed_ = false;
  pongs_ = pings_;
  Error error = co_await connection_.open(options_, std::move(host), "subscriber");
  if (error) co_return error;
  const Bytes subscribe = make_command({"PSUBSCRIBE", key_event_pattern});
  const Millis limit(options_.connect_timeout_ms);
  error = co_await with_deadline(limit, connection_.stream().write(subscribe));
  while (!error && !is_subscribed_) {
    if (take_pushes(error) || error || is_subscribed_) break;
    error = co_await with_deadline(limit, fill());
  }
  if (error) connection_.close();
  co_return error;
}

// No deadline: a quiet source says nothing. A silent link is found by ping().
Task<Result<std::span<const KeyEvent>>> Notifications::next() {
  events_.clear();
  const std::uint64_t pongs = pongs_;
  Error error;
  while (!error) {
    if (take_pushes(error) || pongs_ != pongs) break;
    if (!error) error = co_await fill();
  }
  if (error) {
    connection_.close();
    co_return with_context("keyspace events", std::move(error));
  }
  co_return std::span<const KeyEvent>(events_);
}

Task<Result<std::uint64_t>> Notifications::ping() {
  const Bytes wire = make_command({"PING"});
  Error error =
      co_await with_deadline(Millis(options_.reply_timeout_ms), connection_.stream().write(wire));
  if (error) {
    connection_.close();
    co_return error;
  }
  co_return ++pings_;
}

// Takes every whole message of the buffer; true when there were events.
bool Notifications::take_pushes(Error& error) {
  while (true) {
    Push push;
    std::size_t size = 0;
    const ByteView unread = ByteView(buffer_).substr(buffer_at_, buffer_end_ - buffer_at_);
    const ReplyCursor::Status status = parse_push(unread, push, size);
    if (status == ReplyCursor::Status::need_more) return !events_.empty();
    if (status == ReplyCursor::Status::corrupt) {
      error = Error(Errc::corrupt, "a message is not understood: \"" + escaped(unread) + "\"");
      return false;
    }
    buffer_at_ += size;
    switch (push.kind) {
      case Push::Kind::event:
        events_.push_back(push.event);
        break;
      case Push::Kind::subscribed:
        is_subscribed_ = true;
        break;
      case Push::Kind::pong:
        ++pongs_;
        break;
      case Push::Kind::error:
        error = Error(Errc::refused_by_peer, "PSUBSCRIBE: " + std::string(push.text));
        return false;
      case Push::Kind::other:
        break;
    }
  }
}

// Called with no events given out: the bytes may move.
Task<Error> Notifications::fill() {
  buffer_.erase(0, buffer_at_);
  buffer_end_ -= buffer_at_;
  buffer_at_ = 0;
  if (buffer_.size() < buffer_end_ + read_bytes) buffer_.resize(buffer_end_ + read_bytes);
  auto n = co_await connection_.stream().read_some(buffer_.data() + buffer_end_,
                                                   buffer_.size() - buffer_end_);
  if (!n) co_return n.error();
  buffer_end_ += *n;
  co_return Error();
}

}  // namespace keyferry
