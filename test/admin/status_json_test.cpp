#include "keyferry/admin/status_json.hpp"

#include <limits>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include "keyferry/admin/version.hpp"

namespace keyferry {
namespace {

namespace json = boost::json;

// Names of an object's members in order, as "a,b,c".
std::string members(const json::value& value) {
  std::string out;
  for (const auto& member : value.as_object()) {
    if (!out.empty()) out += ',';
    out += member.key();
  }
  return out;
}

Status sample() {
  Status status;
  status.phase = Phase::catch_up;
  status.synced = true;
  status.uptime_s = 1.46;
  status.lag_bytes = 7;
  status.lag_ms = 8;
  status.snapshot_keys_done = 3;
  status.snapshot_keys_total = 4;
  status.snapshot_eta_s = 2.6;
  status.applied_offset = 100;
  status.commands_per_s = 12.4;
  status.filtered = 9;
  status.spool_max_bytes = std::numeric_limits<std::uint64_t>::max();
  status.clock_skew_ms = -12;
  status.source = "127.0.0.1:6379";
  status.replid = "abc";
  status.lanes.push_back({"127.0.0.1:7000", 1, 2});
  status.last_error = "bad \"quote\"\n";
  status.last_dead_letters = {"first", "second"};
  return status;
}

TEST(StatusJson, HasTheFieldsOfTheInterface) {
  const json::value document = json::parse(status_json(Status()));

  EXPECT_EQ(members(document),
            "version,phase,synced,uptime_s,lag,clock_skew_ms,snapshot,stream,counters,memory,spool,"
            "shards,cutover,verify,last_dead_letters,limits,last_error");
  EXPECT_EQ(members(document.at("lag")), "bytes,ms");
  EXPECT_EQ(members(document.at("snapshot")), "keys_done,keys_total,bytes_done,bytes_total,eta_s");
  EXPECT_EQ(members(document.at("stream")),
            "applied_offset,received_offset,source_offset,commands_applied,commands_per_s,"
            "bytes_per_s");
  EXPECT_EQ(members(document.at("counters")),
            "applied,filtered,skipped,failed,retried,redirected,reconnects,full_resyncs,"
            "transactions_split,suspect_keys,healed_keys,dead_letters");
  EXPECT_EQ(members(document.at("memory")), "used_bytes,max_bytes");
  EXPECT_EQ(members(document.at("spool")), "used_bytes,max_bytes");
  EXPECT_EQ(members(document.at("shards").at(0)), "source,replid,phase,waits_for_turn,lag,lanes");
}

TEST(StatusJson, ShowsUnknownValuesAsNull) {
  const json::value document = json::parse(status_json(Status()));

  EXPECT_TRUE(document.at("lag").at("bytes").is_null());
  EXPECT_TRUE(document.at("lag").at("ms").is_null());
  EXPECT_TRUE(document.at("clock_skew_ms").is_null());
  EXPECT_TRUE(document.at("snapshot").at("keys_total").is_null());
  EXPECT_TRUE(document.at("snapshot").at("bytes_total").is_null());
  EXPECT_TRUE(document.at("snapshot").at("eta_s").is_null());
  EXPECT_TRUE(document.at("last_error").is_null());
}

TEST(StatusJson, ShowsKnownValues) {
  const json::value document = json::parse(status_json(sample()));

  EXPECT_EQ(document.at("version").as_string(), version());
  EXPECT_EQ(document.at("phase").as_string(), "catch_up");
  EXPECT_TRUE(document.at("synced").as_bool());
  EXPECT_DOUBLE_EQ(document.at("uptime_s").as_double(), 1.5);
  EXPECT_EQ(document.at("lag").at("bytes").as_int64(), 7);
  EXPECT_EQ(document.at("lag").at("ms").as_int64(), 8);
  EXPECT_EQ(document.at("clock_skew_ms").as_int64(), -12);
  EXPECT_EQ(document.at("snapshot").at("keys_total").to_number<int>(), 4);
  EXPECT_EQ(document.at("snapshot").at("eta_s").as_int64(), 3);
  EXPECT_EQ(document.at("stream").at("applied_offset").as_int64(), 100);
  EXPECT_EQ(document.at("stream").at("commands_per_s").as_int64(), 12);
  EXPECT_EQ(document.at("counters").at("filtered").to_number<int>(), 9);
  EXPECT_EQ(document.at("spool").at("max_bytes").as_uint64(),
            std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(document.at("last_error").as_string(), "bad \"quote\"\n");
  EXPECT_EQ(document.at("last_dead_letters").as_array(), json::array({"first", "second"}));
}

TEST(StatusJson, ShowsTheOneShardWithItsLanes) {
  const json::value document = json::parse(status_json(sample()));

  const json::value& shard = document.at("shards").at(0);
  EXPECT_EQ(document.at("shards").as_array().size(), 1U);
  EXPECT_EQ(shard.at("source").as_string(), "127.0.0.1:6379");
  EXPECT_EQ(shard.at("replid").as_string(), "abc");
  EXPECT_EQ(shard.at("phase").as_string(), "catch_up");
  EXPECT_EQ(shard.at("lag").at("bytes").as_int64(), 7);
  EXPECT_EQ(shard.at("lanes").at(0).at("target").as_string(), "127.0.0.1:7000");
  EXPECT_EQ(shard.at("lanes").at(0).at("queued").to_number<int>(), 1);
  EXPECT_EQ(shard.at("lanes").at(0).at("in_flight").to_number<int>(), 2);
}

TEST(StatusJson, ShowsAnEndlessEstimateAsNull) {
  Status status;
  status.snapshot_eta_s = std::numeric_limits<double>::infinity();

  const json::value document = json::parse(status_json(status));

  EXPECT_TRUE(document.at("snapshot").at("eta_s").is_null());
}

TEST(StatusJson, TellsOfTheLastComparison) {
  Status status;
  EXPECT_TRUE(json::parse(status_json(status)).at("verify").is_null());
  status.verify.attempt = 2;
  status.verify.keys = 10;
  status.verify.differences[static_cast<std::size_t>(KeyFinding::missing)] = 3;
  status.verify.repaired = 3;

  const json::value verify = json::parse(status_json(status)).at("verify");

  EXPECT_EQ(
      members(verify),
      "attempt,running,level,equal,seconds,keys,keys_total,target_keys,value,ttl,type,missing,"
      "extra,doubts,looks,changing,unreadable,repaired,problem");
  EXPECT_EQ(verify.at("missing"), json::value(3));
  EXPECT_EQ(verify.at("equal"), json::value(true));
  EXPECT_TRUE(verify.at("problem").is_null());
}

}  // namespace
}  // namespace keyferry
