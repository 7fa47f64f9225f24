#include "keyferry/cluster/slot_map.hpp"

#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {
namespace {

RespValue parsed(ByteView bytes) {
  RespValue value;
  const ReplyParse result = parse_reply(bytes, value);
  EXPECT_EQ(result.status, ReplyParse::Status::value) << escaped(bytes);
  EXPECT_EQ(result.size, bytes.size());
  return value;
}

// Replies of Redis 7.0.15: ports 7421 to 7423 are masters, 7424 is a replica of 7421; 7421
// answered.
RespValue recorded(const std::string& name) {
  std::ifstream file(KEYFERRY_TEST_DATA "/cluster/" + name + ".resp", std::ios::binary);
  return parsed(std::string(std::istreambuf_iterator<char>(file), {}));
}

Endpoint owner(const SlotMap& map, Slot slot) {
  const std::uint16_t index = map.owner_of(slot);
  return index == SlotMap::no_owner ? Endpoint{"nobody", 0} : map.masters()[index];
}

struct Expected {
  Slot slot;
  Endpoint owner;
};

struct Recording {
  std::string name;
  std::size_t covered;
  std::vector<Expected> owners;
};

const Endpoint nobody{"nobody", 0};
const Endpoint one{"127.0.0.1", 7421};
const Endpoint two{"127.0.0.1", 7422};
const Endpoint three{"127.0.0.1", 7423};
const Endpoint asked_one{"10.1.1.1", 7421};
const Endpoint asked_two{"10.1.1.1", 7422};
const Endpoint named_one{"node7421.example", 7421};
const Endpoint named_two{"node7422.example", 7422};

TEST(SlotMap, ReadsRecordedSlotsReplies) {
  const Recording recordings[] = {
      {"slots",
       16384,
       {{0, one}, {5460, one}, {5461, two}, {10922, two}, {10923, three}, {16383, three}}},
      {"slots_unknown_endpoint", 16384, {{0, asked_one}, {5461, asked_two}}},
      {"slots_hostname", 16384, {{0, named_one}, {5461, named_two}, {16383, three}}},
      // Slot 5 was moved to 7422, slot 7 is unassigned, and 7423 is down: SLOTS still names it.
      {"slots_master_down",
       16383,
       {{4, one}, {5, two}, {6, one}, {7, nobody}, {8, one}, {16383, three}}},
  };

  for (const Recording& recording : recordings) {
    SCOPED_TRACE(recording.name);
    const Result<SlotMap> map = parse_cluster_slots(recorded(recording.name), "10.1.1.1");
    ASSERT_TRUE(map) << map.error().what;
    EXPECT_EQ(map->covered_slots(), recording.covered);
    EXPECT_EQ(map->masters().size(), 3U);
    for (const Expected& e : recording.owners)
      EXPECT_EQ(owner(*map, e.slot), e.owner) << e.slot;
  }
}

TEST(SlotMap, ReadsRecordedShardsReplies) {
  const Recording recordings[] = {
      {"shards",
       16384,
       {{0, one}, {5460, one}, {5461, two}, {10922, two}, {10923, three}, {16383, three}}},
      {"shards_unknown_endpoint", 16384, {{0, asked_one}, {5461, asked_two}}},
      {"shards_hostname", 16384, {{0, named_one}, {5461, named_two}, {16383, three}}},
      // A master with health "fail" owns nothing.
      {"shards_master_down",
       10922,
       {{4, one}, {5, two}, {6, one}, {7, nobody}, {8, one}, {16383, nobody}}},
  };

  for (const Recording& recording : recordings) {
    SCOPED_TRACE(recording.name);
    const Result<SlotMap> map = parse_cluster_shards(recorded(recording.name), "10.1.1.1");
    ASSERT_TRUE(map) << map.error().what;
    EXPECT_EQ(map->covered_slots(), recording.covered);
    for (const Expected& e : recording.owners)
      EXPECT_EQ(owner(*map, e.slot), e.owner) << e.slot;
  }
}

// Redis 3.0 to 3.2: no node id; numbers may come as strings from proxies.
TEST(SlotMap, ReadsOldAndProxiedSlotsReplies) {
  const Result<SlotMap> map =
      parse_cluster_slots(parsed("*2\r\n*3\r\n:0\r\n:5\r\n*2\r\n$2\r\nh1\r\n:1\r\n"
                                 "*3\r\n$1\r\n6\r\n$1\r\n9\r\n*2\r\n$2\r\nh2\r\n$4\r\n6379\r\n"),
                          "asked");

  ASSERT_TRUE(map) << map.error().what;
  EXPECT_EQ(map->covered_slots(), 10U);
  EXPECT_EQ(owner(*map, 5), (Endpoint{"h1", 1}));
  EXPECT_EQ(owner(*map, 9), (Endpoint{"h2", 6379}));
}

TEST(SlotMap, TakesTheTlsPortWhenThereIsNoOther) {
  const Result<SlotMap> map = parse_cluster_shards(
      parsed("*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:0\r\n$5\r\nnodes\r\n*1\r\n*8\r\n"
             "$8\r\ntls-port\r\n:7000\r\n$8\r\nendpoint\r\n$0\r\n\r\n"
             "$4\r\nrole\r\n$6\r\nmaster\r\n$6\r\nhealth\r\n$6\r\nonline\r\n"),
      "asked");

  ASSERT_TRUE(map) << map.error().what;
  EXPECT_EQ(owner(*map, 0), (Endpoint{"asked", 7000}));
}

TEST(SlotMap, IsEmptyForAnEmptyReply) {
  EXPECT_EQ(parse_cluster_slots(parsed("*0\r\n"), "asked")->covered_slots(), 0U);
  EXPECT_EQ(parse_cluster_shards(parsed("*0\r\n"), "asked")->covered_slots(), 0U);
}

TEST(SlotMap, RefusesMalformedSlotsReplies) {
  const ByteView replies[] = {
      "+OK\r\n",
      "-ERR This instance has cluster support disabled\r\n",
      "*1\r\n:1\r\n",
      "*1\r\n*2\r\n:0\r\n:1\r\n",
      "*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\nh\r\n",
      "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\nh\r\n:1\r\n",
      "*1\r\n*3\r\n:-1\r\n:1\r\n*2\r\n$1\r\nh\r\n:1\r\n",
      "*1\r\n*3\r\n:2\r\n:1\r\n*2\r\n$1\r\nh\r\n:1\r\n",
      "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\nh\r\n:0\r\n",
      "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\nh\r\n:65536\r\n",
      "*1\r\n*3\r\n:0\r\n$2\r\n1x\r\n*2\r\n$1\r\nh\r\n:1\r\n",
  };

  for (ByteView reply : replies) {
    const Result<SlotMap> map = parse_cluster_slots(parsed(reply), "asked");
    ASSERT_FALSE(map) << escaped(reply);
    EXPECT_TRUE(map.error().is(Errc::corrupt));
    EXPECT_TRUE(map.error().what.starts_with("CLUSTER SLOTS: ")) << map.error().what;
  }
}

TEST(SlotMap, RefusesMalformedShardsReplies) {
  const ByteView nodes_end = "$4\r\nrole\r\n$6\r\nmaster\r\n$6\r\nhealth\r\n$6\r\nonline\r\n";
  const std::string replies[] = {
      "+OK\r\n",
      "*1\r\n:1\r\n",
      "*1\r\n*2\r\n$5\r\nslots\r\n*0\r\n",
      "*1\r\n*4\r\n$5\r\nslots\r\n:1\r\n$5\r\nnodes\r\n*0\r\n",
      "*1\r\n*4\r\n$5\r\nslots\r\n*1\r\n:1\r\n$5\r\nnodes\r\n*0\r\n",
      "*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:1\r\n:0\r\n$5\r\nnodes\r\n*0\r\n",
      "*1\r\n*4\r\n$5\r\nslots\r\n*0\r\n$5\r\nnodes\r\n*1\r\n*4\r\n" + std::string(nodes_end),
  };

  for (const std::string& reply : replies) {
    const Result<SlotMap> map = parse_cluster_shards(parsed(reply), "asked");
    ASSERT_FALSE(map) << escaped(reply);
    EXPECT_TRUE(map.error().is(Errc::corrupt));
    EXPECT_TRUE(map.error().what.starts_with("CLUSTER SHARDS: ")) << map.error().what;
  }
}

TEST(SlotMap, GivesAssignedSlotsToTheNewOwner) {
  SlotMap map;
  map.assign(0, 16383, one);

  map.assign(100, 200, two);
  map.assign(150, 150, one);

  EXPECT_EQ(map.covered_slots(), 16384U);
  EXPECT_EQ(map.masters(), (std::vector<Endpoint>{one, two}));
  EXPECT_EQ(owner(map, 99), one);
  EXPECT_EQ(owner(map, 100), two);
  EXPECT_EQ(owner(map, 150), one);
  EXPECT_EQ(owner(map, 200), two);
  EXPECT_EQ(owner(map, 201), one);
}

TEST(Endpoint, IsPrintedWithBracketsOnlyForIpv6) {
  EXPECT_EQ(to_string(Endpoint{"10.0.0.1", 6379}), "10.0.0.1:6379");
  EXPECT_EQ(to_string(Endpoint{"::1", 6379}), "[::1]:6379");
  EXPECT_EQ(to_string(Endpoint{"node.example", 1}), "node.example:1");
}

}  // namespace
}  // namespace keyferry
