// Every golden snapshot, copied: the copy holds the same keys and values, whatever the sizes from
// which values come in pieces.
#include "keyferry/rdb/rdb_copy.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace keyferry::rdb {
namespace {

Bytes read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// What a snapshot says about its keys, values as the raw bytes they have.
struct Said {
  std::vector<std::string> lines;
  Dialect dialect;
  std::string problem;
};

Said read_all(ByteView bytes) {
  Said said;
  RdbReader reader;
  Event event;
  std::size_t consumed = 0;
  while (true) {
    const auto status = reader.next(bytes, event, consumed);
    if (status == RdbReader::Status::error) said.problem = reader.error().what;
    if (status == RdbReader::Status::need_more) said.problem = "cut off";
    if (status != RdbReader::Status::event) return said;
    if (event.kind == Event::Kind::key) {
      said.lines.push_back(fmt::format("{} {} {} {} {} {} {} {}", event.db, event.key, event.type,
                                       event.expire_ms.value_or(-1), event.idle_s.value_or(0),
                                       event.freq.value_or(0), event.key_meta, event.value));
    } else if (event.kind == Event::Kind::function) {
      said.lines.push_back(fmt::format("function {}", event.text));
    } else if (event.kind == Event::Kind::header) {
      said.dialect = reader.dialect();
    } else if (event.kind == Event::Kind::end) {
      return said;
    }
    bytes.remove_prefix(consumed);
  }
}

Bytes copy_of(ByteView bytes, std::size_t value_max_bytes, const TargetTraits* target,
              Choice::Loss* loss = nullptr) {
  RdbReader reader(value_max_bytes);
  RdbCopy copy(false);
  Event event;
  Bytes out;
  std::size_t consumed = 0;
  while (reader.next(bytes, event, consumed) == RdbReader::Status::event) {
    if (event.kind == Event::Kind::header) copy.begin(out, reader.dialect(), target);
    const bool is_key = event.kind == Event::Kind::key || event.kind == Event::Kind::big_key;
    if (is_key && copy.judge(event) != Choice::Loss::nothing) {
      if (loss != nullptr) *loss = copy.judge(event);
      return {};
    }
    copy.take(event, bytes.substr(0, consumed), out);
    if (event.kind == Event::Kind::end) {
      copy.end(out);
      return out;
    }
    bytes.remove_prefix(consumed);
  }
  return {};
}

TEST(RdbCopy, HoldsWhatTheOriginalHolds) {
  std::size_t copied = 0;
  for (const auto& file : std::filesystem::directory_iterator(KEYFERRY_TEST_DATA "/rdb")) {
    if (file.path().extension() != ".rdb") continue;
    const Bytes original = read_bytes(file);
    const Said wanted = read_all(original);
    for (const std::size_t limit : {std::size_t{0}, std::size_t{100}, std::size_t{1} << 30}) {
      Choice::Loss loss = Choice::Loss::nothing;
      const Bytes copy = copy_of(original, limit, nullptr, &loss);
      // Values that refer to another place of their file cannot be copied.
      if (loss == Choice::Loss::value) continue;
      ++copied;
      const Said found = read_all(copy);

      EXPECT_EQ(found.problem, "") << file.path() << " " << limit;
      EXPECT_TRUE(found.lines == wanted.lines) << file.path() << " " << limit;
      EXPECT_EQ(found.dialect.family, wanted.dialect.family);
      EXPECT_EQ(found.dialect.version, std::max(wanted.dialect.version, 9));
    }
  }
  EXPECT_GT(copied, 30u);
}

TEST(RdbCopy, RefusesWhatTheChosenReleaseDoesNotKnow) {
  const Bytes original = read_bytes(KEYFERRY_TEST_DATA "/rdb/full_v11.rdb");
  const TargetTraits redis6{Family::redis, 6, 0};
  const TargetTraits redis8{Family::redis, 8, 0};
  Choice::Loss loss = Choice::Loss::nothing;

  EXPECT_EQ(copy_of(original, 1 << 20, &redis6, &loss), "");
  EXPECT_EQ(loss, Choice::Loss::value);
  const Said newer = read_all(copy_of(original, 1 << 20, &redis8));
  EXPECT_EQ(newer.dialect.version, 12);
  EXPECT_TRUE(newer.lines == read_all(original).lines);
}

TEST(RdbCopy, KnowsWhoReadsADialectAndWhatAReleaseReads) {
  for (const int version : {9, 10, 11, 12, 13, 14, 15}) {
    const TargetTraits reader = oldest_reader_of({Family::redis, version});
    EXPECT_EQ(newest_dialect_of(reader).version, version);
    EXPECT_EQ(newest_dialect_of(reader).family, Family::redis);
  }
  EXPECT_EQ(newest_dialect_of(oldest_reader_of({Family::valkey, 80})).version, 80);
  EXPECT_EQ(newest_dialect_of({Family::valkey, 8, 1}).version, 11);
  EXPECT_EQ(oldest_reader_of({Family::redis, 3}).major, 5);
}

}  // namespace
}  // namespace keyferry::rdb
