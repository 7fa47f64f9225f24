#include "keyferry/checkpoint/resume_plan.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

const std::string history(40, 'a');
const std::string newer_history(40, 'b');
constexpr Slot half = slot_count / 2;

// Two nodes; the first owns the lower half.
struct Cluster {
  FoundRecords found;

  Cluster() {
    for (std::size_t slot = half; slot < slot_count; ++slot)
      found.owner[slot] = 1;
  }
  // A record at node `at` that vouches for [first, last].
  Cluster& node(std::uint16_t at, Offset offset, std::size_t first, std::size_t last,
                std::uint64_t generation = 3) {
    FoundRecords::Node node;
    node.at = at;
    Record& record = node.record.record;
    record.generation = generation;
    record.state = Record::State::complete;
    record.owns_target = true;
    record.judged = record.offset = offset;
    record.replid = history;
    for (std::size_t slot = first; slot <= last; ++slot)
      node.record.slots.set(slot);
    found.nodes.push_back(node);
    return *this;
  }
  Cluster& slot(Slot at, Offset judged, Offset offset, std::uint64_t generation = 3,
                const std::string& replid = history) {
    SlotRecord record;
    record.generation = generation;
    record.judged = judged;
    record.offset = offset;
    record.replid = replid;
    found.slots[at] = record;
    return *this;
  }
  // The last node's record lists the slot's own.
  Cluster& listing(Slot at) {
    found.nodes.back().record.recorded.set(at);
    return *this;
  }
  Cluster& both(Offset lower, Offset upper) {
    return node(0, lower, 0, half - 1).node(1, upper, half, slot_count - 1);
  }
};

TEST(ResumePlan, KnowsNothingOfAnEmptyTarget) {
  EXPECT_EQ(plan_resume(FoundRecords()).verdict, ResumePlan::Verdict::unknown_here);
  EXPECT_EQ(plan_resume(Cluster().slot(1, 5, 6).found).verdict, ResumePlan::Verdict::unknown_here);
}

TEST(ResumePlan, BeginsAtTheLowestNodeAndSkipsWhatTheOthersHave) {
  const ResumePlan plan = plan_resume(Cluster().both(900, 700).found);

  EXPECT_EQ(plan.verdict, ResumePlan::Verdict::go_on);
  EXPECT_EQ(plan.start.judged, 700);
  EXPECT_EQ(plan.start.generation, 3U);
  EXPECT_TRUE(plan.start.owns_target);
  EXPECT_EQ(plan.slots[0].from, 900);
  EXPECT_EQ(plan.slots[half].from, 700);
  EXPECT_EQ(plan.highest, 900);
}

TEST(ResumePlan, SkipsWhatASlotsOwnRecordCovers) {
  const ResumePlan plan = plan_resume(Cluster().both(900, 700).slot(half, 750, 800).found);

  EXPECT_EQ(plan.slots[half].from, 800);
  EXPECT_EQ(plan.slots[half].judged, 750) << "what was not answered is suspect";
  EXPECT_EQ(plan.slots[half].recorded, 800);
  EXPECT_EQ(plan.slots[half + 1].from, 700);
  EXPECT_EQ(plan.slots[half + 1].recorded, 0);
}

TEST(ResumePlan, ANodeRecordVouchesForTheRepliesOfOlderSlotRecords) {
  const ResumePlan plan = plan_resume(Cluster().both(900, 700).slot(3, 100, 200).found);

  EXPECT_EQ(plan.slots[3].from, 900);
  EXPECT_EQ(plan.slots[3].judged, 900);
  EXPECT_EQ(plan.slots[3].recorded, 200);
}

TEST(ResumePlan, IgnoresSlotRecordsOfAnEarlierGeneration) {
  const ResumePlan plan = plan_resume(Cluster().both(900, 900).slot(3, 5000, 5000, 2).found);

  EXPECT_EQ(plan.slots[3].from, 900);
  EXPECT_EQ(plan.slots[3].recorded, 0);
  EXPECT_EQ(plan.highest, 900);
}

TEST(ResumePlan, NamesTheHighestPointWithItsHistory) {
  const ResumePlan plan =
      plan_resume(Cluster().both(900, 900).slot(3, 950, 960, 3, newer_history).found);

  EXPECT_EQ(plan.highest, 960);
  EXPECT_EQ(plan.highest_replid, newer_history);
  EXPECT_EQ(plan.start.replid, history);
}

TEST(ResumePlan, ASlotThatMovedIsVouchedForByItsFormerOwner) {
  Cluster cluster;
  cluster.both(900, 700);
  cluster.found.owner[5] = 1;

  const ResumePlan plan = plan_resume(cluster.found);

  EXPECT_EQ(plan.verdict, ResumePlan::Verdict::go_on);
  EXPECT_EQ(plan.slots[5].from, 900);
}

// The record of node 0 moved along with the slot it lies in; node 1 lost what came later.
TEST(ResumePlan, TheOwnersOwnRecordCountsBeforeAHigherOneElsewhere) {
  const ResumePlan plan = plan_resume(Cluster().both(900, 700).node(0, 950, half, half + 9).found);

  EXPECT_EQ(plan.slots[half].from, 700);
}

TEST(ResumePlan, TheHigherOfTwoRecordsOfANodeCounts) {
  const ResumePlan plan = plan_resume(Cluster().both(900, 700).node(1, 600, half, half).found);

  EXPECT_EQ(plan.slots[half].from, 700);
  EXPECT_EQ(plan.start.judged, 700);
}

TEST(ResumePlan, CopiesAgainWhenANodeHasNoRecord) {
  const ResumePlan plan = plan_resume(Cluster().node(0, 900, 0, half - 1).found);

  EXPECT_EQ(plan.verdict, ResumePlan::Verdict::copy_again);
  EXPECT_EQ(plan.start.generation, 3U);
}

TEST(ResumePlan, CopiesAgainWhenASlotHasLostItsRecord) {
  Cluster cluster;
  cluster.both(900, 700).listing(half + 5);

  const ResumePlan plan = plan_resume(cluster.found);

  EXPECT_EQ(plan.verdict, ResumePlan::Verdict::copy_again);
  EXPECT_STREQ(plan.reason, "a slot has lost its record");
  EXPECT_EQ(plan.start.generation, 3U);
  cluster.slot(half + 5, 5000, 5000, 2);
  EXPECT_EQ(plan_resume(cluster.found).verdict, ResumePlan::Verdict::copy_again)
      << "of an earlier generation";
  cluster.slot(half + 5, 10, 20);
  EXPECT_EQ(plan_resume(cluster.found).verdict, ResumePlan::Verdict::go_on);
}

// It was imported, and the new owner lost it again.
TEST(ResumePlan, CopiesAgainWhenASlotHasLostItsRecordBehindAMove) {
  Cluster cluster;
  cluster.both(900, 700).listing(half + 5);
  cluster.found.owner[half + 5] = 0;

  EXPECT_EQ(plan_resume(cluster.found).verdict, ResumePlan::Verdict::copy_again);
  cluster.node(0, 950, half + 5, half + 5);
  EXPECT_EQ(plan_resume(cluster.found).verdict, ResumePlan::Verdict::go_on)
      << "the owner's own record knows of none";
}

TEST(ResumePlan, WhatIsListedInAnotherGenerationNeedNotBeThere) {
  Cluster cluster;
  cluster.both(900, 700).node(0, 990, 0, half - 1, 2).listing(5);

  EXPECT_EQ(plan_resume(cluster.found).verdict, ResumePlan::Verdict::go_on);
}

TEST(ResumePlan, CopiesAgainWhenANodeIsOfAnEarlierGeneration) {
  const ResumePlan plan =
      plan_resume(Cluster().node(0, 900, 0, half - 1).node(1, 900, half, slot_count - 1, 2).found);

  EXPECT_EQ(plan.verdict, ResumePlan::Verdict::copy_again);
}

TEST(ResumePlan, CopiesAgainWhenASnapshotWasNotFinished) {
  Cluster cluster;
  cluster.both(900, 900);
  cluster.found.nodes[1].record.record.state = Record::State::loading;

  const ResumePlan plan = plan_resume(cluster.found);

  EXPECT_EQ(plan.verdict, ResumePlan::Verdict::copy_again);
  EXPECT_TRUE(plan.start.owns_target);
}

}  // namespace
}  // namespace keyferry
