// Chaos, the short edition: five minutes together: see chaos.hpp.
#include "chaos.hpp"

namespace keyferry::test {
namespace {

TEST(Chaos, OnOneServer) {
  play_chaos<OneServer>(150, 20);
}

TEST(Chaos, OnACluster) {
  play_chaos<ThreeMasters>(150, 20);
}

}  // namespace
}  // namespace keyferry::test
