#include "keyferry/transform/remap.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

Remap compiled(const TransformOptions& options) {
  Result<Remap> remap = Remap::compile(options);
  EXPECT_TRUE(remap.has_value()) << remap.error().what;
  return remap ? *remap : Remap();
}

TEST(Remap, WithoutRulesChangesNothing) {
  const Remap remap = compiled({});

  EXPECT_FALSE(remap.is_active());
  EXPECT_EQ(remap.db(7), 7);
  EXPECT_EQ(remap.key(7, "a"), "a");
  EXPECT_EQ(remap.expire(5), 5);
}

TEST(Remap, StripsThenReplacesThenAdds) {
  TransformOptions options;
  options.key_prefix_strip = "old:";
  options.key_prefix_replace = {{"a:", "A:"}, {"a:b:", "AB:"}};
  options.key_prefix_add = "new:";
  options.database_prefix = {{"1", "db1:"}};
  const Remap remap = compiled(options);

  EXPECT_EQ(remap.key(0, "old:x"), "new:x");
  EXPECT_EQ(remap.key(0, "x"), "new:x");
  EXPECT_EQ(remap.key(0, "old:a:x"), "new:A:x");
  EXPECT_EQ(remap.key(0, "a:b:x"), "new:AB:x");
  EXPECT_EQ(remap.key(1, "a:b:x"), "db1:new:AB:x");
  EXPECT_FALSE(remap.same_names(0, 1));
  EXPECT_TRUE(remap.may_collide());
}

TEST(Remap, KnowsWhichDatabasesMeet) {
  TransformOptions options;
  options.databases = {{"1", "0"}, {"2", "3"}, {"3", "2"}, {"5", "5"}};
  const Remap remap = compiled(options);

  EXPECT_EQ(remap.db(1), 0);
  EXPECT_EQ(remap.db(2), 3);
  EXPECT_TRUE(remap.shares_database(0));
  EXPECT_TRUE(remap.shares_database(1));
  EXPECT_FALSE(remap.shares_database(2));
  EXPECT_FALSE(remap.shares_database(5));
  EXPECT_TRUE(remap.may_collide());
}

TEST(Remap, SwappedDatabasesDoNotCollide) {
  TransformOptions options;
  options.databases = {{"0", "1"}, {"1", "0"}};

  EXPECT_FALSE(compiled(options).may_collide());
}

TEST(Remap, MovesExpiries) {
  TransformOptions options;
  options.ttl = "-10s";
  const Remap earlier = compiled(options);
  options.ttl = "none";
  const Remap never = compiled(options);

  EXPECT_EQ(earlier.expire(30'000), 20'000);
  EXPECT_EQ(earlier.expire(5'000), 1);
  EXPECT_EQ(earlier.expire(std::nullopt), std::nullopt);
  EXPECT_EQ(never.expire(30'000), std::nullopt);
}

TEST(Remap, FingerprintTellsRulesApart) {
  FilterOptions a;
  FilterOptions b;
  a.allow.keys = {"x", "y"};
  b.allow.keys = {"xy"};
  TransformOptions add;
  add.key_prefix_add = "p";
  TransformOptions strip;
  strip.key_prefix_strip = "p";

  EXPECT_EQ(Remap::fingerprint({}, {}, ""), 0U);
  EXPECT_NE(Remap::fingerprint(a, {}, ""), 0U);
  EXPECT_NE(Remap::fingerprint(a, {}, ""), Remap::fingerprint(b, {}, ""));
  EXPECT_NE(Remap::fingerprint({}, add, ""), Remap::fingerprint({}, strip, ""));
  EXPECT_NE(Remap::fingerprint({}, {}, "a"), Remap::fingerprint({}, {}, "b"));
}

// As "db name" each, in order.
std::vector<std::string> origins_of(const TransformOptions& options, std::int32_t db,
                                    ByteView name) {
  const auto remap = Remap::compile(options);
  std::vector<std::string> out;
  for (const auto& [from, key] : remap->origins(db, name)) {
    out.push_back(std::to_string(from) + " " + key);
    EXPECT_EQ(remap->key(from, key), name);
    EXPECT_EQ(remap->db(from), db);
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(Remap, KnowsWhereANameCanComeFrom) {
  using Names = std::vector<std::string>;
  TransformOptions options;
  EXPECT_EQ(origins_of(options, 2, "a"), Names{"2 a"});

  options.key_prefix_strip = "old:";
  options.key_prefix_replace = {{"x:", "y:"}};
  options.key_prefix_add = "new:";
  EXPECT_EQ(origins_of(options, 0, "a"), Names{});
  EXPECT_EQ(origins_of(options, 0, "new:a"), (Names{"0 a", "0 old:a"}));
  EXPECT_EQ(origins_of(options, 0, "new:x:a"), Names{}) << "x: would have become y:";
  EXPECT_EQ(origins_of(options, 0, "new:y:a"), (Names{"0 old:x:a", "0 old:y:a", "0 x:a", "0 y:a"}));

  options = TransformOptions();
  options.databases = {{"1", "0"}, {"2", "5"}};
  options.database_prefix = {{"1", "one:"}};
  EXPECT_EQ(origins_of(options, 0, "one:a"), (Names{"0 one:a", "1 a"}));
  EXPECT_EQ(origins_of(options, 1, "a"), Names{}) << "database 1 goes to 0";
  EXPECT_EQ(origins_of(options, 5, "a"), (Names{"2 a", "5 a"}));
}

}  // namespace
}  // namespace keyferry
