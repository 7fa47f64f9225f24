// The user's commands of a cutover: cutover.on_switch, and cutover.on_pause with what undoes it,
// for sources that cannot hold back writes by themselves. Blocking: called through run_in_pool.
#pragma once

#include <string>

#include <sys/types.h>

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/error.hpp"
#include "keyferry/base/time.hpp"

namespace keyferry {

// Runs `command` by sh and waits for it; `limit` 0: for as long as it takes. Beyond the limit it is
// killed with all that it started. An error (refused_by_peer) unless it ends with 0.
Error run_shell(const std::string& command, Millis limit);

// From pause() on a guard process waits for our end: should we be killed, it runs `undo`, so that
// nothing stays paused because of us.
class PauseHook {
 public:
  PauseHook(std::string pause, std::string undo)
      : pause_(std::move(pause)), undo_(std::move(undo)) {}
  ~PauseHook();
  PauseHook(const PauseHook&) = delete;
  PauseHook& operator=(const PauseHook&) = delete;

  bool is_given() const { return !pause_.empty(); }
  bool is_in_force() const { return is_in_force_; }

  // Runs the command, which finds `limit` in KEYFERRY_PAUSE_TIMEOUT_MS. In force even when that
  // fails: who knows how far it came.
  Error pause(Millis limit);
  // From here on our end undoes nothing: the source is about to be fenced.
  void release_guard();
  Error undo();
  // The source is fenced: nothing will be undone any more.
  void settle() { is_in_force_ = false; }

 private:
  Error start_guard();
  Error end_guard(bool keeps);

  std::string pause_;
  std::string undo_;
  pid_t guard_ = -1;
  int guard_input_ = -1;
  bool is_in_force_ = false;
};

}  // namespace keyferry
