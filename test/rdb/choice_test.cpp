#include "keyferry/rdb/choice.hpp"

#include <gtest/gtest.h>

#include "builder.hpp"

namespace keyferry::rdb {
namespace {

using Way = Choice::Way;
using Loss = Choice::Loss;

constexpr TargetTraits redis6 = {Family::redis, 6, 0};
constexpr TargetTraits redis62 = {Family::redis, 6, 2};
constexpr TargetTraits redis7 = {Family::redis, 7, 0};
constexpr TargetTraits redis72 = {Family::redis, 7, 2};
constexpr TargetTraits redis74 = {Family::redis, 7, 4};
constexpr TargetTraits redis8 = {Family::redis, 8, 0};
constexpr TargetTraits redis86 = {Family::redis, 8, 6};
constexpr TargetTraits redis810 = {Family::redis, 8, 10};
constexpr TargetTraits valkey81 = {Family::valkey, 8, 1};
constexpr TargetTraits valkey91 = {Family::valkey, 9, 1};
constexpr TargetTraits valkey92 = {Family::valkey, 9, 2};
constexpr Dialect from_redis6 = {Family::redis, 9};
constexpr Dialect from_redis7 = {Family::redis, 10};
constexpr Dialect from_redis8 = {Family::redis, 12};
constexpr Dialect from_redis810 = {Family::redis, 15};
constexpr Dialect from_valkey9 = {Family::valkey, 80};

struct Row {
  const char* what;
  std::uint8_t type;
  Dialect source;
  TargetTraits target;
  Way way;
  int version = 0;
  Loss loss = Loss::nothing;
};

// Measured with RESTORE where servers could be had: see choice.cpp.
const Row rows[] = {
    {"string, old to new", 0, from_redis6, redis8, Way::raw, 9},
    {"string, new to old", 0, from_redis8, redis6, Way::raw, 9},
    {"string to the other family", 0, from_redis8, valkey81, Way::raw, 11},
    {"string back", 0, from_valkey9, redis7, Way::raw, 10},
    {"string within Valkey", 0, from_valkey9, valkey91, Way::raw, 11},
    {"ziplist hash", 13, from_redis6, redis8, Way::raw, 9},
    {"listpack hash to 6", 16, from_redis7, redis6, Way::rewrite},
    {"listpack hash to 7", 16, from_redis7, redis7, Way::raw, 10},
    {"listpack hash to Valkey", 16, from_redis7, valkey81, Way::raw, 10},
    {"quicklist 2 to 6.2", 18, from_redis7, redis62, Way::rewrite},
    {"listpack set to 7.0", 20, from_redis8, redis7, Way::rewrite},
    {"listpack set to 7.2", 20, from_redis8, redis72, Way::raw, 11},
    {"listpack set, Valkey to Redis", 20, from_valkey9, redis72, Way::raw, 11},
    {"stream 2 to 6", 19, from_redis7, redis6, Way::rewrite},
    {"stream 3 to 7.0", 21, from_redis8, redis7, Way::rewrite},
    {"stream 3 to 8.0", 21, from_redis8, redis8, Way::raw, 12},
    {"stream 4 to 8.0", 26, {Family::redis, 13}, redis8, Way::rewrite},
    {"stream 4 to 8.6", 26, {Family::redis, 13}, redis86, Way::raw, 13},
    {"stream 4 to Valkey", 26, {Family::redis, 13}, valkey92, Way::rewrite},
    {"stream 5 to 8.6", 27, {Family::redis, 14}, redis86, Way::rewrite},
    {"field TTLs of a release candidate", 23, from_redis8, redis74, Way::rewrite},
    {"field TTLs to 7.4", 24, from_redis8, redis74, Way::raw, 12},
    {"field TTLs to 7.2", 25, from_redis8, redis72, Way::rewrite, 0, Loss::field_ttls},
    {"field TTLs to Valkey 9", 25, from_redis8, valkey91, Way::rewrite},
    {"field TTLs to Valkey 8", 25, from_redis8, valkey81, Way::rewrite, 0, Loss::field_ttls},
    {"field TTLs of Valkey within", 22, from_valkey9, valkey91, Way::raw, 80},
    {"field TTLs of Valkey to Redis 8", 22, from_valkey9, redis8, Way::rewrite},
    {"field TTLs of Valkey to Redis 7", 22, from_valkey9, redis7, Way::rewrite, 0,
     Loss::field_ttls},
    {"field TTLs of Valkey to Valkey 8", 22, from_valkey9, valkey81, Way::rewrite, 0,
     Loss::field_ttls},
    {"array to 8.10", 28, from_redis810, redis810, Way::raw, 15},
    {"array to 8.0", 28, from_redis810, redis8, Way::nothing, 0, Loss::value},
    {"array to Valkey", 28, from_redis810, valkey92, Way::nothing, 0, Loss::value},
    {"template hash to 8.10", 29, from_redis810, redis810, Way::raw, 15},
    {"template hash to 8.0", 29, from_redis810, redis8, Way::rewrite},
    {"reference to a template", 30, from_redis810, redis810, Way::rewrite},
    {"path hash to 9.1", 23, {Family::valkey, 81}, valkey91, Way::nothing, 0, Loss::value},
    {"path hash to 9.2", 23, {Family::valkey, 81}, valkey92, Way::raw, 80},
    {"a type nobody knows", 77, from_redis810, redis810, Way::nothing, 0, Loss::value},
};

ChoiceRules rules_with_limit(std::size_t limit) {
  ChoiceRules rules;
  rules.restore_max_bytes = limit;
  return rules;
}

TEST(Choice, FollowsTypeDialectAndTarget) {
  for (const Row& row : rows) {
    const Choice choice = choose(row.type, "", 100, row.source, row.target, rules_with_limit(1000));

    EXPECT_EQ(choice.way, row.way) << row.what;
    EXPECT_EQ(choice.loss, row.loss) << row.what;
    if (row.way == Way::raw) {
      EXPECT_EQ(choice.version, row.version) << row.what;
    }
  }
}

TEST(Choice, RewritesWhatIsTooLargeToBeSentWhole) {
  const auto way = [](std::uint8_t type, std::size_t bytes) {
    return choose(type, "", bytes, from_redis810, redis810, rules_with_limit(1000)).way;
  };

  EXPECT_EQ(way(4, 1000), Way::raw);
  EXPECT_EQ(way(4, 1001), Way::rewrite);
  EXPECT_EQ(way(28, 1001), Way::rewrite);
}

TEST(Choice, RewritesTypesThatTheTargetHasRefused) {
  ChoiceRules rules = rules_with_limit(1000);
  rules.refused.set(16);

  EXPECT_EQ(choose(16, "", 10, from_redis7, redis7, rules).way, Way::rewrite);
  EXPECT_EQ(choose(17, "", 10, from_redis7, redis7, rules).way, Way::raw);
}

TEST(Choice, NamesTheTypeOfAModule) {
  EXPECT_EQ(module_type_name(test::raw("\x81") + test::big_endian(0x45e25238df912c03, 8)),
            "ReJSON-RL");
  EXPECT_EQ(module_type_name(test::raw("\x81") + test::big_endian(0xbde72da2bb1eb400, 8)),
            "vectorset");
  EXPECT_EQ(module_type_name(""), "");
}

TEST(Choice, SendsModulesOnlyWhereTheyAreKnown) {
  const Bytes json = test::raw("\x81") + test::big_endian(0x45e25238df912c03, 8);
  const Bytes other = test::raw("\x81") + test::big_endian(0x85e25238df912c03, 8);
  const std::vector<std::string> modules = {"bf", "ReJSON"};
  ChoiceRules bare = rules_with_limit(1000);
  ChoiceRules with_json = bare;
  with_json.modules = modules;

  EXPECT_EQ(choose(7, json, 5000, from_redis8, redis8, with_json).way, Way::raw);
  EXPECT_EQ(choose(7, json, 50, from_redis8, redis8, bare).loss, Loss::module);
  // A type of no known module may be tried, but not where that ends the server.
  EXPECT_EQ(choose(7, other, 50, from_redis8, redis8, bare).way, Way::raw);
  EXPECT_EQ(choose(7, other, 50, from_redis6, redis6, bare).way, Way::nothing);
}

}  // namespace
}  // namespace keyferry::rdb
