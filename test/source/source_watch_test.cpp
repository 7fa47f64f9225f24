#include "keyferry/source/source_watch.hpp"

#include <gtest/gtest.h>

#include "keyferry/source/scan_pass.hpp"

namespace keyferry {
namespace {

constexpr const char* quiet =
    "run_id:r1\r\nrole:master\r\nmaster_replid:m1\r\n"
    "cmdstat_get:calls=9,usec=1\r\ncmdstat_flushdb:calls=2,usec=1,usec_per_call=0.1,"
    "rejected_calls=0,failed_calls=1\r\n# Keyspace\r\ndb0:keys=100,expires=0,avg_ttl=0\r\n"
    "db12:keys=7,expires=1,avg_ttl=0\r\n";

std::string changes(const std::string& before, const std::string& now) {
  const SourceChange change = compare_readings(read_source(before), read_source(now));
  std::string out;
  if (change.is_flushed) out += "flushed ";
  if (change.group_reads) out += "groups ";
  if (change.functions) out += "functions ";
  if (change.is_other) out += "other ";
  return out;
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = quiet;
  return from.empty() ? text + to : text.replace(text.find(from), from.size(), to);
}

TEST(SourceWatch, ReadsKeysByDatabase) {
  const SourceReading reading = read_source(quiet);

  EXPECT_EQ(reading.keys, (std::map<std::int32_t, std::uint64_t>{{0, 100}, {12, 7}}));
  EXPECT_EQ(reading.flushes, 1u);
}

TEST(SourceWatch, TellsWhatNoEventTells) {
  struct Row {
    std::string now;
    const char* expected;
  };
  const Row rows[] = {
      {quiet, ""},
      {with("cmdstat_get:calls=9", "cmdstat_get:calls=10"), ""},
      {with("flushdb:calls=2", "flushdb:calls=3"), "flushed "},
      {with("", "cmdstat_flushall:calls=1,usec=1\r\n"), "flushed "},
      {with("", "cmdstat_swapdb:calls=1,usec=1\r\n"), "flushed "},
      {with("", "cmdstat_swapdb:calls=1,usec=1,failed_calls=1\r\n"), ""},
      {with("flushdb:calls=2", "flushdb:calls=0"), "flushed "},  // CONFIG RESETSTAT
      {with("", "cmdstat_xreadgroup:calls=1,usec=1\r\n"), "groups "},
      {with("", "cmdstat_xack:calls=1,usec=1\r\n"), "groups "},
      {with("", "cmdstat_function|load:calls=1,usec=1\r\n"), "functions "},
      {with("run_id:r1", "run_id:r2"), "other "},
      {with("role:master", "role:slave"), "other "},
      {with("keys=100", "keys=1"), ""},
  };
  for (const Row& row : rows)
    EXPECT_EQ(changes(quiet, row.now), row.expected) << row.now;
}

TEST(SourceWatch, WithoutCountersTheNumberOfKeysTells) {
  const std::string before = "run_id:r\r\n# Keyspace\r\ndb0:keys=100,expires=0\r\n";

  EXPECT_EQ(changes(before, "run_id:r\r\n# Keyspace\r\ndb0:keys=60,expires=0\r\n"), "");
  EXPECT_EQ(changes(before, "run_id:r\r\n# Keyspace\r\ndb0:keys=40,expires=0\r\n"), "flushed ");
  EXPECT_EQ(changes(before, "run_id:r\r\n"), "flushed ");
}

TEST(SourceWatch, AReplicaThatWasCutOffMayHaveGotAnotherDataSet) {
  const std::string cut = "run_id:r\r\nrole:slave\r\nmaster_link_status:down\r\n";
  const std::string back = "run_id:r\r\nrole:slave\r\nmaster_link_status:up\r\n";

  EXPECT_EQ(changes(back, cut), "");
  EXPECT_EQ(changes(cut, back), "other ");
}

TEST(ScanPass, GoesThroughDatabasesCursorByCursor) {
  ScanPass pass({{0, 30}, {4, 10}});
  EXPECT_EQ(pass.db(), 0);
  EXPECT_EQ(pass.cursor(), "0");

  pass.on_page("17", 20);
  EXPECT_EQ(pass.cursor(), "17");
  EXPECT_EQ(pass.percent(), 50);
  pass.on_page("0", 10);
  EXPECT_EQ(pass.db(), 4);
  EXPECT_EQ(pass.cursor(), "0");
  pass.on_page("0", 40);

  EXPECT_TRUE(pass.is_over());
  EXPECT_EQ(pass.percent(), 100);
  EXPECT_TRUE(ScanPass().is_over());
}

}  // namespace
}  // namespace keyferry
