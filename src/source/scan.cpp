#include "keyferry/source/scan.hpp"

#include <algorithm>

namespace keyferry {
namespace {

// What one request may ask for; the replies wait at the source until we have read them.
constexpr std::uint64_t values_max_bytes = 8 * 1024 * 1024;
constexpr std::size_t read_size = 128 * 1024;
constexpr std::size_t kept_buffer_bytes = 4 * 1024 * 1024;

Task<Error> read_into(Stream& stream, char* data, std::size_t size, std::size_t& n) {
  auto result = co_await stream.read_some(data, size);
  n = result ? *result : 0;
  co_return result ? Error() : result.error();
}

}  // namespace

KeyScanner::KeyScanner(const asio::any_io_executor& executor, const EndOptions& options,
                       Limits limits, DirtyKeys& dirty)
    : options_(options), limits_(limits), dirty_(dirty), connection_(executor) {}

Task<Error> KeyScanner::open(HostPort host, bool is_replica) {
  is_open_ = false;
  ask_again();
  Error error = co_await connection_.open(options_, std::move(host), "scanner");
  if (!error && is_replica) {
    Bytes readonly = make_command({"READONLY"});
    auto reply =
        co_await connection_.call(std::move(readonly), Millis(options_.connect_timeout_ms));
    if (!reply) co_return reply.error();
    if (reply->is_error()) error = Error(Errc::refused_by_peer, "READONLY: " + reply->text);
  }
  selected_ = 0;
  buffer_at_ = buffer_end_ = 0;
  is_open_ = !error;
  co_return error;
}

// Everything that was taken and not used goes back to the start, in its order.
void KeyScanner::ask_again() {
  use_given();
  KeyList again;
  const auto add = [&again](const KeyList& list, std::size_t from) {
    for (std::size_t i = from; i < list.size(); ++i)
      again.add(list.name(i), list[i]);
  };
  if (has_current_) add(current_.keys(), current_.given());
  if (has_next_) add(next_.keys(), 0);
  add(sized_, sized_at_);
  if (has_current_) add(current_.sizes(), 0);
  if (has_next_) add(next_.sizes(), 0);
  add(waiting_, 0);
  waiting_ = std::move(again);
  sized_.clear();
  sized_at_ = 0;
  has_current_ = has_next_ = false;
}

void KeyScanner::use_given() {
  for (const ReadKey& key : given_) {
    if (key.number == 0) {
      --found_;
    } else {
      taken_.pop_front();
    }
  }
  given_.clear();
}

void KeyScanner::add_moving(const DirtyKey& key) {
  KeyList::Entry entry;
  entry.db = key.db;
  entry.number = key.number;
  entry.asking = true;
  waiting_.add(key.key, entry);
  taken_.push_back(key.number);
}

KeyList KeyScanner::take_waiting() {
  KeyList keys = std::exchange(waiting_, KeyList());
  DirtyKey dirty;
  KeyList::Entry entry;
  for (std::int64_t i = 0; i < limits_.page_keys && dirty_.take(dirty); ++i) {
    entry.db = dirty.db;
    entry.number = dirty.number;
    keys.add(dirty.key, entry);
    taken_.push_back(dirty.number);
  }
  return keys;
}

KeyList KeyScanner::take_sized() {
  KeyList keys;
  std::uint64_t bytes = 0;
  if (sized_at_ == 0) {
    for (std::size_t i = 0; i < sized_.size(); ++i)
      bytes += std::min(sized_[i].value_bytes, limits_.big_bytes);
    if (bytes <= values_max_bytes) return std::exchange(sized_, KeyList());
    bytes = 0;
  }
  while (sized_at_ < sized_.size() && (keys.empty() || bytes < values_max_bytes)) {
    const KeyList::Entry& entry = sized_[sized_at_];
    bytes += std::min(entry.value_bytes, limits_.big_bytes);
    keys.add(sized_.name(sized_at_), entry);
    ++sized_at_;
  }
  if (sized_at_ == sized_.size()) {
    sized_.clear();
    sized_at_ = 0;
  }
  return keys;
}

KeyRequest KeyScanner::compose() {
  KeyRequest::Limits limits;
  limits.big_bytes = limits_.big_bytes;
  KeyRequest request(ways_, limits);
  KeyList values = take_sized();
  // Values that were left over go first.
  if (sized_.empty()) {
    if (!pass_.is_over())
      request.scan(pass_.db(), pass_.cursor(), limits_.page_keys, pass_.type(), selected_);
    request.ask_sizes(take_waiting(), selected_);
  }
  request.read(std::move(values), selected_);
  return request;
}

Task<Error> KeyScanner::send_next() {
  KeyRequest request = compose();
  // A request of large keys, or of keys whose slot moves, may ask nothing: they have their turn.
  if (request.empty() && request.keys().empty() && request.sizes().empty()) co_return Error();
  next_ = std::move(request);
  has_next_ = true;
  if (next_.wire().empty()) co_return Error();
  co_return co_await with_deadline(Millis(options_.reply_timeout_ms),
                                   connection_.stream().write(next_.wire()));
}

Task<Result<std::span<const ReadKey>>> KeyScanner::fetch() {
  use_given();
  Error error = co_await fetch_some();
  if (error) {
    connection_.close();
    is_open_ = false;
    co_return with_context("scan", std::move(error));
  }
  co_return std::span<const ReadKey>(given_);
}

Task<Error> KeyScanner::fetch_some() {
  while (true) {
    if (!has_current_) {
      if (!has_next_) {
        Error error = co_await send_next();
        if (error) co_return error;
      }
      if (!has_next_) co_return Error();
      current_ = std::move(next_);
      has_current_ = true;
      has_next_ = false;
    }
    std::size_t consumed = 0;
    ReadKey key;
    const ByteView unread = ByteView(buffer_).substr(buffer_at_, buffer_end_ - buffer_at_);
    const KeyRequest::Status status = current_.next(unread, consumed, key);
    buffer_at_ += consumed;
    Error error;
    switch (status) {
      case KeyRequest::Status::page:
        take_page();
        break;
      case KeyRequest::Status::head_done:
        error = co_await take_head();
        break;
      case KeyRequest::Status::key:
        given_.push_back(key);
        break;
      case KeyRequest::Status::done:
        has_current_ = false;
        if (!given_.empty()) co_return Error();
        break;
      case KeyRequest::Status::need_more:
        if (!given_.empty()) co_return Error();
        error = co_await fill();
        break;
      case KeyRequest::Status::corrupt:
        co_return Error(Errc::corrupt,
                        "a reply is not what was asked for: \"" + escaped(unread) + "\"");
      case KeyRequest::Status::refused: {
        const bool may_try_again = current_.may_try_again() ||
                                   ways_.memory_usage != current_.ways().memory_usage ||
                                   ways_.pexpiretime != current_.ways().pexpiretime;
        ways_.memory_usage = ways_.memory_usage && current_.ways().memory_usage;
        ways_.pexpiretime = ways_.pexpiretime && current_.ways().pexpiretime;
        co_return Error(may_try_again ? Errc::unreachable : Errc::refused_by_peer,
                        current_.error());
      }
    }
    if (error) co_return error;
  }
}

void KeyScanner::take_page() {
  const KeyList& page = current_.page();
  pass_.on_page(current_.scan_cursor(), page.size());
  for (std::size_t i = 0; i < page.size(); ++i) {
    if (wants && !wants(page[i].db, page.name(i))) continue;
    waiting_.add(page.name(i), page[i]);
    ++found_;
    ++keys_found_;
  }
}

// Sizes are known: their values are asked while those of this request arrive.
Task<Error> KeyScanner::take_head() {
  KeyList sized = std::exchange(current_.sizes(), KeyList());
  if (sized_.empty()) {
    sized_ = std::move(sized);
  } else {
    for (std::size_t i = 0; i < sized.size(); ++i)
      sized_.add(sized.name(i), sized[i]);
  }
  co_return co_await send_next();
}

// Called with nothing given out: the bytes may move.
Task<Error> KeyScanner::fill() {
  buffer_.erase(0, buffer_at_);
  buffer_end_ -= buffer_at_;
  buffer_at_ = 0;
  if (buffer_end_ == 0 && buffer_.capacity() > kept_buffer_bytes) buffer_ = Bytes();
  if (buffer_.size() < buffer_end_ + read_size)
    buffer_.resize(std::max(buffer_end_ + read_size, buffer_end_ * 2));
  std::size_t n = 0;
  Error error = co_await with_deadline(Millis(options_.reply_timeout_ms),
                                       read_into(connection_.stream(), buffer_.data() + buffer_end_,
                                                 buffer_.size() - buffer_end_, n));
  buffer_end_ += n;
  read_bytes_ += n;
  co_return error;
}

}  // namespace keyferry
