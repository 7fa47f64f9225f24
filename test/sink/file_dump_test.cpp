#include "keyferry/sink/file_dump.hpp"

#include <gtest/gtest.h>

#include "keyferry/rdb/format.hpp"

namespace keyferry {
namespace {

struct Dump {
  explicit Dump(FileFormat format) : dump(format, options) { dump.count_in(stats); }

  Error take(const rdb::Event& event) { return dump.take(event, {}, templates, out); }

  Error take_library(ByteView code) {
    rdb::Event event;
    event.kind = rdb::Event::Kind::function;
    event.text = code;
    return take(event);
  }

  Options options;
  FileDump dump;
  DumpStats stats;
  rdb::HashTemplates templates;
  Bytes out;
};

constexpr rdb::Dialect redis_7{rdb::Family::redis, 10};

TEST(FileDump, EndsTheLineOfAValueThatTheSnapshotBrokeOffIn) {
  Dump file(FileFormat::json);
  file.dump.begin_snapshot(redis_7, file.out);
  rdb::Event event;
  event.kind = rdb::Event::Kind::big_key;
  event.key = "half";
  event.type = 2;  // a set as members
  EXPECT_FALSE(file.take(event));
  file.out.clear();

  file.dump.flush_all(file.out);
  EXPECT_EQ(file.out.find("\n{"), 0u) << file.out;
  file.out.clear();
  file.dump.flush_all(file.out);
  EXPECT_EQ(file.out.find("{"), 0u) << file.out;
}

TEST(FileDump, ComparesLibrariesOfSeveralSnapshotsOnly) {
  constexpr ByteView one = "#!lua name=lib\n1";
  constexpr ByteView other = "#!lua name=lib\n2";
  Dump file(FileFormat::resp);
  file.dump.begin_snapshot(redis_7, file.out);
  EXPECT_FALSE(file.take_library(one));
  EXPECT_FALSE(file.take_library(other)) << "who said so knows";
  file.dump.go_on_with_snapshot(redis_7);
  EXPECT_FALSE(file.take_library(one));
  EXPECT_TRUE(file.take_library(other).is(Errc::data_refused));
}

}  // namespace
}  // namespace keyferry
