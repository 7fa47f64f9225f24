// A Redis or Valkey cluster on 127.0.0.1 for tests: N masters with the slots dealt evenly,
// optionally one replica each, formed by our own commands (no redis-cli). Slots can be moved live,
// whole or step by step.
#pragma once

#include <vector>

#include "support/server.hpp"

namespace keyferry::test {

struct ClusterOptions {
  std::size_t masters = 3;
  std::size_t replicas = 0;  // in all; replica i follows master i % masters
  ServerOptions server;
};

class RedisCluster {
 public:
  // Ready when every node says cluster_state:ok and knows all others.
  explicit RedisCluster(ClusterOptions options = {});

  std::size_t size() const { return nodes_.size(); }
  // Masters first, then replicas (as they were made; a failover does not change the order).
  RedisServer& node(std::size_t index) { return *nodes_.at(index); }
  const RedisServer& node(std::size_t index) const { return *nodes_.at(index); }
  std::string uri() const { return nodes_.front()->uri(); }
  std::string node_id(std::size_t index) const { return ids_.at(index); }

  // Index of the node that owns `slot`, as node 0 sees it.
  std::size_t owner(int slot) const;
  // Moves a slot with its keys to node `to` while clients go on.
  void move_slot(int slot, std::size_t to);
  // The same in steps, so that a test can stop half-way. begin_move: IMPORTING and MIGRATING are
  // set, keys not found at the old owner are answered with ASK. migrate_keys: moves at most `count`
  // keys, returns how many. finish_move: every node learns the new owner (keys must all have been
  // moved).
  void begin_move(int slot, std::size_t to);
  std::size_t migrate_keys(int slot, std::size_t to, std::size_t count = 1000);
  void finish_move(int slot, std::size_t to);

  // Every running node reports cluster_state:ok; throws after `limit`.
  void wait_ok(Millis limit = Millis{20000});

 private:
  void form(std::size_t masters);
  void deal_slots(std::size_t master, std::size_t masters);
  void add_replicas(std::size_t masters);
  bool everyone_ok();

  std::vector<std::unique_ptr<RedisServer>> nodes_;
  std::vector<std::string> ids_;
};

}  // namespace keyferry::test
