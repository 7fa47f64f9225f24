#include "keyferry/sink/slot_table.hpp"

#include <map>
#include <random>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

Unit unit_of(Slot slot, Offset end, bool needs_record = false) {
  Unit unit;
  unit.wire = "x";
  unit.slot = slot;
  unit.end = end;
  unit.needs_record = needs_record;
  return unit;
}

LaneBatch batch_of(std::vector<Unit> units, Watermark::Ticket ticket = 1) {
  LaneBatch batch;
  batch.cargo = std::make_shared<Cargo>();
  batch.ticket = ticket;
  batch.units = std::move(units);
  return batch;
}

void push(SlotTable& table, LaneBatch batch) {
  table.push(std::move(batch), [](Slot) {});
}

std::uint64_t told(SlotTable& table) {
  std::uint64_t units = 0;
  table.take_answered([&](const LaneBatch&, const Answered& answered) { units += answered.units; });
  return units;
}

TEST(SlotTable, KeepsTheOrderOfEachSlotOverBatches) {
  SlotTable table;
  push(table, batch_of({unit_of(1, 10), unit_of(2, 20), unit_of(1, 30)}));
  push(table, batch_of({unit_of(1, 40)}));

  EXPECT_EQ(table[1].waiting, 3U);
  EXPECT_EQ(table.unit(table.hand_out(1)).end, 10);
  EXPECT_EQ(table.unit(table.hand_out(1)).end, 30);
  EXPECT_EQ(table.unit(table.hand_out(1)).end, 40);
  EXPECT_EQ(table.unit(table.hand_out(2)).end, 20);
  EXPECT_EQ(table[1].waiting, 0U);
}

TEST(SlotTable, CountsThoseThatWaitForARecord) {
  SlotTable table;
  push(table, batch_of({unit_of(1, 10), unit_of(1, 20, true), unit_of(1, 30)}));

  EXPECT_EQ(table[1].need_record, 1U);
  table.hand_out(1);
  table.hand_out(1);
  EXPECT_EQ(table[1].need_record, 0U);
  table.take_back(1);
  EXPECT_EQ(table[1].need_record, 1U);
  EXPECT_EQ(table[1].waiting, 3U);
}

TEST(SlotTable, TakesBackOnlyWhatIsNotInFlight) {
  SlotTable table;
  push(table, batch_of({unit_of(1, 10), unit_of(1, 20), unit_of(1, 30)}));
  for (int i = 0; i < 3; ++i)
    table.hand_out(1);
  table[1].in_flight = 1;
  const std::uint32_t epoch = table[1].epoch;

  table.take_back(1);

  EXPECT_NE(table[1].epoch, epoch) << "what was handed out is void";
  EXPECT_EQ(table[1].handed_out, 1U);
  EXPECT_EQ(table.unit(table.hand_out(1)).end, 20);
}

TEST(SlotTable, TellsOfAnsweredUnitsOnce) {
  SlotTable table;
  push(table, batch_of({unit_of(1, 10), unit_of(2, 20)}));
  table.hand_out(2);
  table.answer(2);

  EXPECT_EQ(told(table), 1U);
  EXPECT_EQ(told(table), 0U);
  EXPECT_EQ(table.units(), 1U);
}

TEST(SlotTable, LetsGoOfABatchThatIsDoneBehindOneThatIsNot) {
  SlotTable table;
  auto later = batch_of({unit_of(2, 20)});
  const std::weak_ptr<const Cargo> cargo = later.cargo;
  push(table, batch_of({unit_of(1, 10)}));
  push(table, std::move(later));
  table.hand_out(2);
  table.answer(2);

  EXPECT_EQ(told(table), 1U);
  EXPECT_TRUE(cargo.expired());
  EXPECT_EQ(table.unit(table.hand_out(1)).end, 10);
}

TEST(SlotTable, ARemovedUnitIsNotAnswered) {
  SlotTable table;
  push(table, batch_of({unit_of(1, 10), unit_of(1, 20, true), unit_of(1, 30)}));
  table.remove(1, table.behind(table[1].head));

  EXPECT_EQ(told(table), 0U);
  EXPECT_EQ(table[1].need_record, 0U);
  EXPECT_EQ(table.unit(table.hand_out(1)).end, 10);
  EXPECT_EQ(table.unit(table.hand_out(1)).end, 30);
}

TEST(SlotTable, AUnitFoundInARecordNeedNotBeHandedOut) {
  SlotTable table;
  push(table, batch_of({unit_of(1, 10, true), unit_of(1, 20)}));
  table.answer(1);

  EXPECT_EQ(table[1].waiting, 1U);
  EXPECT_EQ(table[1].need_record, 0U);
  EXPECT_EQ(table.unit(table.hand_out(1)).end, 20);
}

// Whatever is handed out, taken back and answered: each slot's units are answered once, in order.
TEST(SlotTableProperty, AnswersEachUnitOnceInOrder) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  SlotTable table;
  std::map<Slot, Offset> last;
  Offset end = 0;
  std::uint64_t pushed = 0;
  std::uint64_t answered = 0;
  for (int step = 0; step < 20000; ++step) {
    const Slot slot = static_cast<Slot>(random() % 5);
    SlotState& state = table[slot];
    switch (random() % 5) {
      case 0: {
        std::vector<Unit> units;
        for (unsigned i = 0; i <= random() % 4; ++i)
          units.push_back(unit_of(static_cast<Slot>(random() % 5), ++end, random() % 2 == 0));
        pushed += units.size();
        push(table, batch_of(std::move(units)));
        break;
      }
      case 1:
        if (state.waiting > 0) table.hand_out(slot);
        break;
      case 2:
        if (state.handed_out > state.in_flight) ++state.in_flight;
        break;
      case 3:
        table.take_back(slot);
        break;
      default:
        if (state.in_flight == 0) break;
        ASSERT_GT(table.unit(state.head).end, last[slot]);
        last[slot] = table.unit(state.head).end;
        --state.in_flight;
        table.answer(slot);
        break;
    }
    answered += told(table);
  }
  EXPECT_EQ(table.units(), pushed - answered);
  EXPECT_GT(answered, 100U);
}

}  // namespace
}  // namespace keyferry
