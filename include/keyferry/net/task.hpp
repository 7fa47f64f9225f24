// The coroutine vocabulary of layers 4 and up: Task, Signal, sleep, deadline, Scope, pool. Every
// coroutine has a parent that waits for it; co_spawn appears only in main.cpp, task.cpp and
// admin/http.cpp. Statements with co_await hold no braced temporaries and no capturing lambda (g++
// 12 destroys them twice; checked by test/lint/house_rules.py).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "keyferry/base/error.hpp"
#include "keyferry/base/time.hpp"

namespace keyferry {

namespace asio = boost::asio;

template <class T>
using Task = asio::awaitable<T>;

// Completion token: results come back as a tuple [error_code, ...], nothing is thrown.
inline constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);

// Wakes coroutines of one executor, any number at once. An edge, not a state: wait in a loop around
// the condition itself, with no co_await between the check and wait(). Pipeline thread only.
class Signal {
 public:
  explicit Signal(const asio::any_io_executor& executor) : executor_(executor) {}
  Task<void> wait();
  // Returns at notify() or after `limit`, whichever comes first.
  Task<void> wait_for(Millis limit);
  void notify();

 private:
  asio::any_io_executor executor_;
  std::vector<asio::steady_timer*> waiting_;
};

Task<void> sleep_for(Millis duration);

// Runs `task`; when it takes longer than `limit` it is cancelled and the result is
// Errc::unreachable "timed out". Whatever socket it used must then be closed, not used again.
Task<Error> with_deadline(Millis limit, Task<Error> task);

// Runs blocking work (files, fsync) on a one-thread pool, in the order of the calls, and comes back
// to the caller's executor. Never inside with_deadline: cancelling reaches into the coroutine while
// the pool runs it.
Task<Error> run_in_pool(std::function<Error()> work);

// Runs one task on a loop of its own and waits for it: for commands that do one thing and end.
Error run_alone(Task<Error> task);

// A group of coroutines that live and end together. Objects they use must outlive join().
class Scope {
 public:
  explicit Scope(const asio::any_io_executor& executor);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  // Starts `task` now. When it ends with an error, on_error is called with the first such error
  // (once).
  void spawn(Task<Error> task);
  // Waits until all have ended; the first error, if any.
  Task<Error> join();
  void on_error(std::function<void(const Error&)> callback);
  std::size_t running() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace keyferry
