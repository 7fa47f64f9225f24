#include "keyferry/spool/stream_log.hpp"

#include <csignal>
#include <filesystem>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "support/process.hpp"

namespace keyferry {
namespace {

using test::TempDir;

const std::string old_name(40, 'a');
const std::string new_name(40, 'b');

char byte_at(Offset at) {
  const auto bits = static_cast<std::uint64_t>(at);
  return static_cast<char>((bits ^ (bits >> 8) ^ (bits >> 20)) & 0xff);
}

// The bytes behind `from` of the stream that the tests write.
Bytes stream(Offset from, std::size_t size) {
  Bytes out(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    out[i] = byte_at(from + static_cast<Offset>(i));
  return out;
}

std::shared_ptr<StreamLog> open_log(const std::string& dir, std::int64_t segment_bytes = 1000) {
  auto log = StreamLog::open(dir, segment_bytes);
  if (!log) {
    ADD_FAILURE() << log.error().what;
    return nullptr;
  }
  return *log;
}

void append(StreamLog& log, std::size_t size, const std::string& replid = old_name) {
  const Error error = log.append(replid, stream(log.end(), size));
  ASSERT_FALSE(error) << error.what;
}

// Everything behind `from`, in reads of `step`.
Bytes read_all(StreamLog& log, Offset from, std::size_t step) {
  Bytes out;
  Bytes buffer(step, '\0');
  while (from < log.end()) {
    const auto n = log.read(from, buffer.data(), buffer.size());
    if (!n) {
      ADD_FAILURE() << n.error().what;
      return out;
    }
    out.append(buffer, 0, *n);
    from += static_cast<Offset>(*n);
  }
  return out;
}

std::vector<std::string> segment_files(const std::string& dir) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().extension() == ".stream") out.push_back(entry.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(StreamLog, GivesBackWhatWasWrittenFromAnyOffset) {
  const TempDir dir;
  const auto log = open_log(dir.file("log"));
  log->begin(5000);
  for (std::size_t size = 1; size < 60; ++size)
    append(*log, size);
  ASSERT_GT(segment_files(dir.file("log")).size(), 2u);

  for (Offset from = 5000; from < log->end(); ++from)
    EXPECT_EQ(read_all(*log, from, 100), stream(from, static_cast<std::size_t>(log->end() - from)));
}

TEST(StreamLog, IsThereAgainForTheNextProcess) {
  const TempDir dir;
  Offset end = 0;
  {
    const auto log = open_log(dir.file("log"));
    log->begin(70);
    append(*log, 900);
    append(*log, 900);
    append(*log, 10, new_name);
    end = log->end();
  }

  const auto log = open_log(dir.file("log"));

  EXPECT_EQ(log->first(), 70);
  EXPECT_EQ(log->end(), end);
  EXPECT_EQ(log->histories(), (std::vector<std::string>{old_name, new_name}));
  EXPECT_EQ(read_all(*log, 70, 64), stream(70, static_cast<std::size_t>(end - 70)));
  append(*log, 5, new_name);
  EXPECT_EQ(read_all(*log, end - 3, 64), stream(end - 3, 8));
}

TEST(StreamLog, EndsAtATornTailWhereverItTore) {
  const TempDir dir;
  const std::string path = dir.file("log");
  {
    const auto log = open_log(path, 100000);
    log->begin(0);
    append(*log, 100);
    append(*log, 50);
  }
  const std::string file = segment_files(path).at(0);
  const auto whole = std::filesystem::file_size(file);
  const Bytes content = test::read_file(file);
  ASSERT_EQ(whole, 24u + 100 + 24 + 50);

  for (std::uintmax_t cut = 0; cut <= whole; ++cut) {
    SCOPED_TRACE(cut);
    test::write_file(file, content.substr(0, cut));

    const auto log = open_log(path);

    const Offset end = cut == whole ? 150 : cut >= 124 ? 100 : 0;
    EXPECT_EQ(log->end(), end);
    EXPECT_EQ(read_all(*log, 0, 64), stream(0, static_cast<std::size_t>(end)));
    if (end == 0) continue;
    append(*log, 20);
    EXPECT_EQ(read_all(*log, 0, 64), stream(0, static_cast<std::size_t>(end) + 20));
  }
}

TEST(StreamLog, NeverGivesOutADamagedByte) {
  const TempDir dir;
  const std::string path = dir.file("log");
  {
    const auto log = open_log(path, 100000);
    log->begin(0);
    append(*log, 40);
    append(*log, 30);
  }
  const std::string file = segment_files(path).at(0);
  const Bytes content = test::read_file(file);

  for (std::size_t at = 0; at < content.size(); ++at) {
    SCOPED_TRACE(at);
    Bytes damaged = content;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    test::write_file(file, damaged);

    const auto log = open_log(path);

    EXPECT_EQ(log->end(), at < 64 ? 0 : 40);
  }

  test::write_file(file, content);
  const auto log = open_log(path);
  Bytes damaged = content;
  damaged[70 + 24] = '?';
  test::write_file(file, damaged);
  Bytes buffer(100, '\0');
  const auto read = log->read(40, buffer.data(), buffer.size());
  ASSERT_FALSE(read) << "damaged while it was open";
  EXPECT_TRUE(read.error().is(Errc::corrupt));
}

TEST(StreamLog, ForgetsWhatComesBeforeAGap) {
  const TempDir dir;
  const std::string path = dir.file("log");
  {
    const auto log = open_log(path);
    log->begin(0);
    append(*log, 1200);
    append(*log, 1200);
    append(*log, 1200);
  }
  ASSERT_EQ(segment_files(path).size(), 3u);
  std::filesystem::remove(segment_files(path).at(1));

  const auto log = open_log(path);

  EXPECT_EQ(log->first(), 2400);
  EXPECT_EQ(log->end(), 3600);
  EXPECT_EQ(read_all(*log, 2500, 100), stream(2500, 1100));
}

TEST(StreamLog, TrimsWholeSegmentsBelowAnOffset) {
  const TempDir dir;
  const std::string path = dir.file("log");
  const auto log = open_log(path);
  log->begin(0);
  for (int i = 0; i < 10; ++i)
    append(*log, 1000);
  const std::int64_t before = log->disk_bytes();

  log->trim(4500);

  EXPECT_EQ(log->first(), 4000);
  EXPECT_EQ(segment_files(path).size(), 6u);
  EXPECT_EQ(log->disk_bytes(), before - 4 * 1024);
  EXPECT_EQ(read_all(*log, 4500, 300), stream(4500, 5500));
  log->trim(1000000);
  EXPECT_EQ(segment_files(path).size(), 1u) << "the last one is being written";
}

TEST(StreamLog, BelongsToOneProcess) {
  const TempDir dir;
  const auto log = open_log(dir.file("log"));

  const auto second = StreamLog::open(dir.file("log"));

  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().is(Errc::usage));
  EXPECT_NE(second.error().what.find("in use"), std::string::npos) << second.error().what;
}

// Files may not grow beyond `bytes` while it lives: a write fails half done, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit low{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &low);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*signal_)(int);
};

TEST(StreamLog, KeepsAllOrNothingOfABlockThatDoesNotFit) {
  const TempDir dir;
  const auto log = open_log(dir.file("log"), 100000);
  log->begin(0);
  append(*log, 500);
  {
    const FileSizeLimit limit(1000);
    const Error error = log->append(old_name, stream(500, 2000));
    EXPECT_TRUE(error.is(Errc::disk));
    EXPECT_NE(error.what.find(dir.file("log")), std::string::npos) << error.what;
  }

  EXPECT_EQ(log->end(), 500);
  EXPECT_EQ(read_all(*log, 0, 100), stream(0, 500));
  append(*log, 2000);
  EXPECT_EQ(read_all(*log, 0, 100), stream(0, 2500));
}

TEST(StreamLog, LeavesStrangersFilesAlone) {
  const TempDir dir;
  const std::string path = dir.file("log");
  std::filesystem::create_directory(path);
  test::write_file(path + "/notes.txt", "mine");
  test::write_file(path + "/short.stream", "mine too");

  const auto log = open_log(path);
  log->begin(0);
  append(*log, 10);
  log->begin(0);

  EXPECT_EQ(test::read_file(path + "/notes.txt"), "mine");
  EXPECT_EQ(test::read_file(path + "/short.stream"), "mine too");
}

}  // namespace
}  // namespace keyferry
