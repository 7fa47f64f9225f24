// Chaos for ten minutes each: see chaos.hpp.
#include "chaos.hpp"

namespace keyferry::test {
namespace {

TEST(ChaosLong, OnOneServer) {
  play_chaos<OneServer>(600, 80);
}

TEST(ChaosLong, OnACluster) {
  play_chaos<ThreeMasters>(600, 80);
}

}  // namespace
}  // namespace keyferry::test
