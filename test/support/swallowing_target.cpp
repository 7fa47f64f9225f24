#include "support/swallowing_target.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace keyferry::test {
namespace {

void send_all(int fd, const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0) return;
    at += static_cast<std::size_t>(n);
  }
}

const std::string info =
    "run_id:" + std::string(40, 'e') +
    "\r\nrole:master\r\nredis_mode:standalone\r\nredis_version:8.0.0\r\nmaster_replid:" +
    std::string(40, 'e') + "\r\n";

}  // namespace

SwallowingTarget::SwallowingTarget() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 16) != 0)
    throw std::runtime_error("swallowing target");
  ::getsockname(listener_, generic, &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

SwallowingTarget::~SwallowingTarget() {
  stopping_ = true;
  thread_.join();
  for (const auto& [fd, client] : clients_)
    ::close(fd);
  ::close(listener_);
}

void SwallowingTarget::run() {
  std::vector<char> buffer(1024 * 1024);
  while (!stopping_) {
    std::vector<pollfd> polled = {{listener_, POLLIN, 0}};
    for (const auto& [fd, client] : clients_)
      polled.push_back({fd, POLLIN, 0});
    if (::poll(polled.data(), polled.size(), 20) <= 0) continue;
    if (polled[0].revents != 0) clients_[::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)];
    for (std::size_t i = 1; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      const int fd = polled[i].fd;
      const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (n <= 0) {
        ::close(fd);
        clients_.erase(fd);
        continue;
      }
      Client& client = clients_[fd];
      client.unread.append(buffer.data(), static_cast<std::size_t>(n));
      std::string replies;
      take(client, replies);
      send_all(fd, replies);
    }
  }
}

// Steps over as many arguments as have come; of large ones nothing is kept.
void SwallowingTarget::take(Client& client, std::string& replies) {
  std::size_t at = 0;
  const std::string& in = client.unread;
  while (at < in.size()) {
    if (client.skip > 0) {
      const std::size_t n = std::min<std::uint64_t>(client.skip, in.size() - at);
      if (client.wants_name) client.name.append(in, at, n);
      client.skip -= n;
      at += n;
      if (client.skip > 0) break;
      client.wants_name = false;
      if (--client.args_left == 0) answer(client, replies);
      continue;
    }
    const std::size_t end = in.find("\r\n", at);
    if (end == std::string::npos) break;
    const std::uint64_t number = std::stoull(in.substr(at + 1, end - at - 1));
    if (in[at] == '*') {
      client.args_left = number;
      client.name.clear();
      client.wants_name = true;
    } else {
      client.skip = number + 2;
      payload_bytes_ += number;
      longest_bytes_ = std::max(longest_bytes_.load(), number);
    }
    at = end + 2;
  }
  client.unread.erase(0, at);
}

void SwallowingTarget::answer(Client& client, std::string& replies) {
  std::string name = client.name.substr(0, client.name.size() - 2);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  ++commands_;
  if (name == "INFO") {
    replies += "$" + std::to_string(info.size()) + "\r\n" + info + "\r\n";
  } else if (name == "COMMAND" || name == "MODULE" || name == "CONFIG" || name == "XPENDING" ||
             name == "TIME") {
    replies += "*0\r\n";
  } else if (name == "MULTI") {
    client.in_transaction = true;
    client.queued = 0;
    replies += "+OK\r\n";
  } else if (name == "EXEC") {
    client.in_transaction = false;
    replies += "*" + std::to_string(client.queued) + "\r\n";
    for (std::uint64_t i = 0; i < client.queued; ++i)
      replies += ":1\r\n";
  } else if (client.in_transaction) {
    ++client.queued;
    replies += "+QUEUED\r\n";
  } else {
    replies += "+OK\r\n";
  }
}

}  // namespace keyferry::test
