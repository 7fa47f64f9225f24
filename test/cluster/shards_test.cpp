#include "keyferry/cluster/shards.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

std::string id_of(char c) {
  return std::string(40, c);
}

// CLUSTER NODES of Redis 7.0.15, with ids made short to write.
std::string nodes_text() {
  return id_of('a') + " 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-99 105 [106->-" +
         id_of('b') + "]\n" + id_of('b') +
         " 127.0.0.1:7002@17002,host master - 0 1700000000000 2 connected 100-104 107-16383 "
         "[106-<-" +
         id_of('a') + "]\n" + id_of('c') + " 127.0.0.1:7003@17003 slave " + id_of('a') +
         " 0 1700000000000 1 connected\n" + id_of('d') + " 127.0.0.1:7004@17004 slave,fail " +
         id_of('b') + " 1700000000000 1700000000000 2 disconnected\n";
}

ShardSlots range(std::size_t first, std::size_t last) {
  ShardSlots out;
  for (std::size_t slot = first; slot <= last; ++slot)
    out.set(slot);
  return out;
}

ClusterShard shard(char master, ShardSlots slots, const std::string& replicas = "") {
  ClusterShard out;
  out.id = id_of(master);
  out.nodes.push_back(out.id);
  for (const char replica : replicas)
    out.nodes.push_back(id_of(replica));
  out.slots = slots;
  return out;
}

TEST(ClusterNodes, GroupsReplicasWithTheirMaster) {
  const auto view = parse_cluster_nodes(nodes_text(), "asked");

  ASSERT_TRUE(view) << view.error().what;
  ASSERT_EQ(view->shards.size(), 2u);
  EXPECT_EQ(view->epoch, 2u);
  EXPECT_EQ(view->shards[0].nodes, (std::vector<std::string>{id_of('a'), id_of('c')}));
  EXPECT_EQ(view->shards[0].replicas, (std::vector<Endpoint>{{"127.0.0.1", 7003}}));
  EXPECT_EQ(view->shards[1].nodes, (std::vector<std::string>{id_of('b'), id_of('d')}));
  EXPECT_TRUE(view->shards[1].replicas.empty());
  EXPECT_EQ(view->shards[1].master, (Endpoint{"127.0.0.1", 7002}));
}

TEST(ClusterNodes, AreAsOldAsTheirSlots) {
  const std::string joined =
      id_of('e') + " 127.0.0.1:7005@17005 master - 0 1700000000000 9 connected\n";

  const auto view = parse_cluster_nodes(nodes_text() + joined, "asked");

  ASSERT_TRUE(view) << view.error().what;
  EXPECT_EQ(view->shards.size(), 3u);
  EXPECT_EQ(view->epoch, 2u) << "it may become a replica, which shows another one";
}

TEST(ClusterNodes, SlotsOnTheMoveStayWithTheirOwner) {
  const auto view = parse_cluster_nodes(nodes_text(), "asked");

  ASSERT_TRUE(view);
  EXPECT_EQ(view->shards[0].slots, range(0, 99) | range(105, 105));
  EXPECT_EQ(view->shards[1].slots, range(100, 104) | range(107, 16383));
  EXPECT_EQ(view->shards[0].moving, range(106, 106));
  EXPECT_EQ(view->shards[1].moving, range(106, 106));
}

TEST(ClusterNodes, AFailedMasterWithoutSlotsIsNoShard) {
  const std::string text = id_of('a') + " 127.0.0.1:1@2 master,fail - 0 0 1 disconnected\n" +
                           id_of('b') + " :2@3 myself,master - 0 0 3 connected 0-16383\n";

  const auto view = parse_cluster_nodes(text, "10.0.0.9");

  ASSERT_TRUE(view);
  ASSERT_EQ(view->shards.size(), 1u);
  EXPECT_EQ(view->shards[0].master, (Endpoint{"10.0.0.9", 2}));
}

TEST(ClusterNodes, TheEpochDoesNotFallWhenAMasterWithoutSlotsBecomesAReplica) {
  const std::string owner = id_of('a') + " 127.0.0.1:1@2 myself,master - 0 0 3 connected 0-16383\n";
  const std::string empty = id_of('b') + " 127.0.0.1:3@4 master - 0 0 9 connected\n";
  const std::string replica =
      id_of('b') + " 127.0.0.1:3@4 slave " + id_of('a') + " 0 0 3 connected\n";

  const auto before = parse_cluster_nodes(owner + empty, "");
  const auto after = parse_cluster_nodes(owner + replica, "");

  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->shards.size(), 2u);
  EXPECT_EQ(after->shards.size(), 1u);
  EXPECT_GE(after->epoch, before->epoch);
}

TEST(ClusterNodes, AMasterThatFailedAndHasSlotsIsDown) {
  const std::string text = id_of('a') + " 127.0.0.1:1@2 master,fail - 0 0 1 disconnected 5\n";

  const auto view = parse_cluster_nodes(text, "");

  ASSERT_TRUE(view);
  ASSERT_EQ(view->shards.size(), 1u);
  EXPECT_TRUE(view->shards[0].is_down);
}

TEST(ClusterNodes, ANodeWithoutAddressIsLeftOut) {
  const std::string text = id_of('a') + " :0@0 master,noaddr - 0 0 1 disconnected 5\n";

  const auto view = parse_cluster_nodes(text, "");

  ASSERT_TRUE(view);
  EXPECT_TRUE(view->shards.empty());
}

TEST(ClusterNodes, MalformedLinesAreCorrupt) {
  const std::string good = id_of('a') + " 127.0.0.1:1@2 master - 0 0 1 connected ";
  for (const std::string& text : {std::string("ERR"), good + "16384", good + "9-3", good + "x",
                                  id_of('a') + " 127.0.0.1 master - 0 0 1 connected",
                                  id_of('a') + " 127.0.0.1:1@2 master - 0 0 one connected"}) {
    const auto view = parse_cluster_nodes(text, "");
    EXPECT_FALSE(view) << text;
    EXPECT_TRUE(view.has_error() && view.error().is(Errc::corrupt)) << text;
  }
}

TEST(ShardTable, AShardKeepsItsNameThroughAFailover) {
  ShardTable table;
  bool changed = false;
  const std::size_t before = table.adopt(shard('a', range(0, 99), "c"), changed);
  EXPECT_TRUE(changed);

  const std::size_t after = table.adopt(shard('c', range(0, 99), "a"), changed);

  EXPECT_EQ(before, after);
  EXPECT_EQ(table.entries().size(), 1u);
  EXPECT_EQ(table.entries()[0].name, "aaaaaaaa");
}

TEST(ShardTable, AReplicaThatChangedSidesDoesNotConfuseShards) {
  ShardTable table;
  bool changed = false;
  table.adopt(shard('a', range(0, 9), "cd"), changed);
  const std::size_t second = table.adopt(shard('b', range(10, 19), "c"), changed);

  EXPECT_EQ(second, 0u) << "c was a's, and b is unknown: nothing better is known";
  table = ShardTable();
  table.adopt(shard('a', range(0, 9), "cd"), changed);
  const std::size_t own = table.adopt(shard('b', range(10, 19)), changed);
  EXPECT_EQ(table.adopt(shard('b', range(10, 19), "c"), changed), own);
}

TEST(ShardTable, ANodeThatWasAMasterWithoutSlotsInheritsTheShardOfItsReplica) {
  ShardTable table;
  bool changed = false;
  const std::size_t a = table.adopt(shard('a', range(0, 9), "r"), changed);
  const std::size_t c = table.adopt(shard('c', range(1, 0)), changed);
  ASSERT_NE(a, c);

  EXPECT_EQ(table.adopt(shard('c', range(0, 4), "r"), changed), c) << "a still is a master";
  EXPECT_EQ(table.adopt(shard('c', range(0, 9), "a"), changed), a);
  table.touch(c, range(0, 4));
  EXPECT_EQ(table.adopt(shard('c', range(0, 9), "a"), changed), a) << "it is a's node now";
}

TEST(ShardTable, ASlotStaysWithItsShardUntilItIsGiven) {
  ShardTable table;
  bool changed = false;
  const std::size_t a = table.adopt(shard('a', range(0, 9)), changed);
  const std::size_t b = table.adopt(shard('b', range(10, 19)), changed);
  table.adopt(shard('b', range(9, 19)), changed);
  EXPECT_TRUE(table.entries()[a].slots[9]);
  EXPECT_EQ(table.others(b, range(9, 9)), std::vector<std::size_t>{a});

  EXPECT_TRUE(table.touch(b, range(9, 10)));
  EXPECT_FALSE(table.touch(b, range(9, 9)));
  EXPECT_EQ(table.contested(a), range(9, 9));
  EXPECT_TRUE(table.contested(b).none());

  table.give(b, range(9, 9));
  EXPECT_FALSE(table.entries()[a].slots[9]);
  EXPECT_TRUE(table.entries()[b].slots[9]);
  EXPECT_TRUE(table.contested(a).none());
  EXPECT_TRUE(table.others(b, range(9, 9)).empty());
}

TEST(ShardTable, SurvivesAsText) {
  ShardTable table;
  table.owns_target = true;
  bool changed = false;
  table.adopt(shard('a', range(0, 9) | range(12, 12), "c"), changed);
  const std::size_t b = table.adopt(shard('b', range(10, 11) | range(13, 16383)), changed);
  table.touch(b, range(3, 4));
  table.doubtful = range(7, 8);
  Bytes text;
  append_shard_table(text, table);

  const auto back = parse_shard_table(text);

  ASSERT_TRUE(back) << back.error().what;
  Bytes again;
  append_shard_table(again, *back);
  EXPECT_EQ(again, text);
  EXPECT_TRUE(back->owns_target);
  EXPECT_EQ(back->entries()[b].slots, table.entries()[b].slots);
  EXPECT_EQ(back->contested(0), range(3, 4));
  EXPECT_EQ(back->doubtful, range(7, 8));
}

TEST(ShardTable, EveryCutTextIsCorrectOrRefused) {
  ShardTable table;
  bool changed = false;
  table.adopt(shard('a', range(0, 9), "c"), changed);
  Bytes text;
  append_shard_table(text, table);
  for (std::size_t size = 0; size < text.size(); ++size) {
    const auto cut = parse_shard_table(ByteView(text).substr(0, size));
    if (cut) {
      EXPECT_LE(cut->entries().size(), 1u);
    }
  }
  EXPECT_FALSE(parse_shard_table("keyferry2 target=own doubtful="));
  EXPECT_FALSE(parse_shard_table("keyferry1 target=mine doubtful="));
  EXPECT_TRUE(parse_shard_table("keyferry1 target=own doubtful=1-3,9"));
}

}  // namespace
}  // namespace keyferry
