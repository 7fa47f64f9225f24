#include "keyferry/verify/judge.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

constexpr std::int64_t now_ms = 1'000'000;

Reading here(std::uint64_t hash, std::int64_t expire_ms = 0, ValueKind kind = ValueKind::list) {
  Reading out;
  out.state = Reading::State::here;
  out.digest.kind = kind;
  out.digest.hash = hash;
  out.expire_ms = expire_ms;
  return out;
}

Reading in_state(Reading::State state) {
  Reading out;
  out.state = state;
  return out;
}

const Reading gone = in_state(Reading::State::gone);
const Reading unreadable = in_state(Reading::State::unreadable);
const Reading left_out = in_state(Reading::State::left_out);

TEST(Judge, TellsEachKind) {
  JudgeRules rules;
  rules.ttl_tolerance_ms = 100;
  struct Case {
    const char* what;
    Reading source;
    Reading target;
    KeyFinding finding;
  };
  const Case cases[] = {
      {"the same", here(1, 2'000'000), here(1, 2'000'000), KeyFinding::equal},
      {"value", here(1), here(2), KeyFinding::value},
      {"type", here(1), here(1, 0, ValueKind::set), KeyFinding::type},
      {"ttl too far", here(1, 2'000'000), here(1, 2'000'101), KeyFinding::ttl},
      {"ttl near enough", here(1, 2'000'000), here(1, 2'000'100), KeyFinding::equal},
      {"no ttl at the target", here(1, 2'000'000), here(1), KeyFinding::ttl},
      {"no ttl at the source", here(1), here(1, 2'000'000), KeyFinding::ttl},
      {"missing", here(1), gone, KeyFinding::missing},
      {"extra", gone, here(1), KeyFinding::extra},
      {"both gone", gone, gone, KeyFinding::equal},
      {"missing, about to expire", here(1, now_ms + 50), gone, KeyFinding::equal},
      {"missing, expires later", here(1, now_ms + 101), gone, KeyFinding::missing},
      {"extra, about to expire", gone, here(1, now_ms + 50), KeyFinding::equal},
      {"source unreadable", unreadable, here(1), KeyFinding::unknown},
      {"target unreadable", here(1), unreadable, KeyFinding::unknown},
      {"gone and unreadable", gone, unreadable, KeyFinding::unknown},
      {"does not travel", left_out, here(1), KeyFinding::equal},
  };

  for (const Case& one : cases)
    EXPECT_EQ(judge(one.source, one.target, rules, now_ms), one.finding) << one.what;
}

TEST(Judge, LevelsSayHowClosely) {
  JudgeRules rules;
  rules.level = VerifyLevel::exists;
  EXPECT_EQ(judge(here(1, 5'000'000), here(2), rules, now_ms), KeyFinding::equal);
  rules.level = VerifyLevel::ttl;
  EXPECT_EQ(judge(here(1), here(2), rules, now_ms), KeyFinding::equal);
  EXPECT_EQ(judge(here(1, 5'000'000), here(1), rules, now_ms), KeyFinding::ttl);
}

TEST(Judge, ExpiriesAreWhatTheMappingMakesOfThem) {
  TransformOptions options;
  options.ttl = "+10s";
  const auto shifted = Remap::compile(options);
  ASSERT_TRUE(shifted);
  options.ttl = "none";
  const auto never = Remap::compile(options);
  ASSERT_TRUE(never);
  JudgeRules rules;
  rules.remap = &*shifted;

  EXPECT_EQ(judge(here(1, 2'000'000), here(1, 2'010'000), rules, now_ms), KeyFinding::equal);
  EXPECT_EQ(judge(here(1, 2'000'000), here(1, 2'000'000), rules, now_ms), KeyFinding::ttl);
  rules.remap = &*never;
  EXPECT_EQ(judge(here(1, 2'000'000), here(1), rules, now_ms), KeyFinding::equal);
}

TEST(Judge, CountersOfStreamsCountWhereBothTellThem) {
  Reading source = here(1);
  Reading target = here(1);
  source.digest.counters = 5;
  EXPECT_EQ(judge(source, target, JudgeRules(), now_ms), KeyFinding::equal);
  target.digest.counters = 6;
  EXPECT_EQ(judge(source, target, JudgeRules(), now_ms), KeyFinding::value);
}

}  // namespace
}  // namespace keyferry
