// A link between two servers of each release at hand, under a writer. Pairs of different releases
// come with rewriting.
#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

class Releases : public testing::TestWithParam<std::string> {};

TEST_P(Releases, CarriesSnapshotAndStream) {
  ServerOptions options;
  options.release = release(GetParam());
  if (!options.release.unreachable.empty()) {
    GTEST_SKIP() << GetParam() << " could not be had: " << options.release.unreachable;
  }
  RedisServer source(options);
  RedisServer target(options);
  LiveOptions live;
  live.dataset.keys = 2000;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri());
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{500});
  writer.stop();
  drain(link);

  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();
  CompareOptions compare_options;
  // Redis 6 replicates relative expiries, so they drift by the lag.
  if (GetParam() == "redis-6.0") compare_options.expiry_tolerance_ms = 2000;
  EXPECT_EQ(describe(compare(source, target, compare_options)), "") << link.output();
}

INSTANTIATE_TEST_SUITE_P(AtHand, Releases, testing::ValuesIn(release_names()),
                         [](const auto& chosen) {
                           std::string name = chosen.param;
                           for (char& c : name) {
                             if (c == '-' || c == '.') c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace keyferry::test
