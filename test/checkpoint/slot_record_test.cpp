#include "keyferry/checkpoint/slot_record.hpp"

#include <gtest/gtest.h>

#include "keyferry/command/keys.hpp"

namespace keyferry {
namespace {

const std::string history(40, 'a');

NodeRecord some_node_record() {
  NodeRecord node;
  node.record.generation = 2;
  node.record.state = Record::State::complete;
  node.record.judged = node.record.offset = 500;
  node.record.replid = history;
  for (const unsigned slot : {0U, 1U, 2U, 7U, 16382U, 16383U})
    node.slots.set(slot);
  return node;
}

SlotRecord some_slot_record() {
  SlotRecord record;
  record.generation = 2;
  record.judged = 100;
  record.replid = history;
  record.offset = 12345;
  return record;
}

TEST(NodeRecord, ComesBackAsItWasWritten) {
  Bytes text;
  append_node_record(text, some_node_record());

  EXPECT_TRUE(text.ends_with(" slots=0-2,7,16382-16383")) << text;
  const auto back = parse_node_record(text);
  ASSERT_TRUE(back) << text;
  EXPECT_EQ(back->record, some_node_record().record);
  EXPECT_EQ(back->slots, some_node_record().slots);
}

TEST(NodeRecord, SaysWhichSlotsHaveARecord) {
  NodeRecord record = some_node_record();
  for (const unsigned slot : {1U, 2U, 16383U})
    record.recorded.set(slot);
  Bytes text;
  append_node_record(text, record);

  EXPECT_TRUE(text.ends_with(" slots=0-2,7,16382-16383 recorded=1-2,16383")) << text;
  const auto back = parse_node_record(text);
  ASSERT_TRUE(back) << text;
  EXPECT_EQ(back->slots, record.slots);
  EXPECT_EQ(back->recorded, record.recorded);
  EXPECT_EQ(parse_node_record(text + " shards=3")->recorded, record.recorded);
  EXPECT_FALSE(parse_node_record(text + ",16384"));
}

// By a version that did not list them.
TEST(NodeRecord, MayListNoSlotRecords) {
  Bytes text;
  append_node_record(text, some_node_record());

  EXPECT_TRUE(parse_node_record(text)->recorded.none());
  EXPECT_TRUE(parse_node_record(text + " shards=3")->recorded.none());
}

TEST(NodeRecord, RefusesRangesThatAreNone) {
  Bytes text;
  append_record(text, some_node_record().record);
  EXPECT_FALSE(parse_node_record(text)) << "a record of a standalone target";
  for (const char* ranges : {"5-2", "16384", "0-16384", "x", "1,,2", "-", "1-"})
    EXPECT_FALSE(parse_node_record(text + " slots=" + ranges)) << ranges;
  EXPECT_TRUE(parse_node_record(text + " slots=1-2 shards=3"));
}

TEST(SlotRecord, ComesBackAsItWasWritten) {
  Bytes text;
  append_slot_record(text, some_slot_record());

  const auto back = parse_slot_record(text);
  ASSERT_TRUE(back) << text;
  EXPECT_EQ(*back, some_slot_record());
  EXPECT_EQ(*parse_slot_record(text + " more=1"), some_slot_record());
}

TEST(SlotRecord, RefusesEveryTruncationAndOtherText) {
  Bytes text;
  append_slot_record(text, some_slot_record());
  // Cut inside the last number it is another number, below `judged`.
  for (std::size_t n = 0; n + 2 < text.size(); ++n)
    EXPECT_FALSE(parse_slot_record(text.substr(0, n))) << n;
  EXPECT_FALSE(parse_slot_record("keyferry2" + text.substr(9)));
}

TEST(SlotRecord, SaysWhatComesNextInASlotThatIsHalfMoved) {
  SlotRecord record = some_slot_record();
  record.intent.emplace();
  record.intent->offset = 12400;
  record.intent->digest = 0xfedcba9876543210;
  record.intent->key = Bytes("a b:\0\xff", 6);
  Bytes text;
  append_slot_record(text, record);

  EXPECT_TRUE(text.ends_with(" intent=12400:fedcba9876543210:6120623a00ff")) << text;
  const auto back = parse_slot_record(text);
  ASSERT_TRUE(back) << text;
  EXPECT_EQ(*back, record);
  for (const char* other : {"1", "1:2", "x:2:61", "1:x:61", "1:2:6", "1:2:6x"})
    EXPECT_FALSE(parse_slot_record(text.substr(0, text.find(" intent=") + 8) + other)) << other;
}

TEST(SlotRecord, NamesTheDatabaseOfWhatComesNext) {
  SlotRecord record = some_slot_record();
  record.intent.emplace();
  record.intent->offset = 12400;
  record.intent->digest = 7;
  record.intent->key = "k";
  record.intent->db = 15;
  Bytes text;
  append_slot_record(text, record);

  EXPECT_TRUE(text.ends_with(" intent=12400:7:6b intent-db=15")) << text;
  const auto back = parse_slot_record(text);
  ASSERT_TRUE(back) << text;
  EXPECT_EQ(*back, record);
  for (const char* other : {"x", "-1", "1x"})
    EXPECT_FALSE(parse_slot_record(text.substr(0, text.size() - 2) + other)) << other;
}

TEST(SlotTag, PutsEachRecordIntoItsSlot) {
  for (std::size_t slot = 0; slot < slot_count; ++slot) {
    const auto number = static_cast<Slot>(slot);
    ASSERT_EQ(slot_of(slot_record_key("link", number)), number);
    ASSERT_EQ(slot_of(node_record_key("link", number)), number);
  }
}

}  // namespace
}  // namespace keyferry
