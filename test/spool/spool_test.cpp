#include "keyferry/spool/spool.hpp"

#include <filesystem>
#include <random>

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include "support/process.hpp"
#include "support/run_coro.hpp"

namespace keyferry {
namespace {

using test::run_coro;
using test::TempDir;

constexpr std::int64_t mebibyte = 1024 * 1024;

// Byte `at` of the endless sequence that the tests write.
char byte_at(std::uint64_t at) {
  return static_cast<char>((at ^ (at >> 8) ^ (at >> 20)) & 0xff);
}

Bytes sequence(std::uint64_t from, std::size_t size) {
  Bytes out(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    out[i] = byte_at(from + i);
  return out;
}

// Reads everything that is there in pieces of up to `step`; `from` is where the sequence stands.
Task<Error> read_all(Spool& spool, std::size_t step, std::uint64_t& from) {
  std::string buffer(step, '\0');
  while (spool.unread_bytes() > 0) {
    auto n = co_await spool.read(buffer.data(), buffer.size());
    if (!n) co_return n.error();
    EXPECT_GT(*n, 0u);
    EXPECT_TRUE(ByteView(buffer).substr(0, *n) == sequence(from, *n)) << "at " << from;
    from += *n;
  }
  co_return Error();
}

Task<Error> write_three_segments(Spool& spool) {
  std::uint64_t written = 0;
  Error error;
  for (int i = 0; i < 13 && !error; ++i) {
    const Bytes bytes = sequence(written, 11 * mebibyte + 17);
    error = co_await spool.append(bytes);
    written += bytes.size();
  }
  EXPECT_EQ(spool.written_bytes(), written);
  std::uint64_t read = 0;
  if (!error) error = co_await read_all(spool, mebibyte + 3, read);
  EXPECT_EQ(read, written);
  co_return error;
}

TEST(Spool, KeepsTheOrderOverSegments) {
  const TempDir dir;
  Spool spool(dir.file("spool"), 1024 * mebibyte);

  const Error error = run_coro(write_three_segments(spool), std::chrono::seconds(60));

  EXPECT_FALSE(error) << error.what;
  EXPECT_GT(spool.written_bytes(), 2u * Spool::segment_bytes);
}

Task<Error> account(Spool& spool) {
  EXPECT_EQ(spool.room_bytes(), 1000);
  std::string buffer(1000, '\0');
  const Bytes bytes = sequence(0, 400);
  Error error = co_await spool.append(bytes);
  if (error) co_return error;
  EXPECT_EQ(spool.unread_bytes(), 400);
  EXPECT_EQ(spool.room_bytes(), 600);

  auto n = co_await spool.read(buffer.data(), 150);
  if (!n) co_return n.error();
  EXPECT_EQ(*n, 150u);
  EXPECT_EQ(spool.unread_bytes(), 250);
  EXPECT_EQ(spool.room_bytes(), 750);
  n = co_await spool.read(buffer.data(), buffer.size());
  if (!n) co_return n.error();
  EXPECT_EQ(*n, 250u) << "no more than is there";
  EXPECT_EQ(spool.room_bytes(), spool.max_bytes());
  EXPECT_EQ(spool.written_bytes(), 400u);
  co_return Error();
}

TEST(Spool, AccountsForRoomAndUnreadBytes) {
  const TempDir dir;
  Spool spool(dir.file("spool"), 1000);

  const Error error = run_coro(account(spool));

  EXPECT_FALSE(error) << error.what;
}

Task<Error> clear_and_go_on(Spool& spool) {
  const Bytes old = "what nobody wants any more";
  Error error = co_await spool.append(old);
  if (!error) error = co_await spool.clear();
  EXPECT_EQ(spool.unread_bytes(), 0);
  const Bytes fresh = sequence(0, 1000);
  if (!error) error = co_await spool.append(fresh);
  std::uint64_t read = 0;
  if (!error) error = co_await read_all(spool, 100, read);
  EXPECT_EQ(read, 1000u);
  co_return error;
}

TEST(Spool, ForgetsEverythingAtClear) {
  const TempDir dir;
  Spool spool(dir.file("spool"), mebibyte);

  const Error error = run_coro(clear_and_go_on(spool));

  EXPECT_FALSE(error) << error.what;
}

Task<Error> append_text(Spool& spool, Bytes text) {
  co_return co_await spool.append(text);
}

TEST(Spool, NamesADirectoryThatCannotBeMade) {
  const TempDir dir;
  test::write_file(dir.file("file"), "");
  Spool spool(dir.file("file") + "/spool", mebibyte);

  const Error error = run_coro(append_text(spool, "x"));

  EXPECT_TRUE(error.is(Errc::disk));
  EXPECT_NE(error.what.find(dir.file("file") + "/spool"), std::string::npos) << error.what;
  EXPECT_EQ(spool.unread_bytes(), 0);
}

TEST(Spool, MakesItsDirectoryWithTheFirstByteAndLeavesNothingInIt) {
  const TempDir dir;
  {
    Spool spool(dir.file("spool"), mebibyte);
    EXPECT_FALSE(std::filesystem::exists(dir.file("spool")));

    const Error error = run_coro(append_text(spool, "x"));

    ASSERT_FALSE(error) << error.what;
    EXPECT_TRUE(std::filesystem::is_empty(dir.file("spool"))) << "not even while it is in use";
    const auto others = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
    EXPECT_EQ(std::filesystem::status(dir.file("spool")).permissions() & others,
              std::filesystem::perms::none);
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.file("spool")));
}

struct Both {
  std::mt19937 random;
  Signal progress;
  std::uint64_t written = 0;
  std::uint64_t read = 0;
  std::uint64_t whole = 0;
};

Task<Error> append_pieces(Spool& spool, Both& both) {
  while (both.written < both.whole) {
    const auto most = static_cast<std::uint64_t>(spool.room_bytes());
    const std::uint64_t size =
        std::min({1 + both.random() % 30000u, most, both.whole - both.written});
    if (size == 0) {
      co_await both.progress.wait();
      continue;
    }
    const Bytes bytes = sequence(both.written, size);
    both.written += size;
    Error error = co_await spool.append(bytes);
    if (error) co_return error;
    EXPECT_LE(spool.unread_bytes(), spool.max_bytes());
    both.progress.notify();
  }
  co_return Error();
}

Task<Error> read_pieces(Spool& spool, Both& both) {
  std::string buffer(50000, '\0');
  while (both.read < both.whole) {
    if (spool.unread_bytes() == 0) {
      co_await both.progress.wait();
      continue;
    }
    auto n = co_await spool.read(buffer.data(), 1 + both.random() % buffer.size());
    if (!n) co_return n.error();
    EXPECT_TRUE(ByteView(buffer).substr(0, *n) == sequence(both.read, *n)) << "at " << both.read;
    both.read += *n;
    both.progress.notify();
  }
  co_return Error();
}

Task<Error> append_and_read(Spool& spool, unsigned seed) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  Both both{std::mt19937(seed), Signal(executor)};
  both.whole = 2 * mebibyte;
  Scope scope(executor);
  scope.spawn(append_pieces(spool, both));
  scope.spawn(read_pieces(spool, both));
  co_return co_await scope.join();
}

TEST(Spool, GivesTheSequenceToAReaderThatFollowsTheWriter) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const TempDir dir;
    Spool spool(dir.file("spool"), 100000);

    const Error error = run_coro(append_and_read(spool, seed), std::chrono::seconds(20));

    EXPECT_FALSE(error) << error.what;
    EXPECT_EQ(spool.unread_bytes(), 0);
  }
}

}  // namespace
}  // namespace keyferry
