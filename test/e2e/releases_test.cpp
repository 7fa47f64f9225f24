// A link between two servers of each release at hand, under a writer; and the snapshot of every
// release into every other: equal, or what would be lost is named.
#include <cstdio>
#include <tuple>
#include <utility>

#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

std::pair<int, int> major_minor(const std::string& text) {
  const std::size_t digits = text.find_first_of("0123456789");
  if (text == "installed") return {7, 0};
  if (digits == std::string::npos) return {8, 0};  // redis-next: what comes behind 8.0
  const std::size_t dot = text.find('.', digits);
  return {std::stoi(text.substr(digits)), std::stoi(text.substr(dot + 1))};
}

class Releases : public testing::TestWithParam<std::string> {};

TEST_P(Releases, CarriesSnapshotAndStream) {
  ServerOptions options;
  options.release = release(GetParam());
  if (!options.release.unreachable.empty()) {
    GTEST_SKIP() << GetParam() << " could not be had: " << options.release.unreachable;
  }
  RedisServer source(options);
  RedisServer target(options);
  // Debian's moving releases may bring a newer one, never an older.
  ASSERT_GE(major_minor(source.version()), major_minor(GetParam())) << source.version();
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

const char* const oldest_and_newest[] = {"redis-6.0", "installed", "redis-8.0", "valkey-8.1",
                                         "valkey-9.1"};

ServerRelease release_of(const std::string& name) {
  return name == "installed" ? ServerRelease() : release(name);
}

struct Knows {
  explicit Knows(const RedisServer& server)
      : functions(Keyspace(server).redis_version() >= 700),
        field_ttls(Keyspace(server).has_hash_field_ttl()) {}
  bool functions;
  bool field_ttls;
};

class Matrix : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(Matrix, SnapshotIsEqualOrSaysWhatWouldBeLost) {
  const auto [from, to] = GetParam();
  ServerOptions source_options;
  ServerOptions target_options;
  source_options.release = release_of(from);
  target_options.release = release_of(to);
  if (!source_options.release.unreachable.empty() || !target_options.release.unreachable.empty())
    GTEST_SKIP() << from << " or " << to << " could not be had";
  RedisServer source(source_options);
  RedisServer target(target_options);
  std::printf("source %s: %s, target %s: %s\n", from, source.version().c_str(), to,
              target.version().c_str());
  // Debian's moving releases may bring a newer one, never an older.
  ASSERT_GE(major_minor(source.version()), major_minor(from)) << source.version();
  ASSERT_GE(major_minor(target.version()), major_minor(to)) << target.version();
  fill(source, {.keys = 600, .seed = 41, .field_ttls = true});
  const Knows source_knows(source);
  const Knows target_knows(target);
  const bool loses_functions = source_knows.functions && !target_knows.functions;
  const bool loses_ttls = source_knows.field_ttls && !target_knows.field_ttls;
  Keyferry link(KEYFERRY_BINARY);

  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--stop-when", "snapshot"});
    link.run(source.uri(), target.uri(), more);
    return link.wait_exit(Millis{60000}).value_or(99);
  };
  const int code = run({});
  if (loses_functions || loses_ttls) {
    EXPECT_EQ(code, 1) << link.output();
    const char* lost = loses_functions ? "a function library cannot be loaded"
                                       : "would lose the expiry times of its fields";
    EXPECT_NE(link.output().find(lost), std::string::npos) << link.output();
    ASSERT_EQ(run({"--set", "snapshot.on_lossy=warn"}), 0) << link.output();
  } else {
    ASSERT_EQ(code, 0) << link.output();
  }

  CompareOptions options;
  options.expiry_tolerance_ms = 200;
  EXPECT_EQ(describe(compare(source, target, options)), "") << link.output();
}

INSTANTIATE_TEST_SUITE_P(Pairs, Matrix,
                         testing::Combine(testing::ValuesIn(oldest_and_newest),
                                          testing::ValuesIn(oldest_and_newest)),
                         [](const auto& chosen) {
                           std::string name = std::string(std::get<0>(chosen.param)) + "_to_" +
                                              std::get<1>(chosen.param);
                           for (char& c : name) {
                             if (c == '-' || c == '.') c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace keyferry::test
