// Chaos for five minutes each: see chaos.hpp.
#include "chaos.hpp"

namespace keyferry::test {
namespace {

TEST(ChaosLong, OnOneServer) {
  play_chaos<OneServer>(300, 40);
}

TEST(ChaosLong, OnACluster) {
  play_chaos<ThreeMasters>(300, 40);
}

}  // namespace
}  // namespace keyferry::test
