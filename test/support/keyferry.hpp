// The keyferry program under test as a child process: picks free ports and a spool folder of its
// own, collects the output, reads /status. Failures throw with the program's last lines.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/process.hpp"

namespace keyferry::test {

struct HttpResponse {
  int status = 0;
  std::string headers;
  std::string body;
};

// One request with "Connection: close"; throws when nothing answers.
HttpResponse http_request(std::uint16_t port, const std::string& method, const std::string& path,
                          const std::string& body = "", Millis limit = Millis{5000});

// The scalar at a dotted path of a JSON text, "lag.bytes" or "shards.0.replid"; "null" and "true"
// as such; "" when there is no such field.
std::string json_field(const std::string& json, const std::string& path);

class Keyferry {
 public:
  // `binary`: tests pass KEYFERRY_BINARY; KEYFERRY_TEST_BINARY in the environment wins.
  explicit Keyferry(std::string binary);

  // keyferry run --source S --target T --http 127.0.0.1:<http_port()> --set admin.resp_listen=...
  // --set spool.dir=... and `more`. May be called again after the process has ended: same ports,
  // same folder (a restart).
  void run(const std::string& source, const std::string& target,
           const std::vector<std::string>& more = {});
  // keyferry with exactly these arguments.
  void start(const std::vector<std::string>& args);
  void set_env(const std::string& name, const std::string& value) { env_[name] = value; }

  bool is_running() { return process_.is_running(); }
  // nullopt when it still runs after `limit`.
  std::optional<int> wait_exit(Millis limit) { return process_.wait(limit); }
  std::string output() const { return read_file(directory_.file("output")); }
  Process& process() { return process_; }
  ProcessUsage usage() { return process_.usage(); }

  std::uint16_t http_port() const { return http_port_; }
  std::uint16_t resp_port() const { return resp_port_; }
  // For config files, dead letters and the like; removed at the end. The spool is in spool_dir().
  const TempDir& directory() const { return directory_; }
  std::string spool_dir() const { return directory_.file("spool"); }

  HttpResponse http_get(const std::string& path) const {
    return http_request(http_port_, "GET", path);
  }
  HttpResponse http_post(const std::string& path) const {
    return http_request(http_port_, "POST", path);
  }
  // One field of /status; "" while nothing answers.
  std::string status(const std::string& path) const;
  // Waits until `done` says yes to the text of /status. False after `limit` or when the process has
  // ended.
  bool wait_until(const std::function<bool(const std::string& json)>& done, Millis limit);
  bool wait_status(const std::string& path, const std::string& value, Millis limit);
  // Waits for synced:true with lag.bytes 0; the usual "everything written so far is there" of a
  // quiet source.
  bool wait_synced(Millis limit) { return wait_status("synced", "true", limit); }

 private:
  std::string binary_;
  TempDir directory_;
  std::map<std::string, std::string> env_;
  std::uint16_t http_port_ = free_port();
  std::uint16_t resp_port_ = free_port();
  Process process_;
};

}  // namespace keyferry::test
