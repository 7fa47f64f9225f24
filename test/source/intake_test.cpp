#include "keyferry/source/intake.hpp"

#include <random>

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include "support/process.hpp"
#include "support/run_coro.hpp"

namespace keyferry {
namespace {

using test::run_coro;
using test::TempDir;

SourcePressure relaxed() {
  return {0, 1000, 0};
}
SourcePressure pressing() {
  return {1000, 1000, 0};
}

// An intake with everything it needs, and what has come out of it.
struct Bench {
  Bench(const asio::any_io_executor& ex, std::int64_t memory_max_bytes, Spool* spool)
      : executor(ex), intake(ex, budget, spool, memory_max_bytes), scope(ex) {}

  Intake::Chunk chunk(ByteView bytes) {
    Intake::Chunk out;
    out.slab = make_slab(budget, std::max<std::size_t>(bytes.size(), 16));
    out.bytes = out.slab->append(bytes);
    return out;
  }

  asio::any_io_executor executor;
  SlabBudget budget;
  Intake intake;
  Scope scope;
  Bytes popped;
  std::vector<std::string> full_syncs;
  bool is_closed = false;
};

// Takes everything out until the intake is closed.
Task<Error> pop_all(Bench& bench) {
  while (!bench.is_closed) {
    auto item = co_await bench.intake.pop();
    if (!item) co_return item.error();
    if (const auto* chunk = std::get_if<Intake::Chunk>(&*item)) bench.popped += chunk->bytes;
    if (const auto* sync = std::get_if<Intake::FullSync>(&*item)) {
      bench.full_syncs.push_back(sync->position.replid);
      bench.popped += "|";
    }
    bench.is_closed = std::holds_alternative<Intake::Closed>(*item);
  }
  co_return Error();
}

Task<Error> push(Bench& bench, Bytes bytes, SourcePressure (*pressure)()) {
  Intake::Chunk chunk = bench.chunk(bytes);
  co_return co_await bench.intake.push(std::move(chunk), pressure);
}

Task<Error> hand_over_in_memory() {
  Bench bench(co_await asio::this_coro::executor, 1000, nullptr);
  for (const char* text : {"a", "bc", "def"}) {
    Error error = co_await push(bench, text, relaxed);
    if (error) co_return error;
  }
  EXPECT_EQ(bench.intake.memory_bytes(), 6);
  EXPECT_EQ(bench.intake.pending_bytes(), 6);
  EXPECT_FALSE(bench.intake.is_idle());
  bench.scope.spawn(pop_all(bench));
  co_await bench.intake.drained();
  EXPECT_TRUE(bench.intake.is_idle());
  bench.intake.close();
  Error error = co_await bench.scope.join();
  EXPECT_EQ(bench.popped, "abcdef");
  EXPECT_TRUE(bench.is_closed);
  co_return error;
}

TEST(Intake, HandsOverInOrder) {
  const Error error = run_coro(hand_over_in_memory());

  EXPECT_FALSE(error) << error.what;
}

// Random pushes and pops with little memory: part of it goes over the disk.
Task<Error> push_random(Bench& bench, unsigned seed, Bytes& pushed) {
  std::mt19937 random(seed);
  for (int i = 0; i < 400; ++i) {
    Bytes bytes(1 + random() % 300, static_cast<char>('a' + i % 26));
    bytes += std::to_string(i);
    pushed += bytes;
    Error error = co_await push(bench, std::move(bytes), random() % 2 == 0 ? relaxed : pressing);
    if (error) co_return error;
    EXPECT_LE(bench.intake.memory_bytes(), 1000 + 310) << "at most one chunk over the limit";
  }
  co_await bench.intake.drained();
  bench.intake.close();
  co_return Error();
}

Task<Error> hand_over_random(unsigned seed, Spool& spool) {
  Bench bench(co_await asio::this_coro::executor, 1000, &spool);
  Bytes pushed;
  bench.scope.spawn(push_random(bench, seed, pushed));
  std::mt19937 random(seed + 1000);
  // The decoder is slow at times.
  while (!bench.is_closed) {
    if (random() % 8 == 0) co_await sleep_for(Millis(1));
    auto item = co_await bench.intake.pop();
    if (!item) co_return item.error();
    if (const auto* chunk = std::get_if<Intake::Chunk>(&*item)) bench.popped += chunk->bytes;
    bench.is_closed = std::holds_alternative<Intake::Closed>(*item);
  }
  Error error = co_await bench.scope.join();
  EXPECT_TRUE(bench.popped == pushed) << bench.popped.size() << " of " << pushed.size();
  EXPECT_GT(spool.written_bytes(), 0u) << "the disk was never needed";
  co_return error;
}

TEST(Intake, IsFirstInFirstOutOverMemoryAndDisk) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const TempDir dir;
    Spool spool(dir.file("spool"), 1024 * 1024);

    const Error error = run_coro(hand_over_random(seed, spool), std::chrono::seconds(20));

    EXPECT_FALSE(error) << error.what;
  }
}

Task<Error> restart(Bench& bench, const char* replid) {
  Intake::FullSync sync;
  sync.position.replid = replid;
  co_await bench.intake.restart(std::move(sync));
  co_return Error();
}

Task<Error> restart_and_close(Bench& bench) {
  Error error = co_await restart(bench, "new");
  EXPECT_EQ(bench.full_syncs, std::vector<std::string>{"new"}) << "it returns when it is taken";
  if (!error) error = co_await push(bench, "new", pressing);
  co_await bench.intake.drained();
  bench.intake.close();
  co_return error;
}

Task<Error> restart_over_old_bytes(Spool& spool) {
  Bench bench(co_await asio::this_coro::executor, 10, &spool);
  for (const char* text : {"old in memory", "old on disk"}) {
    Error error = co_await push(bench, text, pressing);
    if (error) co_return error;
  }
  EXPECT_GT(spool.unread_bytes(), 0);
  bench.scope.spawn(restart_and_close(bench));
  Error error = co_await pop_all(bench);
  if (!error) error = co_await bench.scope.join();
  EXPECT_EQ(bench.popped, "|new");
  EXPECT_EQ(spool.unread_bytes(), 0);
  co_return error;
}

TEST(Intake, DiscardsEverythingOlderAtARestart) {
  const TempDir dir;
  Spool spool(dir.file("spool"), 1000);

  const Error error = run_coro(restart_over_old_bytes(spool));

  EXPECT_FALSE(error) << error.what;
}

struct Progress {
  int pushed = 0;
};
Task<Error> push_three(Bench& bench, Progress& progress, SourcePressure (*pressure)()) {
  for (; progress.pushed < 3; ++progress.pushed) {
    Error error = co_await push(bench, "0123456789", pressure);
    if (error) co_return error;
  }
  co_return Error();
}

// What has been pushed of three chunks when there is memory for one, and nothing is popped at
// first.
Task<Error> push_into_full(Spool* spool, SourcePressure (*pressure)(), int& pushed_at_once) {
  Bench bench(co_await asio::this_coro::executor, 10, spool);
  Progress progress;
  bench.scope.spawn(push_three(bench, progress, pressure));
  co_await sleep_for(Millis(30));
  pushed_at_once = progress.pushed;
  bench.scope.spawn(pop_all(bench));
  while (progress.pushed < 3)
    co_await sleep_for(Millis(1));
  co_await bench.intake.drained();
  bench.intake.close();
  Error error = co_await bench.scope.join();
  EXPECT_EQ(bench.popped, "012345678901234567890123456789");
  co_return error;
}

TEST(Intake, LetsTheReaderWaitWhenMemoryIsFull) {
  const TempDir dir;
  Spool spool(dir.file("spool"), 1000);
  int without_spool = 0;
  int without_need = 0;

  Error error = run_coro(push_into_full(nullptr, pressing, without_spool));
  if (!error) error = run_coro(push_into_full(&spool, relaxed, without_need));

  EXPECT_FALSE(error) << error.what;
  EXPECT_EQ(without_spool, 1);
  EXPECT_EQ(without_need, 1);
  EXPECT_EQ(spool.written_bytes(), 0u);
}

TEST(Intake, GoesOnToDiskUnderPressureUntilThatIsFullToo) {
  const TempDir dir;
  Spool large(dir.file("large"), 1000);
  Spool small(dir.file("small"), 15);
  int with_large = 0;
  int with_small = 0;

  Error error = run_coro(push_into_full(&large, pressing, with_large));
  if (!error) error = run_coro(push_into_full(&small, pressing, with_small));

  EXPECT_FALSE(error) << error.what;
  EXPECT_EQ(with_large, 3);
  EXPECT_EQ(with_small, 2);
}

Task<Error> fail_on_disk(Spool& spool) {
  Bench bench(co_await asio::this_coro::executor, 1, &spool);
  Error error = co_await push(bench, "fills the memory", pressing);
  if (error) co_return error;
  co_return co_await push(bench, "x", pressing);
}

TEST(Intake, ReportsADiskThatCannotBeWritten) {
  const TempDir dir;
  test::write_file(dir.file("file"), "");
  Spool spool(dir.file("file") + "/spool", 1000);

  const Error error = run_coro(fail_on_disk(spool));

  EXPECT_TRUE(error.is(Errc::disk)) << error.what;
}

Task<Error> close_under_waiting_reader() {
  Bench bench(co_await asio::this_coro::executor, 10, nullptr);
  Progress progress;
  bench.scope.spawn(push_three(bench, progress, relaxed));
  co_await sleep_for(Millis(5));
  bench.intake.close();
  co_return co_await bench.scope.join();
}

Task<Error> close_under_restart() {
  Bench bench(co_await asio::this_coro::executor, 10, nullptr);
  bench.scope.spawn(restart(bench, "new"));
  co_await sleep_for(Millis(5));
  bench.intake.close();
  co_return co_await bench.scope.join();
}

Task<Error> close_under_waiting_decoder() {
  Bench bench(co_await asio::this_coro::executor, 10, nullptr);
  bench.scope.spawn(pop_all(bench));
  co_await sleep_for(Millis(5));
  bench.intake.close();
  Error error = co_await bench.scope.join();
  EXPECT_TRUE(bench.is_closed);
  co_return error;
}

TEST(Intake, WakesBothSidesWhenItIsClosed) {
  EXPECT_TRUE(run_coro(close_under_waiting_reader(), Millis(80)).is(Errc::cancelled));
  EXPECT_FALSE(run_coro(close_under_restart(), Millis(80)));
  EXPECT_FALSE(run_coro(close_under_waiting_decoder(), Millis(80)));
}

}  // namespace
}  // namespace keyferry
