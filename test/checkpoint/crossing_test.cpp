#include "keyferry/checkpoint/crossing.hpp"

#include <gtest/gtest.h>

#include "keyferry/resp/resp.hpp"

namespace keyferry {
namespace {

Crossing of_rename() {
  Crossing out;
  out.generation = 3;
  out.end = 1234;
  out.wires = {make_command({"DEL", "from"}),
               make_command({"RESTORE", "to", "0", ByteView("\0\n\r", 3), "REPLACE", "ABSTTL"})};
  return out;
}

Bytes text_of(const Crossing& crossing) {
  Bytes out;
  append_crossing(out, crossing);
  return out;
}

TEST(Crossing, ComesBackAsItWas) {
  for (const Crossing& one : {of_rename(), Crossing()}) {
    const auto read = parse_crossing(text_of(one));
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, one);
  }
}

TEST(Crossing, IsALineAndTheCommands) {
  Crossing one;
  one.generation = 2;
  one.end = 77;
  one.wires = {make_command({"DEL", "k"})};

  EXPECT_EQ(text_of(one), "keyferry1 generation=2 end=77\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n");
}

TEST(Crossing, DamageIsRefused) {
  const Bytes whole = text_of(of_rename());
  const std::size_t head = whole.find('\n');
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const bool ends_command = size == head + 1 || size == head + 1 + of_rename().wires[0].size();
    if (ends_command) continue;
    EXPECT_FALSE(parse_crossing(ByteView(whole).substr(0, size))) << size;
  }
  EXPECT_FALSE(parse_crossing("keyferry2 generation=2 end=77\n"));
  EXPECT_FALSE(parse_crossing("keyferry1 generation=x end=77\n"));
  EXPECT_FALSE(parse_crossing("keyferry1 generation=2 end=\n"));
  EXPECT_FALSE(parse_crossing("keyferry1 generation=2 end=7\n*1\r\n$3\r\nDEL\r\n"));
}

TEST(CrossingStep, IsChosenByWhatTheTargetHas) {
  const Crossing last = of_rename();
  struct Row {
    Offset end;
    bool all_written;
    bool any;
    CrossingStep step;
    const char* why;
  };
  const Row rows[] = {
      {1300, false, false, CrossingStep::run, "nothing of it was begun"},
      {1234, false, false, CrossingStep::finish, "killed before its first effect"},
      {1234, false, true, CrossingStep::finish, "killed between two effects"},
      {1234, true, true, CrossingStep::skip, "killed behind the last one"},
      {1100, true, true, CrossingStep::skip, "the stream began further back"},
      {1100, false, true, CrossingStep::copy_again, "a node lost it, another one did not"},
      {1100, false, false, CrossingStep::copy_again, "all lost it; others may be further"},
      {1300, false, true, CrossingStep::copy_again, "the note was lost with a node"},
      {1300, true, true, CrossingStep::skip, "the note was lost, nothing else was"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(next_step(last, row.end, row.all_written, row.any), row.step) << row.why;
}

}  // namespace
}  // namespace keyferry
