// The two competitors behind the same calls: keyferry with its target, and a plain Redis replica
// (REPLICAOF). Scenarios are templates over them; nothing here takes the time.
#pragma once

#include <optional>

#include "e2e_config.hpp"
#include "support/cluster.hpp"
#include "support/keyferry.hpp"
#include "support/server.hpp"

namespace keyferry::bench {

// A source for either: sends the snapshot over the socket at once and lets a stopped replica fall
// behind as far as it likes.
test::ServerOptions source_options(bool notifies = false);

class FerryLink {
 public:
  explicit FerryLink(const Config& config);

  void start(const test::RedisServer& source);
  // The last word has /status, which is up to 100 ms old: times are that much too long, never too
  // short. It is asked only once the target itself looks complete (`keys` of them, `last_key`
  // there), or the questions would be a tenth of keyferry's CPU.
  bool has_snapshot(std::size_t keys);
  bool has_applied(std::int64_t offset, const std::string& last_key);

  test::Process& process() { return ferry_.process(); }
  std::size_t keys();
  // A connection to the server that has `key`.
  test::RespClient reader(const std::string& key) const;
  std::string log() const { return ferry_.output(); }

 private:
  std::size_t all_keys();  // with those of ours
  const std::string& status();

  std::optional<test::RedisServer> server_;
  std::optional<test::RedisCluster> cluster_;
  std::vector<test::RespClient> masters_;
  bool exactly_once_;
  bool scan_;
  test::Keyferry ferry_;
  test::RespClient http_;  // kept open: a connection per question would cost keyferry CPU
  std::string status_;
  std::string last_key_;
  test::RespClient last_reader_;  // to the server of last_key_
};

class NativeLink {
 public:
  explicit NativeLink(const Config& config);

  void start(const test::RedisServer& source);
  bool has_snapshot(std::size_t keys);
  bool has_applied(std::int64_t offset, const std::string& last_key);

  test::Process& process() { return replica_.process(); }
  std::size_t keys();
  test::RespClient reader(const std::string& key) const;
  std::string log() const { return replica_.log(); }

 private:
  test::RedisServer replica_;
  test::RespClient client_;
};

// What scan mode can at best be as quick as: redis-cli that asks for every name and drops it.
class RawScan {
 public:
  explicit RawScan(const Config&) {}

  void start(const test::RedisServer& source);
  bool has_snapshot(std::size_t) { return !process_.is_running(); }

  test::Process& process() { return process_; }
  std::string log() const { return "redis-cli --scan"; }

 private:
  test::Process process_;
};

}  // namespace keyferry::bench
