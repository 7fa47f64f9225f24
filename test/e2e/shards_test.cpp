// source.shards: instances that share a cluster, each with the slots that are its own.
#include "e2e/scan_source.hpp"

namespace keyferry::test {
namespace {

std::vector<std::string> shard(const std::string& which, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"--set", "source.shards=" + which});
  return scanning(std::move(more));
}

// Both ends hold every key; the instances in between have filtered what is not theirs.
TEST(Shards, InstancesShareACluster) {
  RedisCluster source(events_cluster());
  RedisCluster target;
  const LiveOptions live = cluster_data(3000, 2000);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  std::vector<std::unique_ptr<Keyferry>> links;
  for (const char* which : {"0/3", "1/3", "2/3"}) {
    links.push_back(std::make_unique<Keyferry>(KEYFERRY_BINARY));
    links.back()->run(source.uri(), target.uri(), shard(which));
  }
  for (const auto& link : links)
    wait_streaming(*link);
  std::this_thread::sleep_for(Millis{1000});
  writer.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();

  for (const auto& link : links) {
    // The slots are cut as those of a new cluster: nobody reads what is not his.
    EXPECT_NE(link->output().find("kind=cluster nodes=1"), std::string::npos) << link->output();
    EXPECT_EQ(link->status("counters.filtered"), "0");
    drain(*link);
  }
  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(Shards, KeepTheirSlotsWhenTheseMove) {
  RedisCluster source(events_cluster());
  const RedisServer target = source_server();
  const LiveOptions live = cluster_data(3000, 2000);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  // Half of the slots each: the second of three masters is read by both.
  Keyferry low(KEYFERRY_BINARY);
  Keyferry high(KEYFERRY_BINARY);
  low.run(source.uri(), target.uri(), shard("0/2"));
  high.run(source.uri(), target.uri(), shard("1/2"));
  wait_streaming(low);
  wait_streaming(high);
  EXPECT_NE(low.output().find("kind=cluster nodes=2"), std::string::npos) << low.output();

  // To the master that only the other one reads.
  for (int block = 0; block < 12; ++block) {
    const int slot = key_slot("{t" + std::to_string(block) + "}");
    source.move_slot(slot, slot < 8192 ? 2 : 0);
  }
  const auto is_taken_up = [](Keyferry& link) {
    return link.wait_until(
        [&link](const std::string&) {
          return link.output().find("source node taken up") != std::string::npos;
        },
        Millis{20000});
  };
  EXPECT_TRUE(is_taken_up(low)) << low.output();
  EXPECT_TRUE(is_taken_up(high)) << high.output();
  std::this_thread::sleep_for(Millis{500});
  writer.stop();
  drain(low);
  drain(high);

  EXPECT_EQ(describe(compare(source, target)), "") << low.output() << high.output();
}

// What only the target holds is removed by the one that it would belong to.
TEST(Shards, LeaveTheKeysOfOthersAlone) {
  RedisCluster source(events_cluster());
  const RedisServer target = source_server();
  DatasetOptions data = cluster_data(3000, 2000).dataset;
  data.keys = 1000;
  fill(source, data);
  target.command({"SET", "{b}extra", "1"});  // slot 3300
  target.command({"SET", "{a}extra", "1"});  // slot 15495
  Keyferry low(KEYFERRY_BINARY);
  Keyferry high(KEYFERRY_BINARY);
  const std::vector<std::string> mirror = {"--set", "snapshot.mirror=true", "--stop-when",
                                           "lag-zero"};

  high.run(source.uri(), target.uri(), shard("1/2", mirror));
  EXPECT_EQ(high.wait_exit(Millis{30000}), 0) << high.output();
  EXPECT_EQ(target.command({"EXISTS", "{a}extra"}).integer, 0);
  EXPECT_EQ(target.command({"EXISTS", "{b}extra"}).integer, 1);
  const std::size_t first = key_count(target);
  low.run(source.uri(), target.uri(), shard("0/2", mirror));
  EXPECT_EQ(low.wait_exit(Millis{30000}), 0) << low.output();

  EXPECT_GT(key_count(target), first);
  EXPECT_EQ(target.command({"EXISTS", "{b}extra"}).integer, 0);
  EXPECT_EQ(describe(compare(source, target)), "") << low.output() << high.output();
}

// The same by PSYNC, from one server: records, leases and fences of the two do not meet.
TEST(Shards, OfAStreamHaveRecordsOfTheirOwn) {
  RedisServer source = source_server();
  const RedisServer target = source_server();
  LiveOptions live = cluster_data(3000, 2000);
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry low(KEYFERRY_BINARY);
  Keyferry high(KEYFERRY_BINARY);
  low.run(source.uri(), target.uri(), {"--set", "source.shards=0/2"});
  high.run(source.uri(), target.uri(), {"--set", "source.shards=1/2"});
  wait_streaming(low);
  wait_streaming(high);
  low.process().kill9();
  low.run(source.uri(), target.uri(), {"--set", "source.shards=0/2"});
  std::this_thread::sleep_for(Millis{1000});
  writer.stop();
  EXPECT_TRUE(high.is_running()) << high.output();
  ASSERT_TRUE(low.wait_synced(Millis{15000})) << low.output();
  EXPECT_EQ(low.status("counters.full_resyncs"), "0") << low.output();
  drain(low);
  drain(high);

  EXPECT_EQ(describe(compare(source, target)), "") << low.output() << high.output();
}

}  // namespace
}  // namespace keyferry::test
