#include "support/fault_proxy.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <stdexcept>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace keyferry::test {

// One client connection and its server connection. pending[d] was read and not yet written in
// direction d: at most one buffer, so a slow reader slows the sender down as it would without the
// proxy. What is delayed is under way before that, as on a long line.
struct FaultProxy::Link {
  struct Late {
    std::int64_t due_ns = 0;
    std::string bytes;
  };
  int client = -1;
  int server = -1;
  std::string pending[2];
  std::deque<Late> under_way[2];
  bool ended[2] = {false, false};     // the sender has closed its half
  bool told_end[2] = {false, false};  // and the receiver knows

  int from(Direction d) const { return d == Direction::to_server ? client : server; }
  int to(Direction d) const { return d == Direction::to_server ? server : client; }
  std::string& waiting(Direction d) { return pending[static_cast<std::size_t>(d)]; }
  bool& end(Direction d) { return ended[static_cast<std::size_t>(d)]; }
  std::deque<Late>& late(Direction d) { return under_way[static_cast<std::size_t>(d)]; }
  ~Link() {
    ::close(client);
    if (server >= 0) ::close(server);
  }
};

namespace {

constexpr std::size_t buffer_size = 65536;
constexpr std::size_t under_way_max_buffers = 512;
constexpr std::size_t arrived_max_bytes = 1024 * 1024;
constexpr Direction both[] = {Direction::to_server, Direction::to_client};

std::int64_t now_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

int connect_to(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return -1;
  int fd = -1;
  for (const addrinfo* each = found; each != nullptr && fd < 0; each = each->ai_next) {
    fd = ::socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, each->ai_addr, each->ai_addrlen) != 0) {
      ::close(fd);
      fd = -1;
    }
  }
  ::freeaddrinfo(found);
  return fd;
}

void prepare(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
}

}  // namespace

FaultProxy::FaultProxy(std::string server_host, std::uint16_t server_port)
    : server_host_(std::move(server_host)), server_port_(server_port) {
  for (int attempt = 0; attempt < 20 && listener_ < 0; ++attempt) {
    port_ = free_port();
    listen();
  }
  if (listener_ < 0) throw std::runtime_error("the proxy finds no port to listen on");
  last_refill_ns_ = now_ns();
  thread_ = std::thread([this] { run(); });
}

FaultProxy::~FaultProxy() {
  stopping_ = true;
  thread_.join();
  close_all();
  if (listener_ >= 0) ::close(listener_);
}

void FaultProxy::cut() {
  ask_and_wait(cut_requested_);
}

void FaultProxy::refuse(bool on) {
  refuse_wanted_ = on;
  ask_and_wait(refuse_changed_);
}

void FaultProxy::ask_and_wait(std::atomic<bool>& request) {
  request = true;
  while (request)
    std::this_thread::sleep_for(Millis{1});
}

void FaultProxy::cut_after(Direction direction, std::uint64_t bytes) {
  lane(direction).cut_after = static_cast<std::int64_t>(bytes);
}

void FaultProxy::throttle(Direction direction, std::uint64_t bytes_per_s) {
  lane(direction).bytes_per_s = bytes_per_s;
}

void FaultProxy::delay(Direction direction, Millis late) {
  lane(direction).delay_ns = std::chrono::nanoseconds(late).count();
}

void FaultProxy::run() {
  while (!stopping_) {
    follow_requests();
    poll_once();
  }
}

void FaultProxy::follow_requests() {
  if (cut_requested_) {
    close_all();
    cut_requested_ = false;
  }
  if (refuse_changed_) {
    if (refuse_wanted_ && listener_ >= 0) {
      ::close(listener_);
      listener_ = -1;
    } else if (!refuse_wanted_ && listener_ < 0) {
      listen();
    }
    refuse_changed_ = false;
  }
  refill();
}

void FaultProxy::poll_once() {
  std::vector<pollfd> wanted;
  wanted.push_back({listener_, POLLIN, 0});  // poll ignores a negative fd
  for (const auto& link : links_) {
    short events[2] = {0, 0};  // of client, of server
    for (const Direction d : both) {
      if (stalled_ || lane(d).allowance < 1) continue;
      const std::size_t reader = d == Direction::to_server ? 0 : 1;
      if (may_receive(*link, d)) events[reader] |= POLLIN;
      if (!link->waiting(d).empty()) events[1 - reader] |= POLLOUT;
    }
    // With nothing wanted poll would report a hang-up again and again: leave such a socket out.
    wanted.push_back({events[0] != 0 ? link->client : -1, events[0], 0});
    wanted.push_back({events[1] != 0 ? link->server : -1, events[1], 0});
  }
  ::poll(wanted.data(), wanted.size(), 2);
  if ((wanted[0].revents & POLLIN) != 0) accept_one();
  if (stalled_) return;

  const std::uint64_t cuts_before = cuts_;
  for (std::size_t i = 0; i < links_.size() && cuts_ == cuts_before; ++i) {
    const bool alive = transfer(*links_[i], Direction::to_server) && cuts_ == cuts_before &&
                       transfer(*links_[i], Direction::to_client);
    if (cuts_ != cuts_before) return;
    if (!alive) links_[i].reset();
  }
  links_.erase(std::remove(links_.begin(), links_.end(), nullptr), links_.end());
  open_ = links_.size();
}

void FaultProxy::accept_one() {
  const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  auto link = std::make_unique<Link>();
  link->client = client;
  link->server = connect_to(server_host_, server_port_);
  if (link->server < 0) return;  // the client sees its connection closed
  prepare(link->client);
  prepare(link->server);
  links_.push_back(std::move(link));
  ++accepted_;
  open_ = links_.size();
}

bool FaultProxy::may_receive(Link& link, Direction direction) const {
  if (link.end(direction)) return false;
  return lane(direction).delay_ns > 0 ? link.late(direction).size() < under_way_max_buffers
                                      : link.waiting(direction).empty();
}

// False when the connection is over.
bool FaultProxy::receive(Link& link, Direction direction) {
  char buffer[buffer_size];
  const double limit = std::min<double>(buffer_size, lane(direction).allowance);
  if (limit < 1) return true;
  const ssize_t n = ::recv(link.from(direction), buffer, static_cast<std::size_t>(limit), 0);
  if (n < 0) return errno == EAGAIN;
  link.end(direction) = n == 0;
  const std::int64_t due = now_ns() + lane(direction).delay_ns;
  if (n > 0)
    link.late(direction).push_back({due, std::string(buffer, static_cast<std::size_t>(n))});
  return true;
}

// Moves what can be moved now; false when the connection is over.
bool FaultProxy::transfer(Link& link, Direction direction) {
  Lane& flow = lane(direction);
  std::string& waiting = link.waiting(direction);
  if (may_receive(link, direction) && !receive(link, direction)) return false;
  auto& late = link.late(direction);
  while (waiting.size() < arrived_max_bytes && !late.empty() && late.front().due_ns <= now_ns()) {
    waiting += late.front().bytes;
    late.pop_front();
  }
  if (waiting.empty()) {
    const auto d = static_cast<std::size_t>(direction);
    if (link.ended[d] && late.empty() && !std::exchange(link.told_end[d], true))
      ::shutdown(link.to(direction), SHUT_WR);
    return !(link.told_end[0] && link.told_end[1]);
  }

  std::size_t size = waiting.size();
  const std::int64_t left = flow.cut_after;
  if (left >= 0) size = std::min(size, static_cast<std::size_t>(left));
  const ssize_t n = size == 0 ? 0 : ::send(link.to(direction), waiting.data(), size, MSG_NOSIGNAL);
  if (n < 0) return errno == EAGAIN;
  const auto sent = static_cast<std::size_t>(n);
  waiting.erase(0, sent);
  flow.bytes += sent;
  if (flow.bytes_per_s > 0) flow.allowance -= static_cast<double>(sent);
  if (left >= 0) {
    flow.cut_after = left - n;
    if (left - n == 0) {
      flow.cut_after = -1;
      close_all();
    }
  }
  return true;
}

// The throttle: a bucket that holds at most 20 ms worth of bytes.
void FaultProxy::refill() {
  const std::int64_t now = now_ns();
  const double passed_s = static_cast<double>(now - last_refill_ns_) / 1e9;
  last_refill_ns_ = now;
  for (Lane& each : lanes_) {
    const auto rate = static_cast<double>(each.bytes_per_s);
    each.allowance =
        rate > 0 ? std::min(each.allowance + rate * passed_s, std::max(rate / 50, 1.0)) : 1e12;
  }
}

void FaultProxy::close_all() {
  links_.clear();
  open_ = 0;
  ++cuts_;
}

void FaultProxy::listen() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd, 64) != 0) {
    ::close(fd);
    return;
  }
  listener_ = fd;
}

}  // namespace keyferry::test
