#include "support/fake_master.hpp"

#include <map>
#include <stdexcept>
#include <vector>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace keyferry::test {
namespace {

const std::string replid(40, 'a');

void send_all(int fd, const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0) return;
    at += static_cast<std::size_t>(n);
  }
}

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

}  // namespace

FakeMaster::FakeMaster(std::string rdb, std::string stream, FakeMasterOptions options)
    : rdb_(std::move(rdb)), stream_(std::move(stream)), options_(options) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 16) != 0)
    throw std::runtime_error("fake master");
  ::getsockname(listener_, generic, &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

FakeMaster::~FakeMaster() {
  stopping_ = true;
  thread_.join();
  ::close(listener_);
}

void FakeMaster::run() {
  std::map<int, std::string> clients;  // fd -> bytes not answered yet
  while (!stopping_) {
    std::vector<pollfd> polled = {{listener_, POLLIN, 0}};
    for (const auto& [fd, bytes] : clients)
      polled.push_back({fd, POLLIN, 0});
    if (::poll(polled.data(), polled.size(), 20) <= 0) continue;
    if (polled[0].revents != 0) clients[::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)];
    for (std::size_t i = 1; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      const int fd = polled[i].fd;
      char buffer[4096];
      const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      bool keep = n > 0;
      if (keep) keep = answer(fd, std::string(buffer, static_cast<std::size_t>(n)));
      if (!keep) {
        ::close(fd);
        clients.erase(fd);
      }
    }
  }
  for (const auto& [fd, bytes] : clients)
    ::close(fd);
}

// The product sends one handshake command at a time, so one read is one command. False: close the
// connection.
bool FakeMaster::answer(int fd, const std::string& command) {
  const auto has = [&](const char* word) { return command.find(word) != std::string::npos; };
  if (has("PSYNC")) {
    ++full_syncs_;
    const std::uint64_t pieces_bytes =
        options_.pieces == 0 ? 0 : options_.pieces * options_.piece(0).size();
    const std::uint64_t bytes = rdb_.size() + pieces_bytes + options_.tail.size();
    send_all(fd, "+FULLRESYNC " + replid + " 0\r\n$" + std::to_string(bytes) + "\r\n");
    if (options_.cut_after_rdb_bytes >= 0) {
      send_all(fd, rdb_.substr(0, static_cast<std::size_t>(options_.cut_after_rdb_bytes)));
      return false;
    }
    send_all(fd, rdb_);
    std::string some;
    for (std::uint64_t i = 0; i < options_.pieces && !stopping_; ++i) {
      some += options_.piece(i);
      if (some.size() < 256 * 1024 && i + 1 < options_.pieces) continue;
      send_all(fd, some);
      some.clear();
    }
    send_all(fd, options_.tail + stream_);
  } else if (has("ACK")) {
    return true;
  } else if (has("INFO")) {
    send_all(fd, bulk("run_id:" + std::string(40, 'f') +
                      "\r\nrole:master\r\nredis_version:7.0.15\r\nmaster_replid:" + replid +
                      "\r\nmaster_repl_offset:" + std::to_string(stream_.size()) + "\r\n"));
  } else if (has("CONFIG")) {
    send_all(fd, "*0\r\n");
  } else if (has("PING")) {
    send_all(fd, "+PONG\r\n");
  } else {
    send_all(fd, "+OK\r\n");
  }
  return true;
}

}  // namespace keyferry::test
