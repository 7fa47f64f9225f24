#include "keyferry/rdb/restore.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "builder.hpp"
#include "decode.hpp"

namespace keyferry::rdb {
namespace {

using test::raw;

constexpr Dialect redis7 = {Family::redis, 10};
constexpr TargetTraits target7 = {Family::redis, 7, 0};

Event key_event(std::uint8_t type, ByteView key, ByteView value) {
  Event event;
  event.kind = Event::Kind::key;
  event.type = type;
  event.key = key;
  event.value = value;
  return event;
}

Bytes restored(const Event& event, TargetTraits target = target7, bool use_set = true) {
  Bytes out = "before";
  append_restore(out, event, redis7, target, use_set);
  EXPECT_TRUE(out.starts_with("before"));
  return out.substr(6);
}

// DUMP of a string "v" by Redis 7.0.15 but for the version: type, value, version 10, checksum.
Bytes payload(std::uint8_t type, ByteView value) {
  Bytes out = Bytes(1, static_cast<char>(type)) + Bytes(value) + raw("\x0a\x00");
  return out + test::little_endian(crc64(0, out), 8);
}

Bytes bulk(ByteView bytes) {
  return fmt::format("${}\r\n{}\r\n", bytes.size(), bytes);
}

TEST(Restore, SendsPlainAndIntegerStringsAsSet) {
  const Bytes plain = test::string("v\r\n");
  const Bytes number = test::int16(-300);

  EXPECT_EQ(restored(key_event(0, "k", plain)), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\nv\r\n\r\n");
  EXPECT_EQ(restored(key_event(0, "", number)), "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\n-300\r\n");
  EXPECT_EQ(restored(key_event(0, "k", test::string(""))),
            "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");
}

TEST(Restore, SetsTheExpiryWithPxat) {
  const Bytes value = test::string("v");
  Event event = key_event(0, "k", value);
  event.expire_ms = 1700000000123;

  EXPECT_EQ(restored(event),
            "*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$4\r\nPXAT\r\n$13\r\n1700000000123\r\n");
}

TEST(Restore, KeepsToRestoreWhereSetCannotSayIt) {
  const Bytes value = test::string("v");
  const Bytes lzf = test::lzf('z', 100);
  const Event plain = key_event(0, "k", value);
  Event expiring = plain;
  expiring.expire_ms = 5;
  Event idle = plain;
  idle.idle_s = 5;
  Event freq = plain;
  freq.freq = 5;
  const Bytes set = "$3\r\nSET\r\n";

  EXPECT_EQ(restored(key_event(0, "k", lzf)).find(set), Bytes::npos);
  EXPECT_EQ(restored(idle).find(set), Bytes::npos);
  EXPECT_EQ(restored(freq).find(set), Bytes::npos);
  EXPECT_EQ(restored(plain, target7, false).find(set), Bytes::npos);
  // PXAT came with 6.2.
  EXPECT_EQ(restored(expiring, {Family::redis, 6, 0}).find(set), Bytes::npos);
  EXPECT_NE(restored(plain, {Family::redis, 6, 0}).find(set), Bytes::npos);
  EXPECT_NE(restored(expiring, {Family::redis, 6, 2}).find(set), Bytes::npos);
  EXPECT_NE(restored(expiring, {Family::valkey, 7, 2}).find(set), Bytes::npos);
}

TEST(Restore, WritesTypeValueVersionAndChecksum) {
  const Bytes value = test::length(1) + test::string("a");
  const Event event = key_event(2, "set", value);

  EXPECT_EQ(restored(event), "*6\r\n$7\r\nRESTORE\r\n$3\r\nset\r\n$1\r\n0\r\n" +
                                 bulk(payload(2, value)) + "$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n");
}

TEST(Restore, CarriesExpiryAndRank) {
  const Bytes value = test::string("v");
  Event event = key_event(0, "k", value);
  event.expire_ms = 1700000000123;
  event.idle_s = 100;
  const Bytes head = "*8\r\n$7\r\nRESTORE\r\n$1\r\nk\r\n$13\r\n1700000000123\r\n" +
                     bulk(payload(0, value)) + "$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n";

  EXPECT_EQ(restored(event), head + "$8\r\nIDLETIME\r\n$3\r\n100\r\n");

  event.idle_s.reset();
  event.freq = 255;
  EXPECT_EQ(restored(event), head + "$4\r\nFREQ\r\n$3\r\n255\r\n");
}

TEST(Restore, SendsAnImpossibleExpiryAsLongPast) {
  const Bytes value = test::string("v");
  Event event = key_event(0, "k", value);
  for (const std::int64_t expire : {std::int64_t{0}, std::int64_t{-5}}) {
    event.expire_ms = expire;

    EXPECT_TRUE(restored(event).ends_with("$4\r\nPXAT\r\n$1\r\n1\r\n"));
    EXPECT_TRUE(restored(event, target7, false)
                    .starts_with("*6\r\n$7\r\nRESTORE\r\n$1\r\nk\r\n$1\r\n1\r\n"));
  }
}

TEST(Restore, PayloadIsWhatDumpAnswered) {
  const Bytes bytes = test::read_data("full_v10.rdb");
  const std::vector<ByteView> pieces{bytes};
  RdbReader reader;
  int compared = 0;

  test::decode<test::SharedBuffer>(pieces, reader, [&](const Event& event) {
    for (const char* key : {"hash:small", "list:mixed", "set:int16", "str:empty", "str:int32",
                            "str:lzf", "stream:empty", "ttl:list", "zset:small"}) {
      if (event.kind != Event::Kind::key || event.key != key) continue;
      std::string file = fmt::format("dump_v10/{}.dump", key);
      std::replace(file.begin(), file.end(), ':', '_');
      EXPECT_NE(restored(event, target7, false).find(bulk(test::read_data(file))), Bytes::npos)
          << key;
      ++compared;
    }
  });

  EXPECT_EQ(compared, 9);
}

TEST(Restore, LoadsFunctionLibraries) {
  Bytes out;

  append_function_load(out, "#!lua name=l\n");

  EXPECT_EQ(out,
            "*4\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$7\r\nREPLACE\r\n$13\r\n#!lua name=l\n\r\n");
}

}  // namespace
}  // namespace keyferry::rdb
