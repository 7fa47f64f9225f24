#include "keyferry/net/task.hpp"

#include <thread>

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include "support/run_coro.hpp"

namespace keyferry {
namespace {

using test::run_coro;

Task<Error> sleep_then(Millis duration, Errc code, bool* ended = nullptr) {
  co_await sleep_for(duration);
  if (ended != nullptr) *ended = true;
  co_return code == Errc::ok ? Error() : Error(code, "after the sleep");
}

TEST(WithDeadline, GivesTheResultOfWhatEndsInTime) {
  const Error fine = run_coro(with_deadline(Millis(1000), sleep_then(Millis(1), Errc::ok)));
  const Error bad = run_coro(with_deadline(Millis(1000), sleep_then(Millis(1), Errc::corrupt)));

  EXPECT_FALSE(fine);
  EXPECT_TRUE(bad.is(Errc::corrupt));
}

TEST(WithDeadline, CancelsWhatTakesTooLong) {
  const TimePoint begin = Clock::now();

  const Error error = run_coro(with_deadline(Millis(20), sleep_then(Millis(60000), Errc::ok)));

  EXPECT_TRUE(error.is(Errc::unreachable));
  EXPECT_EQ(error.what, "timed out after 20 ms");
  EXPECT_GE(elapsed_ms(begin, Clock::now()), 19);
}

Task<Error> with_nested_deadlines() {
  Error inner = co_await with_deadline(Millis(10), sleep_then(Millis(60000), Errc::ok));
  EXPECT_TRUE(inner.is(Errc::unreachable));
  co_return co_await sleep_then(Millis(10), Errc::ok);
}

TEST(WithDeadline, LeavesTheCallerAbleToGoOn) {
  EXPECT_FALSE(run_coro(with_deadline(Millis(1000), with_nested_deadlines())));
}

struct Seen {
  std::vector<Error> errors;
  std::size_t running_at_error = 0;
};

Task<Error> run_scope(Seen& seen) {
  Scope scope(co_await asio::this_coro::executor);
  scope.on_error([&seen, &scope](const Error& error) {
    seen.errors.push_back(error);
    seen.running_at_error = scope.running();
  });
  bool last_ended = false;
  scope.spawn(sleep_then(Millis(5), Errc::ok));
  scope.spawn(sleep_then(Millis(10), Errc::corrupt));
  scope.spawn(sleep_then(Millis(15), Errc::disk));
  scope.spawn(sleep_then(Millis(25), Errc::ok, &last_ended));
  EXPECT_EQ(scope.running(), 4u);
  Error error = co_await scope.join();
  EXPECT_EQ(scope.running(), 0u);
  EXPECT_TRUE(last_ended) << "join waits for all";
  co_return error;
}

TEST(Scope, ReportsTheFirstErrorOnceAndWaitsForAll) {
  Seen seen;

  const Error error = run_coro(run_scope(seen));

  EXPECT_TRUE(error.is(Errc::corrupt));
  ASSERT_EQ(seen.errors.size(), 1u);
  EXPECT_TRUE(seen.errors[0].is(Errc::corrupt));
  EXPECT_EQ(seen.running_at_error, 2u);
}

Task<Error> join_nothing() {
  Scope scope(co_await asio::this_coro::executor);
  co_return co_await scope.join();
}

TEST(Scope, JoinsAtOnceWhenNothingRuns) {
  EXPECT_FALSE(run_coro(join_nothing(), Millis(100)));
}

Task<Error> spawn_from_child(Scope& scope, int depth, int& ended) {
  co_await sleep_for(Millis(1));
  if (depth > 0) scope.spawn(spawn_from_child(scope, depth - 1, ended));
  ++ended;
  co_return Error();
}

Task<Error> run_growing_scope(int& ended) {
  Scope scope(co_await asio::this_coro::executor);
  scope.spawn(spawn_from_child(scope, 5, ended));
  co_return co_await scope.join();
}

TEST(Scope, WaitsForChildrenThatChildrenStart) {
  int ended = 0;

  EXPECT_FALSE(run_coro(run_growing_scope(ended)));

  EXPECT_EQ(ended, 6);
}

// A producer and a consumer that hand over one number at a time; a lost wake-up hangs them.
struct HandOver {
  explicit HandOver(const asio::any_io_executor& executor) : filled(executor), taken(executor) {}
  Signal filled;
  Signal taken;
  bool is_full = false;
  int value = 0;
};

Task<Error> produce(HandOver& over, int count) {
  for (int i = 1; i <= count; ++i) {
    while (over.is_full)
      co_await over.taken.wait();
    over.value = i;
    over.is_full = true;
    over.filled.notify();
    if (i % 3 == 0) co_await asio::post(asio::use_awaitable);
  }
  co_return Error();
}

Task<Error> consume(HandOver& over, int count, std::int64_t& sum) {
  for (int i = 0; i < count; ++i) {
    while (!over.is_full) {
      if (i % 2 == 0) {
        co_await over.filled.wait();
      } else {
        co_await over.filled.wait_for(Millis(60000));
      }
    }
    sum += over.value;
    over.is_full = false;
    over.taken.notify();
    if (i % 5 == 0) co_await asio::post(asio::use_awaitable);
  }
  co_return Error();
}

Task<Error> hand_over(int count, std::int64_t& sum) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  HandOver over(executor);
  Scope scope(executor);
  scope.spawn(produce(over, count));
  scope.spawn(consume(over, count, sum));
  co_return co_await scope.join();
}

TEST(Signal, LosesNoWakeUpInAConditionLoop) {
  std::int64_t sum = 0;

  EXPECT_FALSE(run_coro(hand_over(10000, sum)));

  EXPECT_EQ(sum, 50005000);
}

Task<Error> wait_in_loop(Signal& signal, const bool& condition, int& rounds) {
  while (!condition) {
    ++rounds;
    co_await signal.wait_for(Millis(20));
  }
  co_return Error();
}

Task<Error> two_wait_with_limits(int& first_rounds, int& second_rounds) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  Signal signal(executor);
  bool condition = false;
  Scope scope(executor);
  scope.spawn(wait_in_loop(signal, condition, first_rounds));
  scope.spawn(wait_in_loop(signal, condition, second_rounds));
  co_await sleep_for(Millis(100));
  condition = true;
  signal.notify();
  co_return co_await scope.join();
}

TEST(Signal, LetsTwoWaitWithLimitsInPeace) {
  int first = 0;
  int second = 0;

  EXPECT_FALSE(run_coro(two_wait_with_limits(first, second)));

  EXPECT_LE(first, 30);
  EXPECT_LE(second, 30);
}

Task<Error> wait_without_notice(std::int64_t& waited_ms, std::int64_t& longer_ms) {
  Signal signal(co_await asio::this_coro::executor);
  const TimePoint begin = Clock::now();
  co_await signal.wait_for(Millis(20));
  waited_ms = elapsed_ms(begin, Clock::now());
  const TimePoint again = Clock::now();
  co_await signal.wait_for(Millis(30));
  longer_ms = elapsed_ms(again, Clock::now());
  co_return Error();
}

TEST(Signal, WaitsNoLongerThanItsLimit) {
  std::int64_t waited_ms = 0;
  std::int64_t longer_ms = 0;

  EXPECT_FALSE(run_coro(wait_without_notice(waited_ms, longer_ms), Millis(2000)));

  EXPECT_GE(waited_ms, 19);
  EXPECT_GE(longer_ms, 29);
}

Task<Error> hop_to_pool(std::thread::id& inside, std::thread::id& after, Errc code) {
  std::function<Error()> work = [&inside, code] {
    inside = std::this_thread::get_id();
    return code == Errc::ok ? Error() : Error(code, "no");
  };
  Error error = co_await run_in_pool(std::move(work));
  after = std::this_thread::get_id();
  co_return error;
}

TEST(RunInPool, WorksOnAnotherThreadAndComesBack) {
  std::thread::id inside;
  std::thread::id after;

  const Error fine = run_coro(hop_to_pool(inside, after, Errc::ok));
  const Error bad = run_coro(hop_to_pool(inside, after, Errc::disk));

  EXPECT_FALSE(fine);
  EXPECT_TRUE(bad.is(Errc::disk));
  EXPECT_NE(inside, std::this_thread::get_id());
  EXPECT_EQ(after, std::this_thread::get_id());
}

Task<Error> note_in_pool(std::string& order, char letter) {
  std::function<Error()> work = [&order, letter] {
    order += letter;
    return Error();
  };
  co_return co_await run_in_pool(std::move(work));
}

Task<Error> note_in_order(std::string& order) {
  Scope scope(co_await asio::this_coro::executor);
  for (char letter = 'a'; letter <= 'z'; ++letter)
    scope.spawn(note_in_pool(order, letter));
  co_return co_await scope.join();
}

TEST(RunInPool, KeepsTheOrder) {
  std::string order;

  EXPECT_FALSE(run_coro(note_in_order(order)));

  EXPECT_EQ(order, "abcdefghijklmnopqrstuvwxyz");
}

}  // namespace
}  // namespace keyferry
