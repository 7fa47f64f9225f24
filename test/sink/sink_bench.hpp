// Runs a RedisSink against a FakeTarget: a stream in batches, and what has become of it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "keyferry/sink/redis_sink.hpp"
#include "sink/fake_redis.hpp"
#include "support/process.hpp"

namespace keyferry::test {

struct SinkRun {
  explicit SinkRun(FakeTarget& to, std::size_t nodes = 1);

  // Adds a batch of commands, each written with spaces between its words.
  SinkRun& batch(const std::vector<std::string>& commands);
  // Carries the batches out until everything is answered, or an error.
  void go();
  std::string dead_letters() const;

  FakeTarget& target;
  Options options;
  TempDir dir;
  std::vector<Bytes> batches;
  std::function<void(std::size_t)> before_batch;  // called with its index once the target is open
  bool waits_between = false;                     // each batch is answered before the next
  Task<Error> (*beside)(SinkRun& run) = nullptr;  // runs meanwhile
  std::vector<std::pair<std::string, std::string>> snapshot;  // string keys, put before the stream
  std::uint8_t snapshot_type = 0;  // RDB type; then the values are raw bytes
  std::chrono::milliseconds limit{10000};

  bool is_over = false;
  Error error;
  Offset end = 0;          // of the stream
  Offset applied = 0;      // the watermark
  std::uint64_t told = 0;  // commands that on_applied told of
  SinkStats stats;
  std::size_t held_slots = 0;
};

// The distinct texts in the order of their last application.
Words last_order(const Words& applied);

}  // namespace keyferry::test
