// Runs one coroutine of the product in a test: a fresh io_context, a time limit, and no work left
// behind.
#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "keyferry/net/task.hpp"

namespace keyferry::test {

// The coroutine's result. Objects that need the executor are made inside it
// (asio::this_coro::executor). What it throws is thrown here; when it takes longer than `limit` the
// test fails and std::runtime_error is thrown.
template <class T>
T run_coro(Task<T> task, std::chrono::milliseconds limit = std::chrono::seconds(5)) {
  asio::io_context context(1);
  std::optional<T> result;
  std::exception_ptr thrown;
  const auto on_end = [&result, &thrown](std::exception_ptr failure, T value) {
    thrown = failure;
    if (!failure) result.emplace(std::move(value));
  };
  asio::co_spawn(context, std::move(task), on_end);
  context.run_for(limit);
  if (thrown) std::rethrow_exception(thrown);
  if (!result) {
    ADD_FAILURE() << "the coroutine has not ended after " << limit.count() << " ms";
    throw std::runtime_error("timed out");
  }
  EXPECT_TRUE(context.stopped()) << "the coroutine has ended and left work running";
  return std::move(*result);
}

inline void run_coro(Task<void> task, std::chrono::milliseconds limit = std::chrono::seconds(5)) {
  asio::io_context context(1);
  bool ended = false;
  std::exception_ptr thrown;
  const auto on_end = [&ended, &thrown](std::exception_ptr failure) {
    ended = true;
    thrown = failure;
  };
  asio::co_spawn(context, std::move(task), on_end);
  context.run_for(limit);
  if (thrown) std::rethrow_exception(thrown);
  if (!ended) {
    ADD_FAILURE() << "the coroutine has not ended after " << limit.count() << " ms";
    throw std::runtime_error("timed out");
  }
  EXPECT_TRUE(context.stopped()) << "the coroutine has ended and left work running";
}

}  // namespace keyferry::test
