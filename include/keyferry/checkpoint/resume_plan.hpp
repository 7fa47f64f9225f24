// From the records that were found in a cluster to where the stream goes on: per slot the offset up
// to which its commands are in the target. Pure; reading the records is sink's, asking the source
// whether it has that stream is pipeline's.
#pragma once

#include <optional>
#include <vector>

#include "keyferry/checkpoint/slot_record.hpp"

namespace keyferry {

struct FoundRecords {
  struct Node {
    std::uint16_t at = 0;  // the node that has it, counted like `owner`
    NodeRecord record;
  };
  std::vector<std::uint16_t> owner = std::vector<std::uint16_t>(slot_count);
  std::vector<Node> nodes;
  std::vector<std::optional<SlotRecord>> slots = std::vector<std::optional<SlotRecord>>(slot_count);
};

struct SlotStart {
  Offset from = 0;      // what ends here or before is in the target
  Offset judged = 0;    // of that, what ends behind this was answered by nobody knows what
  Offset recorded = 0;  // the slot's own record, 0 = it has none
};

struct ResumePlan {
  enum class Verdict : std::uint8_t {
    unknown_here,  // nothing of this link is in the target
    copy_again,    // what is there cannot be gone on from
    go_on,
  };
  Verdict verdict = Verdict::unknown_here;
  const char* reason = "";  // copy_again
  // Where the stream begins: the lowest node record. copy_again: generation and owns_target only.
  Record start;
  // The furthest point of the source's stream that is in the target, and its history.
  std::string highest_replid;
  Offset highest = 0;
  std::vector<SlotStart> slots;
};

ResumePlan plan_resume(const FoundRecords& found);

}  // namespace keyferry
