#include "keyferry/resp/reply_scanner.hpp"

#include <algorithm>
#include <utility>

#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

constexpr std::size_t longest_line_bytes = 64 * 1024;
constexpr std::size_t deepest_nesting = 32;
// Far beyond any value a server holds (512 MiB by default, 2^63 by proto-max-bulk-len), and safe to
// add 2 to.
constexpr std::int64_t largest_bulk_bytes = std::int64_t{1} << 40;

}  // namespace

ReplyScanner::Status ReplyScanner::next(ByteView& bytes) {
  if (fresh_) {
    // The replies that nearly every command gets, without the general machinery.
    if (bytes.size() >= 5 && bytes.starts_with("+OK\r\n")) {
      forget();
      bytes.remove_prefix(5);
      return Status::done;
    }
    if (skip_queued(bytes, 1) > 0) return Status::done;
    forget();
    fresh_ = false;
  }
  return step(bytes, false);
}

std::uint32_t ReplyScanner::skip_queued(ByteView& bytes, std::uint32_t most) {
  constexpr ByteView queued = "+QUEUED\r\n";
  std::uint32_t count = 0;
  while (fresh_ && count < most && bytes.starts_with(queued)) {
    bytes.remove_prefix(queued.size());
    ++count;
  }
  if (count > 0) forget();
  return count;
}

ReplyScanner::Status ReplyScanner::next_element(ByteView& bytes) {
  if (std::exchange(all_given_, false)) {
    fresh_ = true;
    forget();
    return Status::done;
  }
  const bool is_first = std::exchange(fresh_, false);
  if (!is_first && element_fresh_ && take_usual(bytes)) return Status::element;
  if (is_first || element_fresh_) forget();
  const Status status = step(bytes, true);
  if (status == Status::element) {
    element_fresh_ = true;
    all_given_ = open_.empty();
  }
  return status;
}

// The elements that nearly every command gets, if one is here whole: behind another one, none of
// them begun.
bool ReplyScanner::take_usual(ByteView& bytes) {
  constexpr std::size_t digits_max = 18;
  constexpr ByteView ok = "+OK\r\n";
  std::int64_t integer = no_integer;
  if (bytes.starts_with(ok)) {
    bytes.remove_prefix(ok.size());
  } else {
    if (bytes.empty() || bytes[0] != ':') return false;
    std::int64_t n = 0;
    std::size_t i = 1;
    for (; i < bytes.size() && i <= digits_max && bytes[i] >= '0' && bytes[i] <= '9'; ++i)
      n = n * 10 + (bytes[i] - '0');
    if (i == 1 || !bytes.substr(i).starts_with("\r\n")) return false;
    bytes.remove_prefix(i + 2);
    integer = n;
  }
  forget();
  lowest_integer_ = integer;
  element_fresh_ = true;
  if (--open_.back() == 0) {
    open_.pop_back();
    all_given_ = true;
  }
  return true;
}

void ReplyScanner::forget() {
  if (!error_.empty()) error_.clear();
  top_level_error_ = null_ = element_fresh_ = false;
  lowest_integer_ = no_integer;
}

ReplyScanner::Status ReplyScanner::step(ByteView& bytes, bool stop_at_elements) {
  const auto finish = [this, stop_at_elements] {
    const bool in_array = !open_.empty();
    if (!finish_element()) {
      return stop_at_elements && open_.size() == 1 ? Status::element : Status::need_more;
    }
    if (!stop_at_elements || !in_array) return Status::done;
    fresh_ = false;
    return Status::element;
  };
  while (!bytes.empty()) {
    if (skip_bytes_ > 0) {
      const auto n = std::min<std::int64_t>(skip_bytes_, static_cast<std::int64_t>(bytes.size()));
      bytes.remove_prefix(static_cast<std::size_t>(n));
      skip_bytes_ -= n;
      if (skip_bytes_ > 0) return Status::need_more;
      const Status ended = finish();
      if (ended != Status::need_more) return ended;
      continue;
    }
    const std::size_t newline = bytes.find('\n');
    if (newline == ByteView::npos) {
      line_.append(bytes);
      bytes = {};
      return line_.size() > longest_line_bytes ? Status::corrupt : Status::need_more;
    }
    ByteView line = bytes.substr(0, newline + 1);
    bytes.remove_prefix(newline + 1);
    Status status;
    if (line_.empty()) {
      status = start_element(line);
    } else {
      line_.append(line);
      status = start_element(line_);
      line_.clear();
    }
    if (status == Status::corrupt) return status;
    if (status != Status::done) continue;
    const Status ended = finish();
    if (ended != Status::need_more) return ended;
  }
  return Status::need_more;
}

// One header line, CRLF included. done: the element is complete; need_more: its body or elements
// follow.
ReplyScanner::Status ReplyScanner::start_element(ByteView line) {
  if (line.size() < 3 || line[line.size() - 2] != '\r') return Status::corrupt;
  const ByteView text = line.substr(1, line.size() - 3);
  std::int64_t n = 0;
  switch (line[0]) {
    case '+':
      return Status::done;
    case ':':
      if (read_number(text, n)) lowest_integer_ = std::min(lowest_integer_, n);
      return Status::done;
    case '-':
      if (error_.empty()) {
        error_ = text.empty() ? ByteView("ERR") : text;
        top_level_error_ = open_.empty();
      }
      return Status::done;
    case '$':
      if (!read_number(text, n) || n < -1 || n > largest_bulk_bytes) return Status::corrupt;
      if (n == -1) {
        null_ = null_ || open_.empty();
        return Status::done;
      }
      skip_bytes_ = n + 2;
      return Status::need_more;
    case '*':
      if (!read_number(text, n) || n < -1 || open_.size() >= deepest_nesting)
        return Status::corrupt;
      if (n <= 0) {
        null_ = null_ || (n == -1 && open_.empty());
        return Status::done;
      }
      open_.push_back(n);
      return Status::need_more;
    default:
      return Status::corrupt;
  }
}

// An element ended; so may the arrays that it was the last element of. True when the whole reply is
// complete.
bool ReplyScanner::finish_element() {
  while (!open_.empty()) {
    if (--open_.back() > 0) return false;
    open_.pop_back();
  }
  fresh_ = true;
  return true;
}

}  // namespace keyferry
