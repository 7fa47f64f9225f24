// Real servers for tests: a redis-server or valkey-server of any release on 127.0.0.1, in a
// temporary folder, gone with the object. Start them from the test's own thread (see process.hpp).
// Failures throw with the server's log. TLS, passwords and the like are just `args`: each "--name
// value" pair of redis-server's command line.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "support/process.hpp"
#include "support/resp_client.hpp"

namespace keyferry::test {

// Where a server program comes from. `binary` behaves like redis-server: the installed one, or a
// wrapper that test/servers/fetch made. unreachable: why it could not be had ("" = it is there).
struct ServerRelease {
  std::string name = "installed";
  std::string binary = "redis-server";
  std::string unreachable;
};

// Every name that release() knows: redis-6.0 redis-8.0 valkey-8.1 redis-next valkey-9.1.
const std::vector<std::string>& release_names();
// Unpacks that release with test/servers/fetch (some seconds, once; kept in build/servers).
ServerRelease release(const std::string& name);

struct ServerOptions {
  ServerRelease release;
  std::vector<std::string> args;  // after the defaults, so they win
  std::string user;               // how client() authenticates; set the server's side with args
  std::string password;
};

class RedisServer {
 public:
  explicit RedisServer(ServerOptions options = {});
  RedisServer(RedisServer&&) = default;

  const std::string& host() const { return host_; }
  std::uint16_t port() const { return port_; }
  std::string address() const { return host_ + ":" + std::to_string(port_); }
  std::string uri() const { return "redis://" + address(); }
  // Its working folder (dump.rdb, nodes.conf, anything a test adds).
  const std::string& directory() const { return directory_->path(); }

  // A new authenticated connection.
  RespClient client(Millis timeout = Millis{10000}) const;
  // One command on a connection of its own; throws on an error reply.
  Reply command(const Args& args) const { return client().must(args); }
  std::string info(const std::string& field) const;
  // "7.0.15": redis_version, or valkey_version of a Valkey.
  std::string version() const;

  void stop() { process_.terminate(); }
  void kill9() { process_.kill9(); }
  // Same port, same folder; stops it first when it still runs. `more` is added to the arguments
  // from now on.
  void restart(const std::vector<std::string>& more = {});
  void sigstop();
  void sigcont();
  Process& process() { return process_; }
  std::string log() const { return tail_of(directory_->file("server.log"), 60); }

 private:
  bool start();
  bool answers();

  ServerOptions options_;
  std::unique_ptr<TempDir> directory_ = std::make_unique<TempDir>();
  std::string host_ = "127.0.0.1";
  std::uint16_t port_ = 0;
  Process process_;
};

struct SentinelOptions {
  std::uint16_t master_port = 0;    // 0: the master's own; else its TLS port
  std::string password;             // of the Sentinel itself; client() gives it
  std::vector<std::string> config;  // further lines of sentinel.conf
};

// redis-server --sentinel watching one master under `name`, with short time limits (down after 500
// ms).
class Sentinel {
 public:
  Sentinel(const RedisServer& master, const std::string& name, SentinelOptions options = {});

  std::uint16_t port() const { return port_; }
  RespClient client() const;
  Process& process() { return process_; }
  std::string log() const { return tail_of(directory_->file("server.log"), 60); }

 private:
  SentinelOptions options_;
  std::unique_ptr<TempDir> directory_ = std::make_unique<TempDir>();
  std::uint16_t port_ = 0;
  Process process_;
};

}  // namespace keyferry::test
