// Child processes and temporary folders of the tests. A child dies with the thread that started it
// (PDEATHSIG), so start servers from the test's own thread. Output of a child goes to a file. Uses
// no product code and no gtest: failures are exceptions (std::runtime_error), so that the demo can
// use all of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace keyferry::test {

using Millis = std::chrono::milliseconds;

// A fresh folder under $TMPDIR or /tmp, removed with everything in it by the destructor.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// What a process has used so far, or in all once it has ended.
struct ProcessUsage {
  double cpu_s = 0;  // user + system
  std::int64_t peak_rss_kib = 0;
};

struct ProcessOptions {
  std::vector<std::string> args;  // args[0] is the program (absolute path, or found in PATH)
  std::map<std::string, std::string> env;  // added to our own environment
  std::string output_file;                 // stdout and stderr, appended; "" = /dev/null
  std::string directory;                   // working directory; "" = ours
};

class Process {
 public:
  Process() = default;
  explicit Process(const ProcessOptions& options);  // throws when it cannot be started
  ~Process();                                       // SIGKILL when still running
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;

  bool is_running();
  pid_t pid() const { return pid_; }
  void send_signal(int signal);
  // The exit code, 128 + n when signal n ended it; nullopt when it still runs after `limit`.
  std::optional<int> wait(Millis limit);
  // SIGTERM, then SIGKILL after `limit`.
  void terminate(Millis limit = Millis{5000});
  void kill9();

  ProcessUsage usage();

 private:
  bool reap(bool block);

  pid_t pid_ = -1;
  std::optional<int> exit_code_;
  ProcessUsage final_usage_;
};

std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& text);
// The last `lines` lines of a file; for failure messages.
std::string tail_of(const std::string& path, std::size_t lines = 30);

// A TCP port of 127.0.0.1 that is free now, and so is port + 10000 (the cluster bus). Both are
// below the kernel's range of outgoing ports, so no connection takes them by accident. Given out
// once, over all tests that run.
std::uint16_t free_port();

// Asks `condition` every few milliseconds until true; false after `limit`.
bool wait_for(Millis limit, const std::function<bool()>& condition);

}  // namespace keyferry::test
