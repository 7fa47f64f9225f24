// A master that speaks just enough of the replication protocol to hand out bytes no real server
// would: broken snapshots, broken streams. One thread, one connection at a time for replication;
// INFO is answered like a master.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

namespace keyferry::test {

struct FakeMasterOptions {
  std::int64_t cut_after_rdb_bytes = -1;  // close the link inside the snapshot; -1 never
  // A snapshot that no memory should hold: behind `rdb` come so many pieces of one size, then
  // `tail`.
  std::uint64_t pieces = 0;
  std::function<std::string(std::uint64_t index)> piece = nullptr;
  std::string tail = "";
};

class FakeMaster {
 public:
  // Sends `rdb` as "$<length>" snapshot, then `stream`, then stays silent.
  FakeMaster(std::string rdb, std::string stream, FakeMasterOptions options = {});
  ~FakeMaster();

  std::string uri() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  int full_syncs() const { return full_syncs_; }

 private:
  void run();
  bool answer(int fd, const std::string& command);

  std::string rdb_;
  std::string stream_;
  FakeMasterOptions options_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> full_syncs_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace keyferry::test
