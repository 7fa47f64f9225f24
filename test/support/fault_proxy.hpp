// A TCP proxy on 127.0.0.1 in front of a server, with the faults of a bad network: cut, cut after
// exactly N bytes, stall, throttle, delay, refuse. Runs on a thread of its own; all calls may come
// from any thread. Knows bytes, not Redis.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/process.hpp"

namespace keyferry::test {

// to_server: what the client (keyferry) sends; to_client: what the server sends.
enum class Direction { to_server, to_client };

class FaultProxy {
 public:
  FaultProxy(std::string server_host, std::uint16_t server_port);
  ~FaultProxy();

  std::uint16_t port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string uri() const { return "redis://" + address(); }

  // Closes every connection; returns when that is done. Later ones are served again.
  void cut();
  // After exactly `bytes` more bytes in that direction, over all connections, all are closed
  // (once).
  void cut_after(Direction direction, std::uint64_t bytes);
  // Keeps connections open but forwards nothing until resume().
  void stall() { stalled_ = true; }
  void resume() { stalled_ = false; }
  // At most so many bytes per second in that direction, over all connections; 0 = no limit.
  void throttle(Direction direction, std::uint64_t bytes_per_s);
  // Bytes of that direction arrive so much later: half of a round trip over a long way.
  void delay(Direction direction, Millis late);
  // Later connections go to another port of the same host.
  void forward_to(std::uint16_t server_port) { server_port_ = server_port; }
  // The port stops listening (connection refused) until called with false; connections stay.
  void refuse(bool on);

  // Forwarded so far, over all connections.
  std::uint64_t bytes(Direction direction) const { return lane(direction).bytes; }
  std::uint64_t accepted() const { return accepted_; }
  std::size_t open_connections() const { return open_; }
  std::uint64_t cuts() const { return cuts_; }

 private:
  struct Lane {
    std::atomic<std::uint64_t> bytes = 0;
    std::atomic<std::int64_t> cut_after = -1;  // bytes left before the cut; -1 none
    std::atomic<std::uint64_t> bytes_per_s = 0;
    std::atomic<std::int64_t> delay_ns = 0;
    double allowance = 0;  // of the throttle; proxy thread only
  };
  struct Link;

  Lane& lane(Direction direction) { return lanes_[static_cast<std::size_t>(direction)]; }
  const Lane& lane(Direction direction) const {
    return lanes_[static_cast<std::size_t>(direction)];
  }
  void run();
  void follow_requests();
  void poll_once();
  void accept_one();
  bool transfer(Link& link, Direction direction);
  bool receive(Link& link, Direction direction);
  bool may_receive(Link& link, Direction direction) const;
  void refill();
  void close_all();
  void listen();
  void ask_and_wait(std::atomic<bool>& request);

  std::string server_host_;
  std::atomic<std::uint16_t> server_port_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  Lane lanes_[2];
  std::atomic<bool> stalled_ = false;
  std::atomic<bool> cut_requested_ = false;
  std::atomic<bool> refuse_wanted_ = false;
  std::atomic<bool> refuse_changed_ = false;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> accepted_ = 0;
  std::atomic<std::size_t> open_ = 0;
  std::atomic<std::uint64_t> cuts_ = 0;
  std::vector<std::unique_ptr<Link>> links_;  // proxy thread only
  std::int64_t last_refill_ns_ = 0;
  std::thread thread_;
};

}  // namespace keyferry::test
