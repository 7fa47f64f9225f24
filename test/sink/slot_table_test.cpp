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

// All of them chained.
void push(SlotTable& table, LaneBatch batch) {
  for (const Unit& unit : batch.units)
    table.hold(unit.slot);
  table.push(
      std::move(batch), [](std::uint16_t, Slot, const Link&) { FAIL(); }, [](Slot) {});
}

// As they come; what is loose is appended to its slot's units in `loose`.
void push(SlotTable& table, LaneBatch batch, std::map<Slot, std::vector<std::uint64_t>>& loose) {
  table.push(
      std::move(batch),
      [&](std::uint16_t, Slot slot, const Link& link) { loose[slot].push_back(link.at); },
      [](Slot) {});
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

  EXPECT_EQ(table[1].waiting(), 3U);
  EXPECT_EQ(table.hand_out(1).end, 10);
  EXPECT_EQ(table.hand_out(1).end, 30);
  EXPECT_EQ(table.hand_out(1).end, 40);
  EXPECT_EQ(table.hand_out(2).end, 20);
  EXPECT_EQ(table[1].waiting(), 0U);
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
  EXPECT_EQ(table[1].waiting(), 3U);
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
  EXPECT_EQ(table.hand_out(1).end, 20);
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
  EXPECT_EQ(table.hand_out(1).end, 10);
}

TEST(SlotTable, ARemovedUnitIsNotAnswered) {
  SlotTable table;
  push(table, batch_of({unit_of(1, 10), unit_of(1, 20, true), unit_of(1, 30)}));
  table.remove(1, 1);

  EXPECT_EQ(told(table), 0U);
  EXPECT_EQ(table[1].need_record, 0U);
  EXPECT_EQ(table.hand_out(1).end, 10);
  EXPECT_EQ(table.hand_out(1).end, 30);
}

TEST(SlotTable, AUnitFoundInARecordNeedNotBeHandedOut) {
  SlotTable table;
  push(table, batch_of({unit_of(1, 10, true), unit_of(1, 20)}));
  table.answer(1);

  EXPECT_EQ(table[1].waiting(), 1U);
  EXPECT_EQ(table[1].need_record, 0U);
  EXPECT_EQ(table.hand_out(1).end, 20);
}

TEST(SlotTable, TellsOfEachSlotWhetherItsLooseOnesAreDone) {
  SlotTable table;
  table.assign(3, 1);
  std::map<Slot, std::vector<std::uint64_t>> loose;
  push(table, batch_of({unit_of(1, 10), unit_of(2, 20), unit_of(3, 30), unit_of(1, 40)}), loose);

  table.answer_loose(0, loose[1][0], 1, true);
  table.answer_loose(0, loose[2][0], 1, true);
  EXPECT_TRUE(table.has_loose(1));
  EXPECT_FALSE(table.has_loose(2));
  EXPECT_TRUE(table.has_loose(3)) << "of another lane";
  table.answer_loose(0, loose[1][1], 1, true);
  EXPECT_FALSE(table.has_loose(1));

  push(table, batch_of({unit_of(1, 50)}), loose);
  EXPECT_TRUE(table.has_loose(1));
  table.answer_loose(0, loose[1][2], 1, true);
  table.assign(1, 2);
  EXPECT_FALSE(table.has_loose(1)) << "what its former lane has answered";
}

TEST(SlotTable, GivesTheMemoryOfALongChainBack) {
  SlotTable table;
  push(table, batch_of(std::vector<Unit>(5000, unit_of(1, 10))));
  EXPECT_GE(table[1].chain.capacity(), 5000U);
  for (int i = 0; i < 5000; ++i) {
    table.hand_out(1);
    table.answer(1);
  }
  EXPECT_EQ(table[1].chain.capacity(), 0U);
}

TEST(SlotTable, CountsTheCommandsAndBytesOfWhatWasAnswered) {
  SlotTable table;
  std::map<Slot, std::vector<std::uint64_t>> loose;
  Unit piece = unit_of(2, 20);
  piece.commands = 0;  // the command counts with its last piece
  piece.wire = "xyz";
  push(table, batch_of({unit_of(1, 10, true), piece}), loose);
  table.hand_out(1);
  table.answer(1);
  table.answer_loose(0, loose[2][0], 3, false);

  table.take_answered([](const LaneBatch&, const Answered& answered) {
    EXPECT_EQ(answered.units, 2U);
    EXPECT_EQ(answered.commands, 1U);
    EXPECT_EQ(answered.bytes, 4U);
  });
}

TEST(SlotTable, ChainsFromTheFirstThatNeedsARecordUntilAllAreDone) {
  SlotTable table;
  std::map<Slot, std::vector<std::uint64_t>> loose;
  push(table, batch_of({unit_of(1, 10), unit_of(1, 20, true), unit_of(1, 30)}), loose);
  EXPECT_TRUE(table.has_loose(1));
  EXPECT_EQ(table[1].waiting(), 2U);

  table.answer_loose(0, loose[1].at(0), 1, true);
  EXPECT_FALSE(table.has_loose(1));
  table.hand_out(1);
  table.hand_out(1);
  table.answer(1);
  table.release(1);
  EXPECT_TRUE(table.is_held(1)) << "one is not answered";
  table.answer(1);
  table.release(1);
  push(table, batch_of({unit_of(1, 40)}), loose);
  EXPECT_TRUE(table.has_loose(1));
  EXPECT_EQ(told(table), 3U);
}

TEST(SlotTable, TroubleChainsWhatIsLooseInFrontOfTheRest) {
  SlotTable table;
  std::map<Slot, std::vector<std::uint64_t>> loose;
  push(table, batch_of({unit_of(1, 10), unit_of(2, 15), unit_of(1, 20)}), loose);
  push(table, batch_of({unit_of(1, 30, true)}), loose);

  table.chain_loose(1, loose[1], 1);

  EXPECT_FALSE(table.has_loose(1));
  EXPECT_TRUE(table.has_loose(2));
  EXPECT_EQ(table[1].in_flight, 1U);
  EXPECT_EQ(table.unit(table[1].at(0)).end, 10);
  table.take_back(1);
  EXPECT_EQ(table[1].handed_out, 1U);
  EXPECT_EQ(table.hand_out(1).end, 20);
  EXPECT_EQ(table.hand_out(1).end, 30);
}

// Whatever is handed out, taken back and answered: each slot's units are answered once, in order.
TEST(SlotTableProperty, AnswersEachUnitOnceInOrder) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  SlotTable table;
  std::map<Slot, Offset> last;
  std::map<Slot, std::vector<std::uint64_t>> loose;
  for (Slot slot = 0; slot < 5; ++slot)
    table.assign(slot, slot);  // a lane answers in its order
  Offset end = 0;
  std::uint64_t pushed = 0;
  std::uint64_t answered = 0;
  for (int step = 0; step < 20000; ++step) {
    const Slot slot = static_cast<Slot>(random() % 5);
    SlotState& state = table[slot];
    switch (random() % 7) {
      case 0: {
        std::vector<Unit> units;
        for (unsigned i = 0; i <= random() % 4; ++i)
          units.push_back(unit_of(static_cast<Slot>(random() % 5), ++end, random() % 2 == 0));
        pushed += units.size();
        push(table, batch_of(std::move(units)), loose);
        break;
      }
      case 1:
        if (state.waiting() > 0 && loose[slot].empty()) table.hand_out(slot);
        break;
      case 2:
        if (state.handed_out > state.in_flight) ++state.in_flight;
        break;
      case 3:
        table.take_back(slot);
        break;
      case 4: {
        std::vector<std::uint64_t>& of_slot = loose[slot];
        if (of_slot.empty()) break;
        if (random() % 4 == 0) {
          const auto in_flight = static_cast<std::uint32_t>(random() % (of_slot.size() + 1));
          table.chain_loose(slot, of_slot, in_flight);
          of_slot.clear();
          break;
        }
        ASSERT_GT(table.unit(of_slot.front()).end, last[slot]);
        last[slot] = table.unit(of_slot.front()).end;
        table.answer_loose(slot, of_slot.front(), 1, true);
        of_slot.erase(of_slot.begin());
        break;
      }
      case 5:
        table.release(slot);
        break;
      default:
        if (state.in_flight == 0) break;
        ASSERT_GT(table.unit(state.at(0)).end, last[slot]);
        last[slot] = table.unit(state.at(0)).end;
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
