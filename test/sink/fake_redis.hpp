// A little Redis inside the test's process, alone or as a node of a cluster, that refuses chosen
// commands, holds replies back, cuts connections and writes down what it has applied in which
// order. One thread per node, blocking sockets, knows a handful of commands. Test threads may call
// everything at any time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "keyferry/command/batch.hpp"

namespace keyferry::test {

using Words = std::vector<std::string>;

// What all nodes of one target share: the data, the log, and who serves which slot.
struct FakeStore {
  struct Applied {
    std::string text;  // "SET a 7"; in a database other than 0: "3: SET a 7"
    std::size_t node = 0;
    bool in_group = false;
  };

  mutable std::mutex mutex;
  std::map<std::string, std::string> values;  // by "db/key"
  std::vector<Applied> log;
  bool is_cluster = false;
  int databases = 16;  // of a cluster usually 1
  std::vector<std::uint16_t> ports;
  std::array<std::size_t, slot_count> owner{};
  struct Migration {
    std::size_t to = 0;
    std::set<std::string> moved;  // keys that are on the other side already
  };
  std::map<Slot, Migration> migrating;
};

// Answers commands called `name` (with `key` as their first key, unless that is empty) with an
// error, `times` times.
struct Refusal {
  std::string name;
  std::string key;
  std::string error;  // without '-'
  int times = 1;
};

class FakeRedis {
 public:
  FakeRedis(std::shared_ptr<FakeStore> store, std::size_t node);
  ~FakeRedis();
  FakeRedis(const FakeRedis&) = delete;
  FakeRedis& operator=(const FakeRedis&) = delete;

  std::uint16_t port() const { return port_; }

  void refuse(Refusal refusal);
  // Replies to data commands are held back until `commands` more of them have been read: so many
  // are in flight when the first is answered.
  void gate(std::size_t commands);
  // The connection that brings the n-th data command from now on is cut when that has been applied,
  // its replies unsent.
  void cut_after(std::size_t commands);
  std::size_t connections_taken() const { return taken_; }

 private:
  struct Client;

  void run();
  void accept_one();
  bool serve(Client& client);
  void answer(Client& client, const Words& words);
  bool answer_control(Client& client, const Words& words);
  void answer_exec(Client& client);
  std::string refusal_of(const Words& words, const std::string& key);
  std::string redirect_of(const Client& client, const std::vector<std::string>& keys);
  std::string apply(Client& client, const Words& words, bool in_group);
  std::string cluster_slots() const;
  std::string info() const;
  bool flush(Client& client);

  std::shared_ptr<FakeStore> store_;
  std::size_t node_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  std::vector<std::unique_ptr<Client>> clients_;  // own thread only
  std::vector<Refusal> refusals_;                 // under the store's mutex, like all below
  std::size_t gate_ = 0;
  std::size_t cut_ = 0;
  std::atomic<std::size_t> taken_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

// One standalone node, or `nodes` that share the slots evenly.
class FakeTarget {
 public:
  explicit FakeTarget(std::size_t cluster_nodes = 0);

  FakeRedis& node(std::size_t i) { return *nodes_[i]; }
  FakeRedis& owner_of(const std::string& key);
  std::size_t owner_index(const std::string& key) const;
  void assign(Slot slot, std::size_t node);
  // A cluster has one database unless it is told otherwise.
  void set_databases(int databases);
  // From now on the owner answers ASK for these keys of their slot, TRYAGAIN when a command has
  // others too.
  void migrate(const std::string& slot_of_key, std::size_t to, std::set<std::string> moved);

  // Ends the slot's migration, if there is one: the other side owns it.
  void end_migration(Slot slot);

  std::string value(const std::string& key, int db = 0) const;
  std::map<std::string, std::string> values() const;
  std::vector<FakeStore::Applied> log() const;
  // The texts of the log.
  Words applied() const;

 private:
  std::shared_ptr<FakeStore> store_;
  std::vector<std::unique_ptr<FakeRedis>> nodes_;
};

}  // namespace keyferry::test
