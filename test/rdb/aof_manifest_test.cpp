#include "keyferry/rdb/aof_manifest.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

std::string problem(ByteView text) {
  const Result<AofManifest> manifest = parse_aof_manifest(text);
  return manifest ? "" : manifest.error().what;
}

TEST(AofManifest, GivesTheFilesInTheOrderOfLoading) {
  // As Redis 7.0.15 writes it.
  const auto manifest = parse_aof_manifest(
      "file appendonly.aof.2.base.rdb seq 2 type b\n"
      "file appendonly.aof.1.incr.aof seq 1 type h\n"
      "file appendonly.aof.2.incr.aof seq 2 type i\n"
      "file appendonly.aof.3.incr.aof seq 3 type i\n");

  ASSERT_TRUE(manifest.has_value()) << manifest.error().what;
  EXPECT_EQ(manifest->files(),
            (std::vector<std::string>{"appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof",
                                      "appendonly.aof.3.incr.aof"}));
}

TEST(AofManifest, PassesOverCommentsAndWordsItDoesNotKnow) {
  const auto manifest = parse_aof_manifest(
      "# written by hand\n"
      "file a.incr.aof seq 1 type i startoffset 77\r\n");

  ASSERT_TRUE(manifest.has_value()) << manifest.error().what;
  EXPECT_EQ(manifest->files(), std::vector<std::string>{"a.incr.aof"});
}

TEST(AofManifest, ReadsQuotedNames) {
  const auto manifest = parse_aof_manifest(
      "file \"a b\\x22\\n.aof\" seq 1 type i\n"
      "file 'c\\'d' seq 2 type i\n");

  ASSERT_TRUE(manifest.has_value()) << manifest.error().what;
  EXPECT_EQ(manifest->files(), (std::vector<std::string>{"a b\"\n.aof", "c'd"}));
}

TEST(AofManifest, RefusesWhatAServerRefuses) {
  const std::string line = "file a seq 1 type i\n";
  EXPECT_EQ(problem(""), "it names no file");
  EXPECT_EQ(problem("file a seq 1 type h\n"), "it names no file");
  EXPECT_EQ(problem("\n"), "line 1: the line is empty");
  EXPECT_EQ(problem("file a seq 1 type i"), "line 1: the last line is cut off");
  EXPECT_EQ(problem(line + "file b seq 2 ty"), "line 2: the last line is cut off");
  EXPECT_EQ(problem(line + "file b seq 2\n"), "line 2: file, seq or type is missing");
  EXPECT_EQ(problem(line + "file b seq\n"), "line 2: a line is not made of names and values");
  EXPECT_EQ(problem(line + "file b seq x type i\n"), "line 2: a sequence number is no number");
  EXPECT_EQ(problem(line + "file b seq 2 type x\n"),
            "line 2: the type of a file is none of b, i and h");
  EXPECT_EQ(problem(line + "file b seq 1 type i\n"), "line 2: the sequence numbers do not grow");
  EXPECT_EQ(problem("file a seq 1 type b\nfile b seq 2 type b\n"),
            "line 2: there is a second base file");
  EXPECT_EQ(problem("file ../a seq 1 type b\n"), "line 1: a file's name is a path");
  EXPECT_EQ(problem("file \"a seq 1 type b\n"), "line 1: a quoted name does not end");
  EXPECT_EQ(problem("file " + std::string(2000, 'a') + " seq 1 type b\n"),
            "line 1: the line is too long");
}

TEST(AofManifest, IsReadBackAsItWasWritten) {
  const std::string text = aof_manifest_text(
      {{"a b\"\\.base.rdb", 7, 'b'}, {"x.incr.aof", 1, 'i'}, {"y.incr.aof", 2, 'i'}});
  const auto manifest = parse_aof_manifest(text);

  ASSERT_TRUE(manifest.has_value()) << text << manifest.error().what;
  EXPECT_EQ(manifest->files(),
            (std::vector<std::string>{"a b\"\\.base.rdb", "x.incr.aof", "y.incr.aof"}));
}

}  // namespace
}  // namespace keyferry
