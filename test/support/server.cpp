#include "support/server.hpp"

#include <sstream>
#include <stdexcept>

#include <signal.h>

namespace keyferry::test {

const std::vector<std::string>& release_names() {
  static const std::vector<std::string> names = {"redis-6.0", "redis-8.0", "valkey-8.1",
                                                 "redis-next", "valkey-9.1"};
  return names;
}

ServerRelease release(const std::string& name) {
  TempDir folder;
  const std::string output = folder.file("output");
  Process fetch(
      {{KEYFERRY_SOURCE_DIR "/test/servers/fetch", KEYFERRY_SOURCE_DIR "/build/servers", name},
       {},
       output,
       ""});
  fetch.wait(Millis{300000});
  // Its last line: "<name> <program>" or "<name> unreachable: <why>".
  std::istringstream line(tail_of(output, 1));
  ServerRelease result;
  std::string rest;
  line >> result.name;
  std::getline(line >> std::ws, rest);
  if (result.name != name) {
    result.unreachable = "fetch said: " + tail_of(output, 5);
  } else if (rest.rfind("unreachable", 0) == 0) {
    result.unreachable = rest;
  }
  result.name = name;
  result.binary = rest;
  return result;
}

RedisServer::RedisServer(ServerOptions options) : options_(std::move(options)) {
  if (!options_.release.unreachable.empty()) {
    throw std::runtime_error(options_.release.name + ": " + options_.release.unreachable);
  }
  for (int attempt = 0; attempt < 5; ++attempt) {
    port_ = free_port();
    if (start()) return;
  }
  throw std::runtime_error(options_.release.name + " does not start:\n" + log());
}

bool RedisServer::start() {
  ProcessOptions how;
  how.args = {options_.release.binary,
              "--port",
              std::to_string(port_),
              "--bind",
              host_,
              "--dir",
              directory(),
              "--daemonize",
              "no",
              "--save",
              "",
              "--appendonly",
              "no",
              "--repl-diskless-sync-delay",
              "0"};
  // Redis 7.0 locked DEBUG behind this option; 6.x does not know it.
  if (options_.release.name != "redis-6.0") {
    how.args.insert(how.args.end(), {"--enable-debug-command", "yes"});
  }
  how.args.insert(how.args.end(), options_.args.begin(), options_.args.end());
  how.output_file = directory_->file("server.log");
  how.directory = directory();
  process_ = Process(how);
  return wait_for(Millis{15000}, [this] { return !process_.is_running() || answers(); }) &&
         process_.is_running();
}

// Another test's server may have taken the port between the look and the start: ask who answers.
bool RedisServer::answers() {
  try {
    RespClient connection = client();
    const Reply info = connection.command({"INFO", "server"});
    if (info.is_error()) return info.text.rfind("LOADING", 0) != 0;
    return info_field(info.text, "process_id") == std::to_string(process_.pid()) &&
           connection.command({"PING"}).text == "PONG";
  } catch (const std::runtime_error&) {
    return false;
  }
}

RespClient RedisServer::client(Millis timeout) const {
  RespClient connection(host_, port_, timeout);
  if (!options_.password.empty()) {
    Args auth = {"AUTH"};
    if (!options_.user.empty()) auth.push_back(options_.user);
    auth.push_back(options_.password);
    connection.must(auth);
  }
  return connection;
}

std::string RedisServer::info(const std::string& field) const {
  return info_field(command({"INFO", "everything"}).text, field);
}

std::string RedisServer::version() const {
  const std::string text = command({"INFO", "server"}).text;
  const std::string valkey = info_field(text, "valkey_version");
  return valkey.empty() ? info_field(text, "redis_version") : valkey;
}

void RedisServer::restart(const std::vector<std::string>& more) {
  process_.terminate();
  options_.args.insert(options_.args.end(), more.begin(), more.end());
  if (!start()) throw std::runtime_error(address() + " does not start again:\n" + log());
}

void RedisServer::sigstop() {
  process_.send_signal(SIGSTOP);
}

void RedisServer::sigcont() {
  process_.send_signal(SIGCONT);
}

Sentinel::Sentinel(const RedisServer& master, const std::string& name, SentinelOptions options)
    : options_(std::move(options)) {
  const std::uint16_t master_port =
      options_.master_port == 0 ? master.port() : options_.master_port;
  for (int attempt = 0; attempt < 5; ++attempt) {
    port_ = free_port();
    std::ostringstream config;
    config << "port " << port_ << "\nbind 127.0.0.1\ndir " << directory_->path()
           << "\nsentinel monitor " << name << " 127.0.0.1 " << master_port
           << " 1\nsentinel down-after-milliseconds " << name << " 500\nsentinel failover-timeout "
           << name << " 5000\n";
    if (!options_.password.empty()) config << "requirepass " << options_.password << "\n";
    for (const std::string& line : options_.config)
      config << line << "\n";
    write_file(directory_->file("sentinel.conf"), config.str());
    ProcessOptions how;
    how.args = {"redis-server", directory_->file("sentinel.conf"), "--sentinel"};
    how.output_file = directory_->file("server.log");
    process_ = Process(how);
    const auto sees_master = [this, &name] {
      try {
        return !client().command({"SENTINEL", "get-master-addr-by-name", name}).is_error();
      } catch (const std::runtime_error&) {
        return false;
      }
    };
    if (wait_for(Millis{10000}, [&] { return !process_.is_running() || sees_master(); }) &&
        process_.is_running()) {
      return;
    }
  }
  throw std::runtime_error("sentinel does not start:\n" + log());
}

RespClient Sentinel::client() const {
  RespClient connection("127.0.0.1", port_);
  if (!options_.password.empty()) connection.must({"AUTH", options_.password});
  return connection;
}

}  // namespace keyferry::test
