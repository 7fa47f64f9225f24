#include "keyferry/transform/filter.hpp"

#include <gtest/gtest.h>

#include "command_groups.hpp"

namespace keyferry {
namespace {

using Kind = FilterVerdict::Kind;
using Reason = FilterReason;

Filter compiled(const FilterOptions& options) {
  Result<Filter> filter = Filter::compile(options);
  EXPECT_TRUE(filter.has_value()) << filter.error().what;
  return filter ? *filter : Filter();
}

std::string problems_of(const FilterOptions& options) {
  const Result<Filter> filter = Filter::compile(options);
  return filter ? "" : filter.error().what;
}

FilterVerdict judge(const Filter& filter, const std::vector<ByteView>& args, std::int32_t db = 0) {
  return filter.on_command(db, find_command(args[0]), args);
}

TEST(Filter, WithoutRulesLetsEverythingPass) {
  const Filter filter = compiled({});

  EXPECT_FALSE(filter.is_active());
  EXPECT_TRUE(judge(filter, {"SET", "a", "1"}).keeps());
  EXPECT_TRUE(filter.on_key({.db = 3, .key = "a"}).keeps());
}

TEST(Filter, BlockWinsOverAllow) {
  FilterOptions options;
  options.allow.prefixes = {"app:"};
  options.block.suffixes = {":tmp"};
  const Filter filter = compiled(options);

  EXPECT_TRUE(judge(filter, {"SET", "app:1", "x"}).keeps());
  EXPECT_EQ(judge(filter, {"SET", "app:1:tmp", "x"}).reason, Reason::key);
  EXPECT_EQ(judge(filter, {"SET", "other", "x"}).reason, Reason::key);
  EXPECT_EQ(filter.on_key({.db = 0, .key = "other"}).reason, Reason::key);
}

TEST(Filter, CutsWhatCanBeCutAndDropsTheRest) {
  FilterOptions options;
  options.block.prefixes = {"no:"};
  const Filter filter = compiled(options);

  const std::vector<ByteView> del = {"del", "a", "no:1", "b"};
  ASSERT_EQ(judge(filter, del).kind, Kind::split);
  EXPECT_EQ(filter.split_args(0, *find_command("DEL"), del),
            (std::vector<ByteView>{"del", "a", "b"}));
  const std::vector<ByteView> mset = {"MSETNX", "no:1", "x", "b", "y"};
  ASSERT_EQ(judge(filter, mset).kind, Kind::split);
  EXPECT_EQ(filter.split_args(0, *find_command("MSETNX"), mset),
            (std::vector<ByteView>{"MSET", "b", "y"}));
  EXPECT_EQ(judge(filter, {"RENAME", "a", "no:1"}).reason, Reason::mixed);
  EXPECT_EQ(judge(filter, {"RENAME", "no:2", "no:1"}).reason, Reason::key);
  EXPECT_EQ(judge(filter, {"ZUNIONSTORE", "d", "2", "a", "no:1"}).reason, Reason::mixed);
}

TEST(Filter, KnowsCommandsInAnyCaseAndBySecondWord) {
  FilterOptions options;
  options.block.commands = {"xgroup|create", "Append", "JSON.SET"};
  const Filter filter = compiled(options);

  EXPECT_EQ(judge(filter, {"xGroup", "Create", "s", "g", "0"}).reason, Reason::command);
  EXPECT_TRUE(judge(filter, {"XGROUP", "DESTROY", "s", "g"}).keeps());
  EXPECT_EQ(judge(filter, {"append", "k", "v"}).reason, Reason::command);
  EXPECT_EQ(judge(filter, {"json.set", "k", "$", "1"}).reason, Reason::command);
  EXPECT_TRUE(judge(filter, {"SET", "k", "v"}).keeps());
}

TEST(Filter, JudgesGroupsInStreamAndSnapshot) {
  FilterOptions options;
  options.allow.groups = {"hash", "geo"};
  const Filter filter = compiled(options);

  EXPECT_TRUE(judge(filter, {"HSET", "h", "f", "v"}).keeps());
  EXPECT_EQ(judge(filter, {"DEL", "h"}).reason, Reason::command);
  EXPECT_EQ(judge(filter, {"PUBLISH", "c", "m"}).reason, Reason::command);
  EXPECT_TRUE(filter.on_key({.key = "h", .kind = ValueKind::hash}).keeps());
  EXPECT_TRUE(filter.on_key({.key = "z", .kind = ValueKind::zset}).keeps());
  EXPECT_EQ(filter.on_key({.key = "s", .kind = ValueKind::string}).reason, Reason::type);
}

TEST(Filter, JudgesTypesAndLetsCommandsOfAnyTypePass) {
  FilterOptions options;
  options.block.types = {"hash", "stream"};
  const Filter filter = compiled(options);

  EXPECT_EQ(judge(filter, {"HSET", "h", "f", "v"}).reason, Reason::type);
  EXPECT_TRUE(judge(filter, {"DEL", "h"}).keeps());
  EXPECT_TRUE(judge(filter, {"SADD", "s", "a"}).keeps());
  EXPECT_EQ(judge(filter, {"RESTORE", "k", "0", ByteView("\x0f zzz", 5)}).reason, Reason::type);
  EXPECT_TRUE(judge(filter, {"RESTORE", "k", "0", ByteView("\x00 zzz", 5)}).keeps());
  EXPECT_EQ(filter.on_key({.key = "x", .kind = ValueKind::stream}).reason, Reason::type);
  EXPECT_TRUE(filter.on_key({.key = "x"}).keeps());
}

TEST(Filter, JudgesDatabases) {
  FilterOptions options;
  options.allow.databases = {"0", "2"};
  const Filter filter = compiled(options);

  EXPECT_TRUE(judge(filter, {"SET", "a", "1"}, 2).keeps());
  EXPECT_EQ(judge(filter, {"SET", "a", "1"}, 1).reason, Reason::database);
  EXPECT_TRUE(judge(filter, {"PUBLISH", "c", "m"}, 1).keeps());
  EXPECT_EQ(filter.on_database(1).reason, Reason::database);
  EXPECT_FALSE(filter.selects_keys());
}

TEST(Filter, JudgesSizesAndExpiriesWhereTheyAreKnown) {
  FilterOptions options;
  options.min_bytes = 10;
  options.max_bytes = 100;
  options.min_ttl_s = 5;
  options.max_ttl_s = 60;
  const Filter filter = compiled(options);
  const auto reason_of = [&](std::uint64_t bytes, std::int64_t ttl_ms) {
    return filter.on_key({.key = "k", .bytes = bytes, .ttl_ms = ttl_ms}).reason;
  };

  EXPECT_EQ(reason_of(10, 5000), Reason::passed);
  EXPECT_EQ(reason_of(100, 60000), Reason::passed);
  EXPECT_EQ(reason_of(9, 6000), Reason::size);
  EXPECT_EQ(reason_of(101, 6000), Reason::size);
  EXPECT_EQ(reason_of(50, 4999), Reason::ttl);
  EXPECT_EQ(reason_of(50, 60001), Reason::ttl);
  EXPECT_EQ(filter.on_key({.key = "k", .never_expires = true}).reason, Reason::ttl);
  EXPECT_TRUE(filter.on_key({.key = "k"}).keeps());
}

TEST(Filter, RefusesWhatCannotBeRight) {
  FilterOptions options;
  options.allow.regexes = {"(", "fine"};
  options.block.commands = {"GEET"};
  options.allow.prefixes = {"a"};
  options.block.prefixes = {"b", "a"};
  options.min_bytes = 5;
  options.max_bytes = 4;

  EXPECT_EQ(problems_of(options),
            "filter.allow.regexes: '(': missing ): (\n"
            "filter.block.commands: no command that writes is called 'GEET'\n"
            "filter.allow.prefixes and filter.block.prefixes both hold 'a'\n"
            "filter.min_bytes is above filter.max_bytes");
}

TEST(CommandGroups, EveryCommandOfTheTableHasOne) {
  const std::size_t of_modules = group_index("module");

  for (const CommandInfo& info : all_commands())
    EXPECT_NE(group_of(info), of_modules) << info.name;
}

// Besides, not instead of, what is allowed by name.
TEST(Filter, KeepsToTheSlotsOfItsShard) {
  FilterOptions options;
  options.shard = "0/2";  // slots 0 to 8191
  options.allow.prefixes = {"app:", "{app:"};
  const Filter filter = compiled(options);

  EXPECT_TRUE(filter.is_active());
  EXPECT_TRUE(filter.selects_keys());
  EXPECT_TRUE(filter.on_slot(8191));
  EXPECT_FALSE(filter.on_slot(8192));
  EXPECT_TRUE(filter.on_name(0, "app:{b}").keeps());            // slot 3300
  EXPECT_EQ(filter.on_name(0, "app:{a}").reason, Reason::key);  // slot 15495
  EXPECT_FALSE(filter.on_name(0, "other:{b}").keeps());
  EXPECT_EQ(judge(filter, {"DEL", "app:{a}", "app:{b}"}).kind, Kind::split);
}

TEST(Filter, OfTheOnlyShardHoldsNothingBack) {
  FilterOptions options;
  options.shard = "0/1";

  EXPECT_FALSE(compiled(options).is_active());
  EXPECT_TRUE(compiled(options).on_slot(16383));
}

}  // namespace
}  // namespace keyferry
