#include "keyferry/pipeline/held_slots.hpp"

#include <gtest/gtest.h>

#include "keyferry/resp/command_parser.hpp"
#include "keyferry/resp/resp.hpp"

namespace keyferry {
namespace {

// A batch of SETs of these keys, as if the stream had begun at `offset`; `wires` keeps the bytes.
Batch batch_of(const std::vector<std::string>& keys, Offset offset, std::deque<Bytes>& wires) {
  Batch batch;
  for (const std::string& key : keys) {
    wires.push_back(make_command({"SET", key, "v"}));
    Command command;
    command.wire = wires.back();
    command.first_arg = static_cast<std::uint32_t>(batch.args.size());
    parse_command(command.wire, batch.args);
    command.arg_count = static_cast<std::uint32_t>(batch.args.size()) - command.first_arg;
    offset += static_cast<Offset>(command.wire.size());
    command.end = offset;
    batch.commands.push_back(command);
  }
  batch.end = offset;
  return batch;
}

ShardSlots only(Slot slot) {
  ShardSlots out;
  out.set(slot);
  return out;
}

TEST(HeldSlots, KeepCopiesInOrderPerSlot) {
  HeldSlots held;
  {
    std::deque<Bytes> wires;
    const Batch batch = batch_of({"a", "b", "c", "d"}, 100, wires);
    EXPECT_TRUE(held.add(7, batch, 0, 0));
    EXPECT_TRUE(held.add(8, batch, 1, 1));
    EXPECT_FALSE(held.add(7, batch, 2, 3));
    for (Bytes& wire : wires)
      wire.assign(wire.size(), 'x');
  }
  const auto batch = held.take(7);

  ASSERT_NE(batch, nullptr);
  ASSERT_EQ(batch->commands.size(), 3u);
  EXPECT_EQ(batch->args_of(batch->commands[0])[1], "a");
  EXPECT_EQ(batch->args_of(batch->commands[1])[1], "c");
  EXPECT_EQ(batch->args_of(batch->commands[2])[1], "d");
  EXPECT_EQ(batch->commands[2].wire, make_command({"SET", "d", "v"}));
  EXPECT_EQ(held.take(7), nullptr);
}

TEST(HeldSlots, HoldASlotFromItsFirstCommandUntilNothingIsLeft) {
  std::deque<Bytes> wires;
  const Batch batch = batch_of({"a", "b"}, 100, wires);
  const auto size = static_cast<Offset>(wires[0].size());
  HeldSlots held;
  held.add(7, batch, 0, 0);
  EXPECT_FALSE(held.holds_before(only(7), 100)) << "what ended there is not held";
  EXPECT_TRUE(held.holds_before(only(7), 101));
  EXPECT_FALSE(held.holds_before(only(8), 1000));

  ASSERT_NE(held.take(7), nullptr);
  EXPECT_TRUE(held.holds(7)) << "it is on its way only";
  held.add(7, batch, 1, 1);
  EXPECT_TRUE(held.holds_before(only(7), 101));
  EXPECT_FALSE(held.release(7));
  EXPECT_FALSE(held.holds_before(only(7), 100 + size)) << "the first one is through";
  EXPECT_TRUE(held.holds_before(only(7), 101 + size));
  held.take(7);
  EXPECT_TRUE(held.release(7));
  EXPECT_TRUE(held.empty());
}

TEST(HeldSlots, CountTheBytesUntilTheyAreReleased) {
  std::deque<Bytes> wires;
  const Batch batch = batch_of({"a", "b"}, 0, wires);
  HeldSlots held;
  held.add(7, batch, 0, 0);
  const auto taken = held.take(7);
  EXPECT_EQ(held.bytes(), wires[0].size()) << "it is in memory still";
  held.add(7, batch, 1, 1);
  EXPECT_EQ(held.bytes(), wires[0].size() + wires[1].size());
  EXPECT_FALSE(held.release(7));
  EXPECT_EQ(held.bytes(), wires[1].size());
  held.take(7);
  EXPECT_TRUE(held.release(7));
  EXPECT_EQ(held.bytes(), 0u);
}

}  // namespace
}  // namespace keyferry
