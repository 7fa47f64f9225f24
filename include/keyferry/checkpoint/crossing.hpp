// What the target says about the last command over several slots that was carried out here (sink/
// across): up to where such commands were begun, and what the last one leaves in each of its keys,
// so that a start finishes what a crash left half done. Written before any key is. Pure: text and
// back, and the decision.
//
//   key "<the link's record>:crossing", in the record's slot; value
//     crossing = "keyferry1" SP "generation=" number SP "end=" number LF *command
//     command  = RESTORE or DEL of one key, as it is sent (RESP)
#pragma once

#include <vector>

#include "keyferry/base/error.hpp"
#include "keyferry/command/batch.hpp"

namespace keyferry {

struct Crossing {
  std::uint64_t generation = 0;
  Offset end = 0;  // of the command in the stream; 0: there was none
  std::vector<Bytes> wires;

  bool operator==(const Crossing&) const = default;
};

void append_crossing(Bytes& out, const Crossing& crossing);
// Errc::corrupt for anything else, a later major version included.
Result<Crossing> parse_crossing(ByteView text);

enum class CrossingStep {
  run,
  finish,      // its effects are known, and some may be there
  skip,        // they all are
  copy_again,  // the target lost some of them, and the operands are not what they were
};
// For the command that ends at `end`; `all_written`: every slot that it writes to has come that
// far, `any`: any of its slots has.
CrossingStep next_step(const Crossing& last, Offset end, bool all_written, bool any);

}  // namespace keyferry
