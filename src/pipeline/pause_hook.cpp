#include "keyferry/pipeline/pause_hook.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace keyferry {
namespace {

constexpr Millis poll{5};

Error no_shell(int reason) {
  return {Errc::refused_by_peer, fmt::format("sh: {}", strerror(reason))};
}

// In a process group of its own, so that all of it can be ended, and without our connections, which
// must end with us. `input`: its standard input, -1 = ours.
Result<pid_t> start_shell(const std::string& command, int input) {
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&how, 0);
  sigset_t usual;  // we ignore SIGPIPE; a shell script does not expect that
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  posix_spawnattr_setsigdefault(&how, &usual);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  if (input >= 0) posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  std::string shell = "sh";
  std::string flag = "-c";
  std::string text = command;
  const std::array<char*, 4> args = {shell.data(), flag.data(), text.data(), nullptr};
  pid_t child = 0;
  const int failed = posix_spawn(&child, "/bin/sh", &files, &how, args.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&how);
  if (failed != 0) return no_shell(failed);
  return child;
}

Error judge(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return {Errc::refused_by_peer, WIFEXITED(status)
                                     ? fmt::format("ended with {}", WEXITSTATUS(status))
                                     : fmt::format("was ended by signal {}", WTERMSIG(status))};
}

// `limit` 0: for as long as it takes.
Error wait_for_end(pid_t child, Millis limit) {
  const TimePoint begin = Clock::now();
  int status = 0;
  while (true) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) return judge(status);
    if (ended < 0 && errno != EINTR) return {Errc::refused_by_peer, "sh cannot be waited for"};
    if (limit > Millis(0) && Clock::now() - begin > limit) break;
    std::this_thread::sleep_for(poll);
  }
  kill(-child, SIGKILL);
  waitpid(child, &status, 0);
  return {Errc::refused_by_peer, fmt::format("took more than {} ms", limit.count())};
}

}  // namespace

Error run_shell(const std::string& command, Millis limit) {
  const Result<pid_t> child = start_shell(command, -1);
  if (!child) return child.error();
  return wait_for_end(*child, limit);
}

PauseHook::~PauseHook() {
  Error ignored = undo();
}

// The guard reads from a pipe that only we can write to: its end without a word is ours.
Error PauseHook::start_guard() {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return no_shell(errno);
  const std::string script =
      "trap '' INT TERM HUP\nread -r word\n[ \"$word\" = keep ] && exit 0\n" + undo_ + "\n";
  const Result<pid_t> child = start_shell(script, ends[0]);
  close(ends[0]);
  if (!child) {
    close(ends[1]);
    return child.error();
  }
  guard_ = *child;
  guard_input_ = ends[1];
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

Error PauseHook::end_guard(bool keeps) {
  constexpr ByteView word = "keep\n";
  if (keeps && write(guard_input_, word.data(), word.size()) < 0) {
    // It is gone: then it undoes nothing either.
  }
  close(std::exchange(guard_input_, -1));
  return wait_for_end(std::exchange(guard_, -1), Millis(0));
}

void PauseHook::release_guard() {
  if (guard_ < 0) return;
  Error ignored = end_guard(true);
}

Error PauseHook::undo() {
  if (!std::exchange(is_in_force_, false)) return {};
  Error error = guard_ >= 0 ? end_guard(false) : run_shell(undo_, Millis(0));
  return error ? with_context("cutover.on_unpause", std::move(error)) : error;
}

}  // namespace keyferry
