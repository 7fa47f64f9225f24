// Scan mode between real servers: a source that is read by SCAN and followed by keyspace events.
// Whole data sets are compared once the writers have stopped and the link says that lag is zero.
#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

const std::vector<std::string> scan_mode = {"--set", "source.mode=scan"};

std::vector<std::string> scanning(std::vector<std::string> more) {
  more.insert(more.begin(), scan_mode.begin(), scan_mode.end());
  return more;
}

RedisServer events_source(std::vector<std::string> args = {}) {
  args.insert(args.begin(), {"--notify-keyspace-events", "AE"});
  return source_server(std::move(args));
}

std::string scan_field(const Keyferry& link, const std::string& name) {
  return link.status("scan." + name);
}

TEST(Scan, ConvergesUnderAWriterOfAllTypes) {
  const RedisServer source = events_source();
  const RedisServer target = source_server();
  LiveOptions live;
  live.dataset.keys = 6000;
  live.dataset.databases = 16;
  live.commands_per_s = 4000;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), scanning({}));
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{2000});
  writer.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();
  EXPECT_GT(std::stoull("0" + scan_field(link, "notifications")), 1000u);
  drain(link);

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

}  // namespace
}  // namespace keyferry::test
