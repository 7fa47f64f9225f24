// A standalone target that says OK to everything and keeps nothing, for values that no real server
// should have to hold in a test. Counts what it was given. One thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>

namespace keyferry::test {

class SwallowingTarget {
 public:
  SwallowingTarget();
  ~SwallowingTarget();

  std::string uri() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  std::uint64_t commands() const { return commands_; }
  std::uint64_t payload_bytes() const { return payload_bytes_; }  // of all arguments
  std::uint64_t longest_bytes() const { return longest_bytes_; }  // of one argument

 private:
  struct Client {
    std::string unread;
    std::uint64_t args_left = 0;
    std::uint64_t skip = 0;  // bytes of an argument, and its line end, still to come
    std::string name;        // of the command, upper case
    bool wants_name = false;
    bool in_transaction = false;
    std::uint64_t queued = 0;
  };

  void run();
  void take(Client& client, std::string& replies);
  void answer(Client& client, std::string& replies);

  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::map<int, Client> clients_;
  std::atomic<std::uint64_t> commands_ = 0;
  std::atomic<std::uint64_t> payload_bytes_ = 0;
  std::atomic<std::uint64_t> longest_bytes_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace keyferry::test
