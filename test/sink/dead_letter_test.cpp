#include "keyferry/sink/dead_letter.hpp"

#include <filesystem>

#include <gtest/gtest.h>

#include "keyferry/resp/resp.hpp"
#include "support/process.hpp"
#include "support/run_coro.hpp"

namespace keyferry {
namespace {

using test::run_coro;
using test::TempDir;

Task<Error> append(DeadLetter& letters, std::int32_t db, Bytes wire) {
  co_return co_await letters.append(db, wire);
}

TEST(DeadLetter, WritesWhatRedisCliCanReplay) {
  const TempDir dir;
  DeadLetter letters(dir.file("letters.resp"));
  EXPECT_FALSE(std::filesystem::exists(letters.path())) << "not before there is one";

  ASSERT_FALSE(run_coro(append(letters, 0, make_command({"INCR", "list"}))));
  ASSERT_FALSE(run_coro(append(letters, 12, make_command({"SET", "k", "\r\n"}))));

  EXPECT_EQ(test::read_file(letters.path()),
            "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$4\r\nINCR\r\n$4\r\nlist\r\n"
            "*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\r\n\r\n");
  EXPECT_EQ(letters.count(), 2u);
}

TEST(DeadLetter, GoesOnBehindWhatARunBeforeLeft) {
  const TempDir dir;
  test::write_file(dir.file("letters.resp"), "before\r\n");
  DeadLetter letters(dir.file("letters.resp"));

  ASSERT_FALSE(run_coro(append(letters, 1, "X")));

  EXPECT_EQ(test::read_file(letters.path()), "before\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\nX");
}

TEST(DeadLetter, IsReadByNobodyElse) {
  const TempDir dir;
  DeadLetter letters(dir.file("letters.resp"));

  ASSERT_FALSE(run_coro(append(letters, 1, "X")));

  const auto others = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
  EXPECT_EQ(std::filesystem::status(letters.path()).permissions() & others,
            std::filesystem::perms::none);
}

TEST(DeadLetter, NamesAFileThatCannotBeWritten) {
  const TempDir dir;
  DeadLetter letters(dir.file("missing/letters.resp"));

  const Error error = run_coro(append(letters, 0, "X"));

  EXPECT_TRUE(error.is(Errc::disk));
  EXPECT_EQ(error.what, "dead-letter file " + letters.path() + ": open: No such file or directory");
  EXPECT_EQ(letters.count(), 0u);
}

}  // namespace
}  // namespace keyferry
