#include "support/resp_client.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace keyferry::test {

const Reply* Reply::field(std::string_view name) const {
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    if (items[i].text == name) return &items[i + 1];
  }
  return nullptr;
}

std::string Reply::printable() const {
  switch (kind) {
    case Kind::nil:
      return "(nil)";
    case Kind::error:
      return "(error) " + text;
    case Kind::array: {
      std::string result = "[";
      for (const Reply& item : items)
        result += (result.size() > 1 ? ", " : "") + item.printable();
      return result + "]";
    }
    default:
      break;
  }
  static constexpr char digits[] = "0123456789abcdef";
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      result += c;
    } else {
      result += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return result;
}

RespClient::RespClient(const std::string& host, std::uint16_t port, Millis timeout) {
  connect(host, port, timeout);
}

RespClient::~RespClient() {
  close();
}

RespClient::RespClient(RespClient&& other) noexcept {
  *this = std::move(other);
}

RespClient& RespClient::operator=(RespClient&& other) noexcept {
  std::swap(fd_, other.fd_);
  timeout_ = other.timeout_;
  out_.swap(other.out_);
  in_.swap(other.in_);
  std::swap(used_, other.used_);
  return *this;
}

void RespClient::connect(const std::string& host, std::uint16_t port, Millis timeout) {
  close();
  timeout_ = timeout;
  const std::string where = host + ":" + std::to_string(port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    throw std::runtime_error("cannot resolve " + where);
  }
  int last = ECONNREFUSED;
  for (const addrinfo* each = found; each != nullptr && fd_ < 0; each = each->ai_next) {
    fd_ = ::socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd_, each->ai_addr, each->ai_addrlen) != 0) {
      last = errno;
      ::close(fd_);
      fd_ = -1;
    }
  }
  ::freeaddrinfo(found);
  if (fd_ < 0) throw std::runtime_error("connect " + where + ": " + std::strerror(last));
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(fd_, F_SETFL, O_NONBLOCK);
}

void RespClient::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  out_.clear();
  in_.clear();
  used_ = 0;
}

Reply RespClient::command(const Args& args) {
  append(args);
  flush();
  return read();
}

Reply RespClient::must(const Args& args) {
  Reply reply = command(args);
  if (reply.is_error()) throw std::runtime_error(args.at(0) + ": " + reply.text);
  return reply;
}

void append_wire(std::string& out, const Args& args) {
  out += '*' + std::to_string(args.size()) + "\r\n";
  for (const std::string& arg : args) {
    out += '$' + std::to_string(arg.size()) + "\r\n";
    out += arg;
    out += "\r\n";
  }
}

void RespClient::append(const Args& args) {
  append_wire(out_, args);
}

void RespClient::wait_ready(short events) {
  pollfd one{fd_, events, 0};
  const int ready = ::poll(&one, 1, static_cast<int>(timeout_.count()));
  if (ready == 0)
    throw std::runtime_error("no answer within " + std::to_string(timeout_.count()) + " ms");
}

bool RespClient::is_readable() const {
  pollfd one{fd_, POLLIN, 0};
  return ::poll(&one, 1, 0) == 1 && (one.revents & POLLIN) != 0;
}

void RespClient::flush() {
  std::size_t sent = 0;
  while (sent < out_.size()) {
    const ssize_t n = ::send(fd_, out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
    if (n >= 0) {
      sent += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN) {
      wait_ready(POLLIN | POLLOUT);
      if (is_readable()) fill();
    } else {
      throw std::runtime_error("write: " + std::string(std::strerror(errno)));
    }
  }
  out_.clear();
}

void RespClient::fill() {
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n > 0) {
      in_.append(buffer, static_cast<std::size_t>(n));
      return;
    }
    if (n == 0) throw std::runtime_error("the server closed the connection");
    if (errno != EAGAIN) throw std::runtime_error("read: " + std::string(std::strerror(errno)));
    wait_ready(POLLIN);
  }
}

namespace {

std::int64_t number(std::string_view digits) {
  std::int64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec != std::errc{})
    throw std::runtime_error("bad number in a reply: " + std::string(digits));
  return value;
}

}  // namespace

// Parses the reply that starts at in_[at]; false when it is not complete yet (then parse again from
// the start).
bool RespClient::parse(Reply& reply, std::size_t& at) const {
  const std::size_t end = in_.find("\r\n", at);
  if (end == std::string::npos) return false;
  const char type = in_[at];
  const std::string_view line = std::string_view(in_).substr(at + 1, end - at - 1);
  at = end + 2;
  switch (type) {
    case '+':
      reply.kind = Reply::Kind::simple;
      break;
    case '-':
      reply.kind = Reply::Kind::error;
      break;
    case ':':
      reply.kind = Reply::Kind::integer;
      reply.integer = number(line);
      break;
    case '$': {
      const std::int64_t size = number(line);
      if (size < 0) return true;
      const auto length = static_cast<std::size_t>(size);
      if (in_.size() < at + length + 2) return false;
      reply.kind = Reply::Kind::bulk;
      reply.text.assign(in_, at, length);
      at += length + 2;
      return true;
    }
    case '*': {
      const std::int64_t count = number(line);
      if (count < 0) return true;
      reply.kind = Reply::Kind::array;
      reply.items.resize(static_cast<std::size_t>(count));
      for (Reply& item : reply.items) {
        if (!parse(item, at)) return false;
      }
      return true;
    }
    default:
      throw std::runtime_error("not a RESP2 reply: " + std::string(1, type) + std::string(line));
  }
  reply.text = line;
  return true;
}

// A big reply is parsed again only when the input has grown by half or nothing more is there: O(n)
// in all.
Reply RespClient::read() {
  for (;;) {
    Reply reply;
    std::size_t at = used_;
    if (in_.size() > used_ && parse(reply, at)) {
      used_ = at;
      if (used_ == in_.size() || used_ > (1U << 20)) {
        in_.erase(0, used_);
        used_ = 0;
      }
      return reply;
    }
    const std::size_t have = in_.size() - used_;
    do {
      fill();
    } while (in_.size() - used_ < have + have / 2 && is_readable());
  }
}

std::vector<Reply> RespClient::pipeline(const std::vector<Args>& commands) {
  for (const Args& args : commands)
    append(args);
  flush();
  std::vector<Reply> replies;
  replies.reserve(commands.size());
  for (std::size_t i = 0; i < commands.size(); ++i)
    replies.push_back(read());
  return replies;
}

std::string RespClient::read_raw(std::size_t max_bytes) {
  if (in_.size() == used_) {
    wait_ready(POLLIN);
    std::string buffer(max_bytes, '\0');
    const ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), 0);
    buffer.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return buffer;
  }
  std::string result = in_.substr(used_, max_bytes);
  used_ += result.size();
  return result;
}

std::string info_field(const std::string& info, std::string_view name) {
  const std::string wanted = "\n" + std::string(name) + ":";
  const std::size_t at = info.find(wanted);
  if (at == std::string::npos) return "";
  const std::size_t start = at + wanted.size();
  return info.substr(start, info.find_first_of("\r\n", start) - start);
}

}  // namespace keyferry::test
