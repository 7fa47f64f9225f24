#include "name_set.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>
#include <re2/re2.h>

namespace keyferry {
namespace {

bool glob_matches(const std::string& glob, const std::string& text) {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_dot_nl(true);
  return RE2::FullMatch(text, RE2(regex_of_glob(glob), options));
}

NameSet compiled(const FilterRules& rules) {
  std::vector<std::string> problems;
  NameSet set = NameSet::compile(rules, "filter.allow", problems);
  EXPECT_TRUE(problems.empty());
  return set;
}

// The answers of KEYS on Redis 7.0.15.
TEST(Glob, MatchesAsRedisDoes) {
  struct Row {
    const char* glob;
    const char* text;
    bool matches;
  };
  const Row rows[] = {{"*", "", true},
                      {"*", "a\nb", true},
                      {"a?c", "abc", true},
                      {"a?c", "ac", false},
                      {"a*c", "abbc", true},
                      {"a*c", "abcd", false},
                      {"h[ae]llo", "hallo", true},
                      {"h[ae]llo", "hillo", false},
                      {"h[^e]llo", "hallo", true},
                      {"h[^e]llo", "hello", false},
                      {"h[c-a]llo", "hbllo", true},
                      {"a\\*", "a*", true},
                      {"a\\*", "ab", false},
                      {"a.c", "abc", false},
                      {"[a-", "-", true},
                      {"k[\\]]", "k]", true},
                      {"(a|b)", "a", false},
                      {"(a|b)", "(a|b)", true},
                      {"x\\", "x\\", true}};

  for (const Row& row : rows)
    EXPECT_EQ(glob_matches(row.glob, row.text), row.matches) << row.glob << " " << row.text;
}

TEST(PrefixSet, AgreesWithTryingEachPrefix) {
  const unsigned seed = 20261123;
  std::mt19937 random(seed);
  const auto text_of = [&](std::size_t most) {
    Bytes text;
    const std::size_t size = random() % (most + 1);
    for (std::size_t i = 0; i < size; ++i)
      text += static_cast<char>("ab\0\xff"[random() % 4]);
    return text;
  };
  std::size_t hits = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<Bytes> prefixes;
    for (unsigned i = 0; i <= random() % 12; ++i)
      prefixes.push_back(text_of(11) + "a");
    const PrefixSet set(prefixes);
    for (int i = 0; i < 50; ++i) {
      const Bytes text =
          i % 2 == 0 ? text_of(14) : prefixes[random() % prefixes.size()] + text_of(3);
      const bool expected = std::any_of(prefixes.begin(), prefixes.end(), [&](const Bytes& prefix) {
        return text.starts_with(prefix);
      });
      hits += expected ? 1 : 0;
      ASSERT_EQ(set.matches(text), expected) << "seed " << seed << " round " << round;
    }
  }
  EXPECT_GT(hits, 1000U);
}

TEST(NameSet, EveryKindOfRuleFindsItsKeys) {
  FilterRules rules;
  rules.keys = {"exact"};
  rules.prefixes = {"pre:"};
  rules.suffixes = {":end", "x:tail"};
  rules.globs = {"g?ob"};
  rules.regexes = {"^re[0-9]+$", "(?i)inside"};
  rules.slots = {"12182", "1-2"};  // foo
  const NameSet set = compiled(rules);

  for (const char* key : {"exact", "pre:", "pre:1", "a:end", "x:tail", "glob", "re17",
                          "an INSIDE one", "foo", "{foo}bar"})
    EXPECT_TRUE(set.matches(key)) << key;
  for (const char* key : {"exactly", "pre", "end", "y:tail", "gloob", "re", "re1x", "bar", ""})
    EXPECT_FALSE(set.matches(key)) << key;
  EXPECT_TRUE(set.matches(Bytes("pre:\0\xff", 6)));
}

}  // namespace
}  // namespace keyferry
