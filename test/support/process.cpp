#include "support/process.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace keyferry::test {

TempDir::TempDir() {
  const char* base = std::getenv("TMPDIR");
  path_ = std::string(base != nullptr ? base : "/tmp") + "/keyferry-test-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp " + path_);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

namespace {

// What the child does between fork and exec; only async-signal-safe calls, everything was prepared
// before.
[[noreturn]] void become(const ProcessOptions& options, char* const* argv, char* const* envp,
                         pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const char* output = options.output_file.empty() ? "/dev/null" : options.output_file.c_str();
  const int out = ::open(output, O_WRONLY | O_CREAT | O_APPEND, 0644);
  const int in = ::open("/dev/null", O_RDONLY);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(out, 2);
  ::close_range(3, ~0U, 0);
  if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0) ::_exit(126);
  ::execvpe(argv[0], argv, envp);
  ::_exit(127);
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

Process::Process(const ProcessOptions& options) {
  std::vector<std::string> args = options.args;
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (options.env.count(text.substr(0, text.find('='))) == 0) environment.push_back(text);
  }
  for (const auto& [name, value] : options.env)
    environment.push_back(name + "=" + value);

  std::vector<char*> argv;
  for (std::string& arg : args)
    argv.push_back(arg.data());
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (std::string& entry : environment)
    envp.push_back(entry.data());
  envp.push_back(nullptr);

  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork: " + std::string(std::strerror(errno)));
  if (pid_ == 0) become(options, argv.data(), envp.data(), parent);
}

Process::~Process() {
  kill9();
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      exit_code_(std::exchange(other.exit_code_, std::nullopt)),
      final_usage_(other.final_usage_) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this == &other) return *this;
  kill9();
  pid_ = std::exchange(other.pid_, -1);
  exit_code_ = std::exchange(other.exit_code_, std::nullopt);
  final_usage_ = other.final_usage_;
  return *this;
}

bool Process::reap(bool block) {
  if (pid_ < 0 || exit_code_) return true;
  int status = 0;
  rusage used{};
  const pid_t got = ::wait4(pid_, &status, block ? 0 : WNOHANG, &used);
  if (got != pid_) return false;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  final_usage_ = {seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_maxrss};
  return true;
}

bool Process::is_running() {
  return pid_ > 0 && !reap(false);
}

void Process::send_signal(int signal) {
  if (is_running()) ::kill(pid_, signal);
}

std::optional<int> Process::wait(Millis limit) {
  wait_for(limit, [this] { return reap(false); });
  return exit_code_;
}

void Process::terminate(Millis limit) {
  send_signal(SIGTERM);
  if (pid_ > 0 && !wait(limit)) kill9();
}

void Process::kill9() {
  if (!is_running()) return;
  ::kill(pid_, SIGKILL);
  reap(true);
}

ProcessUsage Process::usage() {
  if (!is_running()) return final_usage_;
  ProcessUsage result;
  const std::string folder = "/proc/" + std::to_string(pid_);
  // proc(5) stat: fields 14 and 15 are utime and stime in clock ticks; the name (field 2) may hold
  // blanks.
  const std::string stat = read_file(folder + "/stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string skipped;
  for (int i = 3; i < 14; ++i)
    fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  result.cpu_s = (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  const std::string status = read_file(folder + "/status");
  if (const auto at = status.find("VmHWM:"); at != std::string::npos) {
    result.peak_rss_kib = std::atoll(status.c_str() + at + 6);
  }
  return result;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

std::string tail_of(const std::string& path, std::size_t lines) {
  std::istringstream text(read_file(path));
  std::deque<std::string> last;
  for (std::string line; std::getline(text, line);) {
    last.push_back(line);
    if (last.size() > lines) last.pop_front();
  }
  std::string result;
  for (const std::string& line : last)
    result += line + "\n";
  return result;
}

namespace {

bool can_bind(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return bound;
}

// No other free_port(), in any process, gives out `port` before this process ends. The file stays
// locked for that long.
bool reserve(int port) {
  const auto folder = std::filesystem::temp_directory_path() / "keyferry-test-ports";
  std::filesystem::create_directories(folder);
  const std::string file = (folder / std::to_string(port)).string();
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) throw std::runtime_error("cannot open " + file);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
  ::close(fd);
  return false;
}

}  // namespace

std::uint16_t free_port() {
  static std::mt19937 random(std::random_device{}() ^ static_cast<unsigned>(::getpid()));
  for (int attempt = 0; attempt < 200; ++attempt) {
    const int port = 12000 + static_cast<int>(random() % 10000);
    if (can_bind(port) && can_bind(port + 10000) && reserve(port))
      return static_cast<std::uint16_t>(port);
  }
  throw std::runtime_error("no free port between 12000 and 22000");
}

bool wait_for(Millis limit, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + limit;
  Millis pause{1};
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(pause);
    if (pause < Millis{20}) pause *= 2;
  }
  return true;
}

}  // namespace keyferry::test
