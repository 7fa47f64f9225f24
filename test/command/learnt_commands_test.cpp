#include <gtest/gtest.h>

#include "keyferry/command/command_table.hpp"

namespace keyferry {
namespace {

RespValue integer(std::int64_t n) {
  RespValue value;
  value.kind = RespValue::Kind::integer;
  value.integer = n;
  return value;
}

RespValue text(Bytes bytes) {
  RespValue value;
  value.kind = RespValue::Kind::bulk;
  value.text = std::move(bytes);
  return value;
}

RespValue array(std::vector<RespValue> items) {
  RespValue value;
  value.kind = RespValue::Kind::array;
  value.items = std::move(items);
  return value;
}

RespValue row(Bytes name, Bytes flag, std::int64_t first, std::int64_t last, std::int64_t step) {
  return array({text(std::move(name)), integer(-3), array({text("denyoom"), text(std::move(flag))}),
                integer(first), integer(last), integer(step)});
}

TEST(LearntCommands, TakesOverWriteCommandsTheTableLacks) {
  LearntCommands learnt;

  const std::size_t count = learnt.learn(
      array({row("json.mset", "write", 1, -1, 3), row("ts.createrule", "write", 1, 2, 1),
             row("ft.alter", "write", 0, 0, 0)}));

  EXPECT_EQ(count, 3U);
  const CommandInfo* mset = learnt.find("Json.MSet");
  ASSERT_NE(mset, nullptr);
  EXPECT_EQ(mset->name, "JSON.MSET");
  EXPECT_EQ(mset->kind, CommandKind::write);
  EXPECT_EQ(mset->shape, KeyShape::range);
  EXPECT_EQ(mset->first, 1);
  EXPECT_EQ(mset->last, -1);
  EXPECT_EQ(mset->step, 3);
  EXPECT_FALSE(mset->is_absolute);
  EXPECT_EQ(mset->split, SplitShape::no);
  EXPECT_EQ(learnt.find("FT.ALTER")->shape, KeyShape::none);
  EXPECT_EQ(learnt.find("JSON.MSE"), nullptr);
}

TEST(LearntCommands, KeepsRowsWhereTheyAreWhileLearningMore) {
  LearntCommands learnt;
  learnt.learn(array({row("a.first", "write", 1, 1, 1)}));
  const CommandInfo* first = learnt.find("a.first");

  for (int i = 0; i < 1000; ++i) {
    learnt.learn(array({row("b." + std::to_string(i), "write", 1, 1, 1)}));
  }

  EXPECT_EQ(learnt.find("A.FIRST"), first);
  EXPECT_EQ(first->name, "A.FIRST");
}

TEST(LearntCommands, SkipsKnownReadingAndMalformedRows) {
  LearntCommands learnt;
  const RespValue rows[] = {
      row("set", "write", 2, 2, 1),             // in the static table
      row("json.get", "readonly", 1, 1, 1),     // never in a stream
      row("", "write", 1, 1, 1),                //
      row(Bytes(1000, 'x'), "write", 1, 1, 1),  //
      row("m.step", "write", 1, 1, 0),          // would never end
      row("m.negative", "write", -1, 1, 1),     //
      row("m.large", "write", 1, 1000, 1),      //
      text("m.text"),                           //
      array({text("m.short"), integer(1)}),     //
      array({integer(1), integer(1), array({text("write")}), integer(1), integer(1), integer(1)}),
      array({text("m.text"), integer(1), array({text("write")}), text("1"), text("1"), text("1")}),
  };

  for (const RespValue& r : rows)
    EXPECT_EQ(learnt.learn(array({r})), 0U) << r.text;
  EXPECT_EQ(learnt.learn(text("OK")), 0U);
  EXPECT_EQ(find_command("set")->first, 1);
}

TEST(LearntCommands, CountsEachNameOnce) {
  LearntCommands learnt;

  EXPECT_EQ(learnt.learn(array({row("m.x", "write", 1, 1, 1), row("M.X", "write", 2, 2, 1)})), 1U);
  EXPECT_EQ(learnt.learn(array({row("m.x", "write", 1, 1, 1)})), 0U);
  EXPECT_EQ(learnt.find("m.x")->first, 1);
}

}  // namespace
}  // namespace keyferry
