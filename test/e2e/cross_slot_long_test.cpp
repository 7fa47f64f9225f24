// The long tier of commands over several slots that come out of a file.
#include "e2e/cross_slot_file.hpp"

namespace keyferry::test {
namespace {

TEST(CrossSlotFileLong, FiftyThousandRandomCommandsEndEqual) {
  load_random(21, 50000, quick_lease);
}

}  // namespace
}  // namespace keyferry::test
