#include "support/process.hpp"

#include <gtest/gtest.h>
#include <signal.h>

namespace keyferry::test {
namespace {

TEST(Process, ReportsExitCodeAndOutput) {
  TempDir folder;
  Process process({{"/bin/sh", "-c", "echo $WORD; echo err >&2; exit 3"},
                   {{"WORD", "hello"}},
                   folder.file("out"),
                   ""});

  EXPECT_EQ(process.wait(Millis{5000}), 3);
  EXPECT_EQ(read_file(folder.file("out")), "hello\nerr\n");
  EXPECT_FALSE(process.is_running());
}

TEST(Process, ReportsTheSignalThatEndedIt) {
  Process process({{"/bin/sleep", "60"}, {}, "", ""});

  EXPECT_EQ(process.wait(Millis{20}), std::nullopt);
  process.send_signal(SIGTERM);

  EXPECT_EQ(process.wait(Millis{5000}), 128 + SIGTERM);
}

TEST(Process, MeasuresCpuAndMemory) {
  Process process({{"/bin/sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 60"},
                   {},
                   "",
                   ""});

  EXPECT_TRUE(wait_for(Millis{20000}, [&] {
    return process.usage().cpu_s > 0.05 && process.usage().peak_rss_kib > 100;
  }));
  process.kill9();
  EXPECT_GT(process.usage().cpu_s, 0.05);
}

TEST(TempDir, IsRemovedWithItsContent) {
  std::string path;
  {
    TempDir folder;
    path = folder.path();
    write_file(folder.file("a"), "1\n2\n3\n");
    EXPECT_EQ(tail_of(folder.file("a"), 2), "2\n3\n");
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace keyferry::test
