// Chaos, the short edition: see chaos.hpp.
#include "chaos.hpp"

namespace keyferry::test {
namespace {

TEST(Chaos, OnOneServer) {
  play_chaos<OneServer>(25, 10);
}

TEST(Chaos, OnACluster) {
  play_chaos<ThreeMasters>(30, 8);
}

}  // namespace
}  // namespace keyferry::test
