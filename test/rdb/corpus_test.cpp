// Every snapshot of a corpus of real servers, and hostile DUMP payloads. The corpus is no part of
// the tree: the variable KEYFERRY_CORPUS names its folder.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include "builder.hpp"
#include "decode.hpp"
#include "keyferry/rdb/restore.hpp"

namespace keyferry::rdb {
namespace {

namespace fs = std::filesystem;
using test::decode;
using test::Reading;

class Corpus : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("KEYFERRY_CORPUS");
    if (folder == nullptr) GTEST_SKIP() << "KEYFERRY_CORPUS is not set: no corpus to read";
    root_ = folder;
    ASSERT_TRUE(fs::is_directory(root_)) << root_;
  }

  std::vector<fs::path> files(const fs::path& folder, const char* extension) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(root_ / folder)) {
      if (entry.path().extension() == extension) found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  fs::path root_;
};

bool is_in_scope(const fs::path& path) {
  for (const char* server : {"redis-2.", "redis-3.2", "redis-4.0", "redis-5.0", "redis-6.0",
                             "redis-7.0", "redis-7.2", "valkey-7.2", "valkey-8.0"}) {
    if (path.string().find(server) != std::string::npos) return true;
  }
  return false;
}

Reading read_in_pieces(ByteView bytes, std::size_t size) {
  std::vector<ByteView> pieces;
  for (std::size_t at = 0; at < bytes.size(); at += size)
    pieces.push_back(bytes.substr(at, size));
  return decode<test::SharedBuffer>(pieces);
}

TEST_F(Corpus, ReadsEverySnapshotToItsEnd) {
  int count = 0;
  for (const fs::path& path : files("generated", ".rdb")) {
    // Release candidates wrote things (functions) that no later server reads.
    if (!is_in_scope(path) || path.string().find("-rc") != std::string::npos) continue;
    SCOPED_TRACE(path.string());
    const Bytes bytes = test::read_file(path);

    const Reading whole = read_in_pieces(bytes, bytes.size());

    EXPECT_TRUE(whole.ended()) << whole.error;
    EXPECT_EQ(whole.consumed, bytes.size());
    EXPECT_EQ(read_in_pieces(bytes, 997).lines, whole.lines);
    ++count;
  }
  EXPECT_GT(count, 50);
}

TEST_F(Corpus, PayloadsAreWhatDumpAnswered) {
  for (const char* server : {"redis-5.0.14", "redis-6.0.20", "redis-7.0.15", "redis-7.2.6"}) {
    std::set<Bytes> dumps;
    for (const fs::path& path : files(fs::path("generated/dump-payloads") / server, ".dump")) {
      dumps.insert(test::read_file(path));
    }
    const Bytes bytes = test::read_file(root_ / "generated" / server / "full.rdb");
    const std::vector<ByteView> pieces{bytes};
    RdbReader reader;
    int equal = 0;

    decode<test::SharedBuffer>(pieces, reader, [&](const Event& event) {
      if (event.kind != Event::Kind::key) return;
      Bytes command;
      append_restore(command, event, reader.dialect(), {}, false);
      const std::size_t payload_size = 1 + event.value.size() + 10;
      const std::size_t tail_size = Bytes("\r\n$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n").size();
      const std::size_t at = command.size() - tail_size - payload_size;
      equal += static_cast<int>(dumps.count(command.substr(at, payload_size)));
    });

    // The others are tables, whose order differs between SAVE and DUMP.
    EXPECT_GE(equal, 48) << server;
  }
}

TEST_F(Corpus, SurvivesHostilePayloads) {
  int count = 0;
  for (const fs::path& path : files("corrupt/permissive", ".dump")) {
    SCOPED_TRACE(path.string());
    const Bytes dump = test::read_file(path);
    if (dump.size() < 12) continue;
    // type, key, value; the footer is dropped.
    const Bytes value = dump.substr(1, dump.size() - 11);
    Bytes bytes =
        test::magic(11) + dump.substr(0, 1) + test::string("k") + value + test::raw("\xff");
    bytes += Bytes(8, '\0');

    const Reading whole = decode(bytes);

    EXPECT_EQ(read_in_pieces(bytes, 1).lines, whole.lines);
    ++count;
  }
  EXPECT_GT(count, 80);
}

}  // namespace
}  // namespace keyferry::rdb
