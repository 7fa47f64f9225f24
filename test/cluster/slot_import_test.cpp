#include "keyferry/cluster/slot_import.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

std::optional<SlotImport> read(std::vector<ByteView> args) {
  return read_slot_import(args);
}

TEST(SlotImport, NamesItsSlotsWhenItBegins) {
  const auto import = read({"CLUSTER", "SYNCSLOTS", "ESTABLISH", "SOURCE", "node", "NAME", "job",
                            "SLOTSRANGE", "3", "5", "16383", "16383"});
  ASSERT_TRUE(import);
  EXPECT_EQ(import->job, "job");
  EXPECT_EQ(import->slots.count(), 4u);
  EXPECT_TRUE(import->slots[3] && import->slots[4] && import->slots[5] && import->slots[16383]);
}

TEST(SlotImport, NamesOnlyItselfWhenItEnds) {
  const auto import =
      read({"cluster", "syncslots", "finish", "STATE", "SUCCESS", "NAME", "job", "MESSAGE", ""});
  ASSERT_TRUE(import);
  EXPECT_EQ(import->job, "job");
  EXPECT_TRUE(import->slots.none());
}

TEST(SlotImport, IsNoOtherCommand) {
  EXPECT_FALSE(read({"CLUSTER", "SYNCSLOTS", "SNAPSHOT-EOF"}));
  EXPECT_FALSE(read({"CLUSTER", "SYNCSLOTS"}));
  EXPECT_FALSE(read({"CLUSTER", "FLUSHSLOTS", "ESTABLISH"}));
  EXPECT_FALSE(read({"SET", "SYNCSLOTS", "ESTABLISH"}));
}

TEST(SlotImport, OfUnreadableSlotsIsOfAll) {
  const std::vector<std::vector<ByteView>> unreadable = {
      {}, {"5"}, {"5", "3"}, {"0", "16384"}, {"a", "b"}, {"1", "2", "x", "4"}};
  for (const std::vector<ByteView>& slots : unreadable) {
    std::vector<ByteView> args = {"CLUSTER", "SYNCSLOTS", "ESTABLISH", "NAME", "job", "SLOTSRANGE"};
    args.insert(args.end(), slots.begin(), slots.end());
    const auto import = read_slot_import(args);
    ASSERT_TRUE(import);
    EXPECT_TRUE(import->slots.all()) << slots.size();
  }
}

}  // namespace
}  // namespace keyferry
