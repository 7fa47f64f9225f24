#include "keyferry/net/task.hpp"

#include <exception>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/core.h>

namespace keyferry {

Task<void> Signal::wait() {
  co_await wait_for(Millis::max());
}

Task<void> Signal::wait_for(Millis limit) {
  asio::steady_timer timer(executor_, TimePoint::max());
  if (limit != Millis::max()) timer.expires_after(limit);
  waiting_.push_back(&timer);
  co_await timer.async_wait(use_tuple);
  std::erase(waiting_, &timer);
}

void Signal::notify() {
  for (asio::steady_timer* timer : waiting_)
    timer->cancel();
}

Task<void> sleep_for(Millis duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  co_await timer.async_wait(use_tuple);
}

Task<Error> with_deadline(Millis limit, Task<Error> task) {
  using asio::experimental::awaitable_operators::operator||;
  const auto winner = co_await (std::move(task) || sleep_for(limit));
  if (const Error* error = std::get_if<0>(&winner)) co_return *error;
  co_return Error(Errc::unreachable, fmt::format("timed out after {} ms", limit.count()));
}

Task<Error> run_in_pool(std::function<Error()> work) {
  // One thread is enough: it writes one spool and one dead-letter file.
  static asio::thread_pool pool(1);
  const auto home = co_await asio::this_coro::executor;
  // Bound to the pool: post(pool, use_awaitable) would pass through the pool and resume at home.
  co_await asio::post(asio::bind_executor(pool, asio::use_awaitable));
  Error error = work();
  co_await asio::post(home, asio::use_awaitable);
  co_return error;
}

Error run_alone(Task<Error> task) {
  asio::io_context loop(1);
  Error result;
  std::exception_ptr thrown;
  asio::co_spawn(loop, std::move(task), [&](std::exception_ptr failure, Error error) {
    thrown = failure;
    result = std::move(error);
  });
  loop.run();
  if (thrown) std::rethrow_exception(thrown);
  return result;
}

struct Scope::State {
  explicit State(const asio::any_io_executor& ex) : executor(ex), ended(ex) {}
  asio::any_io_executor executor;
  Signal ended;
  std::size_t running = 0;
  Error first;
  std::function<void(const Error&)> on_error;
};

Scope::Scope(const asio::any_io_executor& executor) : state_(std::make_shared<State>(executor)) {}
Scope::~Scope() = default;

void Scope::spawn(Task<Error> task) {
  ++state_->running;
  // The handler keeps the state alive; nothing is detached: join() waits for `running` to reach 0.
  auto done = [state = state_](std::exception_ptr failure, Error error) {
    --state->running;
    if (failure) std::rethrow_exception(failure);  // a bug: let the loop's owner see it
    if (error && !state->first) {
      state->first = error;
      if (state->on_error) state->on_error(error);
    }
    state->ended.notify();
  };
  asio::co_spawn(state_->executor, std::move(task), std::move(done));
}

Task<Error> Scope::join() {
  const auto state = state_;
  while (state->running > 0)
    co_await state->ended.wait();
  co_return state->first;
}

void Scope::on_error(std::function<void(const Error&)> callback) {
  state_->on_error = std::move(callback);
}

std::size_t Scope::running() const {
  return state_->running;
}

}  // namespace keyferry
