#include "keyferry/checkpoint/resume_plan.hpp"

#include <algorithm>

namespace keyferry {
namespace {

// The record that vouches for a slot: one that its owner holds, since that is lost together with
// what the owner lost; for a slot that came from elsewhere, its former owner's. The highest counts:
// everything it says was answered before it was written.
const FoundRecords::Node* voucher_of(const FoundRecords& found, Slot slot,
                                     std::uint64_t generation) {
  const FoundRecords::Node* best = nullptr;
  bool best_is_owners = false;
  for (const FoundRecords::Node& node : found.nodes) {
    if (node.record.record.generation != generation || !node.record.slots[slot]) continue;
    const bool is_owners = node.at == found.owner[slot];
    const bool better =
        best == nullptr || (is_owners && !best_is_owners) ||
        (is_owners == best_is_owners && node.record.record.judged > best->record.record.judged);
    if (!better) continue;
    best = &node;
    best_is_owners = is_owners;
  }
  return best;
}

void note_highest(ResumePlan& plan, const std::string& replid, Offset offset) {
  if (offset <= plan.highest) return;
  plan.highest = offset;
  plan.highest_replid = replid;
}

// What it said of the slot's relative commands is not known any more.
bool has_lost_record(const FoundRecords& found, Slot slot, const NodeRecord& voucher) {
  const auto& own = found.slots[slot];
  return voucher.recorded[slot] && (!own || own->generation != voucher.record.generation);
}

void plan_slot(ResumePlan& plan, const FoundRecords& found, Slot slot, const Record& voucher) {
  SlotStart& start = plan.slots[slot];
  start.from = start.judged = voucher.judged;
  note_highest(plan, voucher.replid, voucher.judged);
  const auto& own = found.slots[slot];
  if (!own || own->generation != voucher.generation) return;
  start.recorded = own->offset;
  start.from = std::max(start.from, own->offset);
  start.judged = std::max(start.judged, own->judged);
  note_highest(plan, own->replid, own->offset);
}

}  // namespace

ResumePlan plan_resume(const FoundRecords& found) {
  ResumePlan plan;
  if (found.nodes.empty()) return plan;
  plan.verdict = ResumePlan::Verdict::copy_again;
  bool complete = true;
  for (const FoundRecords::Node& node : found.nodes) {
    const Record& record = node.record.record;
    if (record.generation > plan.start.generation) {
      plan.start.generation = record.generation;
      plan.start.owns_target = record.owns_target;
      complete = true;
    }
    if (record.generation == plan.start.generation)
      complete = complete && record.state == Record::State::complete;
  }
  plan.reason = "a snapshot was not finished";
  if (!complete) return plan;

  plan.slots.resize(slot_count);
  const FoundRecords::Node* lowest = nullptr;
  for (std::size_t slot = 0; slot < slot_count; ++slot) {
    const auto* voucher = voucher_of(found, static_cast<Slot>(slot), plan.start.generation);
    plan.reason = "a node has lost its record";
    if (voucher == nullptr) return plan;
    plan.reason = "a slot has lost its record";
    if (has_lost_record(found, static_cast<Slot>(slot), voucher->record)) return plan;
    plan_slot(plan, found, static_cast<Slot>(slot), voucher->record.record);
    if (lowest == nullptr || voucher->record.record.judged < lowest->record.record.judged)
      lowest = voucher;
  }
  plan.verdict = ResumePlan::Verdict::go_on;
  plan.reason = "";
  plan.start = lowest->record.record;
  return plan;
}

}  // namespace keyferry
