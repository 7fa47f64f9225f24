#include "support/resp_client.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include "support/keyferry.hpp"
#include "support/keyspace.hpp"
#include "support/server.hpp"

namespace keyferry::test {
namespace {

TEST(RespClient, ReadsEveryKindOfReply) {
  RedisServer server;
  RespClient client = server.client();

  EXPECT_EQ(client.command({"SET", "k", std::string("a\0\r\nb", 5)}).text, "OK");
  EXPECT_EQ(client.command({"GET", "k"}).text, std::string("a\0\r\nb", 5));
  EXPECT_TRUE(client.command({"GET", "none"}).is_nil());
  EXPECT_EQ(client.command({"INCR", "n"}).integer, 1);
  EXPECT_EQ(client.command({"EVAL", "return {1, {'x', false}, 'y'}", "0"}).printable(),
            "[1, [x, (nil)], y]");
  EXPECT_EQ(client.command({"INCR", "k"}).text.rfind("ERR value", 0), 0U);
  EXPECT_THROW(client.must({"INCR", "k"}), std::runtime_error);
}

TEST(RespClient, PipelinesMoreThanTheSocketsHold) {
  RedisServer server;
  RespClient client = server.client();
  const std::vector<Args> commands(3000, Args{"ECHO", std::string(10000, 'x')});

  const std::vector<Reply> replies = client.pipeline(commands);

  ASSERT_EQ(replies.size(), commands.size());
  for (const Reply& reply : replies)
    ASSERT_EQ(reply.text.size(), 10000U);
}

TEST(RespClient, TimesOutOnAStoppedServer) {
  RedisServer server;
  RespClient client = server.client(Millis{100});

  server.sigstop();

  EXPECT_THROW(client.command({"PING"}), std::runtime_error);
  server.sigcont();
}

TEST(KeySlot, AgreesWithTheServer) {
  RedisCluster cluster({1, 0, {}});
  RespClient client = cluster.node(0).client();

  for (const std::string key :
       {"", "a", "foo", "{tag}x", "x{tag}y", "{}x", "x{}{a}", "{unclosed"}) {
    EXPECT_EQ(key_slot(key), client.must({"CLUSTER", "KEYSLOT", key}).integer) << key;
  }
}

TEST(Endpoint, ReadsUris) {
  const Endpoint full = Endpoint::of_uri("redis://ann:pw@10.0.0.1:7001,10.0.0.2:7002/3");
  EXPECT_EQ(full.host, "10.0.0.1");
  EXPECT_EQ(full.port, 7001);
  EXPECT_EQ(full.user, "ann");
  EXPECT_EQ(full.password, "pw");
  EXPECT_EQ(Endpoint::of_uri("redis://:pw@host").password, "pw");
  EXPECT_EQ(Endpoint::of_uri("host").port, 6379);
}

TEST(JsonField, FindsNestedFields) {
  const std::string json =
      R"({"phase":"steady","synced":true,"lag":{"bytes":12,"ms":null},"shards":[{"id":"a"}]})";

  EXPECT_EQ(json_field(json, "phase"), "steady");
  EXPECT_EQ(json_field(json, "synced"), "true");
  EXPECT_EQ(json_field(json, "lag.bytes"), "12");
  EXPECT_EQ(json_field(json, "lag.ms"), "null");
  EXPECT_EQ(json_field(json, "shards.0.id"), "a");
  EXPECT_EQ(json_field(json, "shards.1.id"), "");
  EXPECT_EQ(json_field(json, "none.of.it"), "");
}

}  // namespace
}  // namespace keyferry::test
