// The kept stream as the Intake uses it.
#include "keyferry/source/kept_stream.hpp"

#include <csignal>
#include <random>

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "keyferry/source/intake.hpp"
#include "support/process.hpp"
#include "support/run_coro.hpp"

namespace keyferry {
namespace {

using test::run_coro;
using test::TempDir;

constexpr std::int64_t mebibyte = 1024 * 1024;
const std::string name_a(40, 'a');
const std::string name_b(40, 'b');

SourcePressure relaxed() {
  return {0, 1000, 0};
}

char byte_at(Offset at) {
  const auto bits = static_cast<std::uint64_t>(at);
  return static_cast<char>((bits ^ (bits >> 8) ^ (bits >> 20)) & 0xff);
}

// The bytes behind `from` of the stream that the tests push.
Bytes stream(Offset from, Offset end) {
  Bytes out;
  for (; from < end; ++from)
    out += byte_at(from);
  return out;
}

std::shared_ptr<StreamLog> open_log(const std::string& dir) {
  auto log = StreamLog::open(dir, KeptStream::segment_bytes_for(10 * mebibyte));
  if (!log) throw std::runtime_error(log.error().what);
  return *log;
}

struct Bench {
  Bench(const asio::any_io_executor& ex, const std::string& dir, std::int64_t max_bytes = 1 << 30)
      : kept(ex, open_log(dir), max_bytes, 0), intake(ex, budget, nullptr, 1000), scope(ex) {
    intake.keep_streams(kept);
    if (!kept.is_on()) kept.continue_as(name_a);
    scope.spawn(kept.run());
  }
  Task<Error> end() {
    intake.close();
    kept.close();
    co_return co_await scope.join();
  }
  // The next `size` bytes of the stream.
  Task<Error> push(std::size_t size) {
    Intake::Chunk chunk;
    chunk.slab = make_slab(budget, std::max<std::size_t>(size, 16));
    chunk.bytes = chunk.slab->append(stream(pushed, pushed + static_cast<Offset>(size)));
    chunk.at = pushed;
    pushed += static_cast<Offset>(size);
    co_return co_await intake.push(std::move(chunk), relaxed);
  }
  // Takes what is there up to `end` of the stream, and compares.
  Task<Error> pop_to(Offset end) {
    while (popped < end) {
      auto item = co_await intake.pop();
      if (!item) co_return item.error();
      if (const auto* start = std::get_if<Intake::FullSync>(&*item)) {
        popped = start->position.offset;
        started_as = start->position.replid;
        continue;
      }
      const ByteView bytes = std::get<Intake::Chunk>(*item).bytes;
      const Offset behind = popped + static_cast<Offset>(bytes.size());
      EXPECT_TRUE(bytes == stream(popped, behind)) << "at " << popped;
      popped = behind;
    }
    co_return Error();
  }
  Task<Error> written() {
    while (kept.written() < kept.received())
      co_await sleep_for(Millis(1));
    co_return Error();
  }

  SlabBudget budget;
  KeptStream kept;
  Intake intake;
  Scope scope;
  Offset pushed = 5000;
  Offset popped = 5000;
  std::string started_as;
};

ReplicationPosition position(const std::string& replid, Offset offset) {
  ReplicationPosition out;
  out.replid = replid;
  out.offset = offset;
  return out;
}

Task<Error> push_ahead_of_a_slow_decoder(const std::string& dir, unsigned seed) {
  Bench bench(co_await asio::this_coro::executor, dir);
  std::mt19937 random(seed);
  Error error;
  for (int i = 0; i < 300 && !error; ++i) {
    error = co_await bench.push(1 + random() % 400);
    if (!error && random() % 3 == 0)
      error = co_await bench.pop_to(bench.popped + (bench.pushed - bench.popped) / 2);
    EXPECT_LE(bench.intake.memory_bytes(), 1000 + 400);
    EXPECT_GE(bench.intake.pending_bytes(), bench.pushed - bench.popped);
    if (random() % 10 == 0) co_await sleep_for(Millis(1));
  }
  if (!error) error = co_await bench.pop_to(bench.pushed);
  EXPECT_TRUE(bench.intake.is_idle());
  if (!error) error = co_await bench.written();
  EXPECT_EQ(bench.kept.received(), bench.pushed);
  Error ended = co_await bench.end();
  co_return error ? error : ended;
}

TEST(KeptStream, GivesWhatMemoryHasNoRoomForInOrder) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const TempDir dir;

    const Error error =
        run_coro(push_ahead_of_a_slow_decoder(dir.file("k"), seed), std::chrono::seconds(20));

    EXPECT_FALSE(error) << error.what;
  }
}

Task<Error> leave(const std::string& dir) {
  Bench bench(co_await asio::this_coro::executor, dir);
  Error error = co_await bench.push(700);
  bench.kept.continue_as(name_b);
  if (!error) error = co_await bench.push(300);
  if (!error) error = co_await bench.written();
  Error ended = co_await bench.end();
  co_return error ? error : ended;
}

Task<Error> go_on(const std::string& dir) {
  Bench bench(co_await asio::this_coro::executor, dir);
  EXPECT_EQ(bench.kept.received(), 6000);
  EXPECT_EQ(bench.kept.history(), name_b);
  EXPECT_FALSE(bench.intake.rewind(position(name_a, 4999)));
  EXPECT_FALSE(bench.intake.rewind(position(name_b, 6001)));
  EXPECT_FALSE(bench.intake.rewind(position(std::string(40, 'c'), 5500)));
  EXPECT_TRUE(bench.intake.rewind(position(name_a, 5500)));
  bench.pushed = 6000;
  Error error = co_await bench.push(200);
  bench.popped = 0;
  if (!error) error = co_await bench.pop_to(6200);
  EXPECT_EQ(bench.started_as, name_b);
  // And again, in the same process.
  EXPECT_TRUE(bench.intake.rewind(position(name_b, 5100)));
  if (!error) error = co_await bench.push(200);
  bench.popped = 0;
  if (!error) error = co_await bench.pop_to(6400);
  Error ended = co_await bench.end();
  co_return error ? error : ended;
}

TEST(KeptStream, GoesOnInTheNextProcessAndBackInThisOne) {
  const TempDir dir;

  Error error = run_coro(leave(dir.file("k")));
  if (!error) error = run_coro(go_on(dir.file("k")));

  EXPECT_FALSE(error) << error.what;
}

Task<Error> restart(Bench& bench) {
  Intake::FullSync sync;
  sync.position = position(name_b, 90000);
  co_await bench.intake.restart(std::move(sync));
  co_return Error();
}

Task<Error> begin_another(const std::string& dir) {
  Bench bench(co_await asio::this_coro::executor, dir);
  Error error = co_await bench.push(900);
  bench.scope.spawn(restart(bench));
  if (!error) error = co_await bench.pop_to(90000);
  EXPECT_FALSE(bench.kept.is_on());
  EXPECT_FALSE(bench.intake.rewind(position(name_a, 5500)));
  // Bytes that come while the old ones are still being removed.
  bench.pushed = 90000;
  for (int i = 0; i < 3 && !error; ++i)
    error = co_await bench.push(500);
  if (!error) error = co_await bench.written();
  EXPECT_TRUE(bench.intake.rewind(position(name_b, 90000)));
  bench.popped = 0;
  if (!error) error = co_await bench.pop_to(91500);
  Error ended = co_await bench.end();
  co_return error ? error : ended;
}

TEST(KeptStream, ForgetsAStreamWhenAnotherBegins) {
  const TempDir dir;

  const Error error = run_coro(begin_another(dir.file("k")));

  EXPECT_FALSE(error) << error.what;
}

Task<Error> meet_damage(const std::string& dir) {
  Bench bench(co_await asio::this_coro::executor, dir);
  Error error;
  for (int i = 0; i < 5 && !error; ++i)
    error = co_await bench.push(2000);
  if (!error) error = co_await bench.written();
  const std::string file = dir + "/" + name_a + ".00000000000000005000.stream";
  Bytes content = test::read_file(file);
  content[6000] = static_cast<char>(content[6000] ^ 1);
  test::write_file(file, content);
  const Error met = co_await bench.pop_to(bench.pushed);
  EXPECT_TRUE(met.is(Errc::corrupt)) << met.what;
  EXPECT_NE(met.what.find("start again"), std::string::npos) << met.what;
  Error ended = co_await bench.end();
  co_return error ? error : ended;
}

TEST(KeptStream, IsRemovedWhenItIsDamaged) {
  const TempDir dir;

  const Error error = run_coro(meet_damage(dir.file("k")));

  EXPECT_FALSE(error) << error.what;
  EXPECT_TRUE(open_log(dir.file("k"))->histories().empty());
}

// As on a full disk: no file may grow while it lives.
class NoRoomOnDisk {
 public:
  NoRoomOnDisk() : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit low{1, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &low);
  }
  ~NoRoomOnDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }
  NoRoomOnDisk(const NoRoomOnDisk&) = delete;
  NoRoomOnDisk& operator=(const NoRoomOnDisk&) = delete;

 private:
  rlimit before_{};
  void (*signal_)(int);
};

Task<Error> do_without(const std::string& dir) {
  Bench bench(co_await asio::this_coro::executor, dir);
  const NoRoomOnDisk full;
  Error error = co_await bench.push(300);
  if (!error) error = co_await bench.pop_to(bench.pushed);
  while (bench.kept.is_on())
    co_await sleep_for(Millis(1));
  if (!error) error = co_await bench.push(300);
  if (!error) error = co_await bench.pop_to(bench.pushed);
  EXPECT_FALSE(bench.kept.is_on()) << "not tried again at once";
  Error ended = co_await bench.end();
  co_return error ? error : ended;
}

TEST(KeptStream, IsDoneWithoutWhenTheDiskFailsAndMemoryHasEverything) {
  const TempDir dir;

  const Error error = run_coro(do_without(dir.file("k")));

  EXPECT_FALSE(error) << error.what;
}

Task<Error> wait_for_the_disk(const std::string& dir) {
  Bench bench(co_await asio::this_coro::executor, dir);
  Error error;
  {
    const NoRoomOnDisk full;
    // More than memory takes: some of it is nowhere but in the queue for the disk.
    for (int i = 0; i < 10 && !error; ++i)
      error = co_await bench.push(400);
    co_await sleep_for(Millis(50));
    EXPECT_TRUE(bench.kept.is_on()) << "somebody has to read it from there";
  }
  if (!error) error = co_await bench.pop_to(bench.pushed);
  Error ended = co_await bench.end();
  co_return error ? error : ended;
}

TEST(KeptStream, WaitsForADiskThatHoldsWhatMemoryDoesNot) {
  const TempDir dir;

  const Error error = run_coro(wait_for_the_disk(dir.file("k")), std::chrono::seconds(10));

  EXPECT_FALSE(error) << error.what;
}

Task<Error> push_until(Bench& bench, Offset end) {
  while (bench.pushed < end) {
    Error error = co_await bench.push(100000);
    if (error) co_return error;
  }
  co_return Error();
}

Task<Error> stay_below(const std::string& dir, std::int64_t max_bytes) {
  Bench bench(co_await asio::this_coro::executor, dir, max_bytes);
  const Offset end = 5000 + 40 * mebibyte;
  bench.scope.spawn(push_until(bench, end));
  while (!bench.kept.is_full())
    co_await sleep_for(Millis(5));
  EXPECT_LT(bench.pushed, end);
  Error error;
  while (bench.popped < end && !error) {
    error = co_await bench.pop_to(bench.popped + 1);
    bench.kept.needed_from(bench.popped);
    EXPECT_LE(bench.kept.disk_bytes(), max_bytes);
  }
  Error ended = co_await bench.end();
  co_return error ? error : ended;
}

TEST(KeptStream, StopsTheReaderWhenItHasAllTheDiskItMayUse) {
  const TempDir dir;

  const Error error = run_coro(stay_below(dir.file("k"), 10 * mebibyte), std::chrono::seconds(30));

  EXPECT_FALSE(error) << error.what;
}

}  // namespace
}  // namespace keyferry
