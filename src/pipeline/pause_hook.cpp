#include "keyferry/pipeline/pause_hook.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace keyferry {
namespace {

constexpr Millis poll{5};

// In a process group of its own, so that all of it can be ended.
Result<pid_t> start_shell(const std::string& command) {
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&how, 0);
  sigset_t usual;  // we ignore SIGPIPE; a shell script does not expect that
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  posix_spawnattr_setsigdefault(&how, &usual);
  std::string shell = "sh";
  std::string flag = "-c";
  std::string text = command;
  const std::array<char*, 4> args = {shell.data(), flag.data(), text.data(), nullptr};
  pid_t child = 0;
  const int failed = posix_spawn(&child, "/bin/sh", nullptr, &how, args.data(), environ);
  posix_spawnattr_destroy(&how);
  if (failed != 0) return Error(Errc::refused_by_peer, fmt::format("sh: {}", strerror(failed)));
  return child;
}

Error judge(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return {Errc::refused_by_peer, WIFEXITED(status)
                                     ? fmt::format("ended with {}", WEXITSTATUS(status))
                                     : fmt::format("was ended by signal {}", WTERMSIG(status))};
}

}  // namespace

Error run_shell(const std::string& command, Millis limit) {
  const Result<pid_t> child = start_shell(command);
  if (!child) return child.error();
  const TimePoint begin = Clock::now();
  int status = 0;
  while (true) {
    const pid_t ended = waitpid(*child, &status, WNOHANG);
    if (ended == *child) return judge(status);
    if (ended < 0 && errno != EINTR) return {Errc::refused_by_peer, "sh cannot be waited for"};
    if (limit > Millis(0) && Clock::now() - begin > limit) break;
    std::this_thread::sleep_for(poll);
  }
  kill(-*child, SIGKILL);
  waitpid(*child, &status, 0);
  return {Errc::refused_by_peer, fmt::format("took more than {} ms", limit.count())};
}

void PauseHook::Close::operator()(std::FILE* pipe) const {
  pclose(pipe);
}

// It reads from a pipe that only we can write to: its end without a word is ours.
Error PauseHook::start_guard() {
  const std::string script =
      "trap '' INT TERM HUP\nread -r word\n[ \"$word\" = keep ] && exit 0\n" + undo_ + "\n";
  guard_.reset(popen(script.c_str(), "we"));  // e: nobody whom we start holds the pipe as well
  if (guard_ == nullptr) return {Errc::refused_by_peer, "no shell for cutover.on_unpause"};
  return {};
}

Error PauseHook::pause(Millis limit) {
  if (Error error = start_guard()) return error;
  is_in_force_ = true;
  const std::string command =
      fmt::format("export KEYFERRY_PAUSE_TIMEOUT_MS={}\n{}", limit.count(), pause_);
  Error error = run_shell(command, limit);
  return error ? with_context("cutover.on_pause", std::move(error)) : error;
}

void PauseHook::release_guard() {
  if (guard_ == nullptr) return;
  std::fputs("keep\n", guard_.get());
  guard_.reset();
}

Error PauseHook::undo() {
  if (!std::exchange(is_in_force_, false)) return {};
  Error error = guard_ ? judge(pclose(guard_.release())) : run_shell(undo_, Millis(0));
  return error ? with_context("cutover.on_unpause", std::move(error)) : error;
}

}  // namespace keyferry
