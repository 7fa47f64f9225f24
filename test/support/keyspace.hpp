// One logical key space for tests: a standalone server or all masters of a cluster behind the same
// calls. Routes by slot with its own CRC16 and follows MOVED and ASK one command at a time. Used by
// the generators, the live writer and the comparison; independent of the product's routing.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "support/cluster.hpp"

namespace keyferry::test {

// How to reach a server or a cluster (through any node).
struct Endpoint {
  std::string host = "127.0.0.1";
  std::uint16_t port = 6379;
  std::string user;
  std::string password;

  Endpoint() = default;
  Endpoint(std::string host_name, std::uint16_t port_number)
      : host(std::move(host_name)), port(port_number) {}
  Endpoint(const RedisServer& server) : Endpoint(server.host(), server.port()) {}  // NOLINT
  Endpoint(const RedisCluster& cluster) : Endpoint(cluster.node(0)) {}             // NOLINT
  // redis://[user:password@]host[:port], with the first of several hosts.
  static Endpoint of_uri(const std::string& uri);
};

int key_slot(std::string_view key);
// The first key of a command; "" when it has none.
std::string_view first_key(const Args& args);

class Keyspace {
 public:
  explicit Keyspace(Endpoint endpoint, Millis timeout = Millis{30000});

  bool is_cluster() const { return cluster_; }
  bool is_valkey() const { return valkey_; }
  // {7, 0} for 7.0.15. A Valkey counts as the Redis it is compatible with; 7.2 for all.
  int redis_version() const { return version_; }  // 700, 702, 600
  bool has_hash_field_ttl() const { return hash_field_ttl_; }
  // Redis 7.0 tells its replicas of XREADGROUP by XCLAIM alone, which voids their entries-read; 8.0
  // and Valkey 9 do not.
  bool keeps_entries_read() const { return keeps_entries_read_; }

  // The masters, one for standalone.
  std::size_t node_count() const { return nodes_.size(); }
  RespClient& node(std::size_t index) { return nodes_.at(index); }
  std::size_t node_of(std::string_view key) const;
  // Selects a database on every connection, also on those made later.
  void select(int db);
  // Those with keys, of any node.
  std::vector<int> databases_with_keys();

  // Answers in order. Redirected commands are repeated alone, so order between commands is kept
  // only without them.
  std::vector<Reply> pipeline(const std::vector<Args>& commands);
  // Each group goes out in one piece on one connection (MULTI ... EXEC); the answers of all, one
  // behind the other.
  std::vector<Reply> pipeline_groups(const std::vector<std::vector<Args>>& groups);
  Reply command(const Args& args) { return pipeline({args}).front(); }

 private:
  std::vector<Reply> repeat_group(const std::vector<Args>& group);
  RespClient connect(const std::string& host, std::uint16_t port) const;
  void learn_slots();
  std::size_t node_at(const std::string& address);
  Reply follow(const Args& args, std::size_t node, Reply redirect);

  Endpoint endpoint_;
  Millis timeout_;
  bool cluster_ = false;
  int selected_ = 0;
  bool valkey_ = false;
  bool hash_field_ttl_ = false;
  bool keeps_entries_read_ = false;
  int version_ = 0;
  std::vector<RespClient> nodes_;
  std::map<std::string, std::size_t> addresses_;  // "host:port" -> index in nodes_
  std::vector<std::size_t> slots_;                // slot -> index in nodes_
};

}  // namespace keyferry::test
