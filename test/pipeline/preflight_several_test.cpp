// Findings about several sources as one list.
#include <gtest/gtest.h>

#include "keyferry/pipeline/preflight.hpp"

namespace keyferry {
namespace {

Finding finding(const std::string& name, const std::string& text) {
  Finding out;
  out.name = name;
  out.text = text;
  return out;
}

TEST(JoinFindings, SaysOnceWhatIsTheSameForAll) {
  const Finding target = finding("target.role", "a master");
  const Finding one = finding("source.role", "a:1 is a master");
  const Finding other = finding("source.role", "b:1 is a master");

  const auto out = join_findings({{"ann", {one, target}}, {"bob", {other, target}}});

  ASSERT_EQ(out.size(), 3U);
  EXPECT_EQ(out[0].name, "ann: source.role");
  EXPECT_EQ(out[1].name, "target.role");
  EXPECT_EQ(out[2].name, "bob: source.role");
}

TEST(OneOfSeveral, IsNoCluster) {
  PreflightFacts facts;
  facts.source.address = "a:1";
  EXPECT_FALSE(judge_as_one_of_several(facts, Options()));
  facts.source.identity.is_cluster = true;

  const auto found = judge_as_one_of_several(facts, Options());

  ASSERT_TRUE(found);
  EXPECT_EQ(found->verdict, Grade::fail);
  EXPECT_EQ(found->text, "a:1 is a cluster");
}

TEST(OneOfSeveral, LetsItselfBeReplicated) {
  PreflightFacts facts;
  facts.source.denied.emplace();
  (*facts.source.denied)["PSYNC"] = "no permission";

  const auto found = judge_as_one_of_several(facts, Options());

  ASSERT_TRUE(found);
  EXPECT_TRUE(found->is_fatal);
}

}  // namespace
}  // namespace keyferry
