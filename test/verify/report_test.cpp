#include "keyferry/verify/report.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

TEST(DifferenceLine, HoldsBothSidesAndAnEscapedKey) {
  Doubt doubt;
  doubt.db = 2;
  doubt.key = Bytes("a\"\x00\\", 4);
  doubt.finding = KeyFinding::value;
  doubt.source.state = Reading::State::here;
  doubt.source.digest.kind = ValueKind::hash;
  doubt.source.digest.hash = 0xabc;
  doubt.source.expire_ms = 77;
  DifferenceReport report;
  report.doubt = &doubt;
  report.target = doubt.source;
  report.target.digest.hash = 1;
  report.target_db = 2;
  report.target_key = doubt.key;
  report.element = ElementDifference{"field \"f\"", "1", std::nullopt};

  EXPECT_EQ(difference_line(report, VerifyLevel::full),
            R"({"kind":"value","db":2,"key":"a\\\"\\x00\\\\",)"
            R"("source":{"type":"hash","expire_ms":77,"digest":"0000000000000abc"},)"
            R"("target":{"type":"hash","expire_ms":77,"digest":"0000000000000001"},)"
            R"("element":{"at":"field \"f\"","source":"1","target":null}})");
}

TEST(DifferenceLine, NamesThePlaceInTheTargetWhereItIsAnotherOne) {
  Doubt doubt;
  doubt.key = "a";
  doubt.finding = KeyFinding::missing;
  doubt.source.state = Reading::State::here;
  DifferenceReport report;
  report.doubt = &doubt;
  report.target_db = 3;
  report.target_key = "new:a";

  EXPECT_EQ(difference_line(report, VerifyLevel::exists),
            R"({"kind":"missing","db":0,"key":"a","target_db":3,"target_key":"new:a",)"
            R"("source":{},"target":null})");
}

TEST(Summary, IsEqualOnlyWhenNothingIsLeft) {
  VerifySummary summary;
  EXPECT_TRUE(summary.is_equal());
  summary.differences[0] = 2;
  EXPECT_FALSE(summary.is_equal());
  summary.repaired = 2;
  EXPECT_TRUE(summary.is_equal());
  summary.unreadable = 1;
  EXPECT_FALSE(summary.is_equal());
  EXPECT_NE(summary_table(summary).find("DIFFERENT"), std::string::npos);
}

TEST(Summary, TableAndJsonTellTheCounts) {
  VerifySummary summary;
  summary.level = "digest";
  summary.keys = 1234;
  summary.differences = {1, 2, 3, 4, 5};
  summary.problem = "source: \"gone\"";

  const std::string table = summary_table(summary);
  EXPECT_NE(table.find("1,234 keys"), std::string::npos) << table;
  EXPECT_NE(table.find("extra      5\n"), std::string::npos) << table;
  EXPECT_NE(table.find("broke off: source"), std::string::npos) << table;
  const std::string json = summary_json(summary);
  EXPECT_NE(json.find(R"("value":1,"ttl":2,"type":3,"missing":4,"extra":5,)"), std::string::npos);
  EXPECT_NE(json.find(R"("problem":"source: \\\"gone\\\"")"), std::string::npos) << json;
}

}  // namespace
}  // namespace keyferry
