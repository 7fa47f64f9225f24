// A thread that changes a data set (support/dataset.hpp) with a seeded mix of all families of write
// commands until it is stopped: at a bounded rate or as fast as it can. An error reply is
// remembered; tests assert errors() is empty. It changes the fill's own keys too, so that stream
// commands meet snapshot keys. Keys that expire within seconds have names of their own and are
// never written again: what a late command does to an expired key is not its subject.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/dataset.hpp"

namespace keyferry::test {

struct LiveOptions {
  DatasetOptions dataset;  // cluster_safe and databases bind the writer too
  std::uint64_t seed = 7;
  double commands_per_s = 2000;  // 0 = full speed
  bool short_lived = true;       // keys that expire while we look
};

class LiveWriter {
 public:
  LiveWriter(const Endpoint& endpoint, const LiveOptions& options);
  ~LiveWriter();

  // Ends the thread; everything it sent has been answered. May be called twice.
  void stop();
  std::uint64_t commands() const { return commands_; }
  std::vector<std::string> errors() const;

 private:
  void run(const Endpoint& endpoint, const LiveOptions& options);
  void remember(const std::string& error);

  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> commands_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> errors_;  // at most 20
  std::thread thread_;
};

}  // namespace keyferry::test
