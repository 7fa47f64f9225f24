#include "support/server.hpp"

#include <gtest/gtest.h>

#include "support/cluster.hpp"
#include "support/keyspace.hpp"

namespace keyferry::test {
namespace {

TEST(RedisServer, KeepsPortAndFolderOverARestart) {
  RedisServer server({{}, {"--appendonly", "yes", "--appendfsync", "always"}, "", ""});
  server.command({"SET", "k", "v"});
  const std::uint16_t port = server.port();

  server.kill9();
  EXPECT_THROW(server.client(), std::runtime_error);
  server.restart();

  EXPECT_EQ(server.port(), port);
  EXPECT_EQ(server.command({"GET", "k"}).text, "v");
}

TEST(RedisServer, AuthenticatesItsClients) {
  RedisServer server({{}, {"--requirepass", "secret"}, "", "secret"});

  EXPECT_EQ(server.command({"PING"}).text, "PONG");
  RespClient stranger(server.host(), server.port());
  EXPECT_TRUE(stranger.command({"PING"}).is_error());
}

TEST(RedisServer, ShowsItsLogWhenItDoesNotStart) {
  try {
    RedisServer server({{}, {"--no-such-option", "1"}, "", ""});
    FAIL() << "started";
  } catch (const std::runtime_error& failure) {
    EXPECT_NE(std::string(failure.what()).find("no-such-option"), std::string::npos)
        << failure.what();
  }
}

TEST(Sentinel, KnowsItsMaster) {
  RedisServer master;
  Sentinel sentinel(master, "mymaster");

  const Reply address = sentinel.client().must({"SENTINEL", "get-master-addr-by-name", "mymaster"});

  EXPECT_EQ(address.printable(), "[127.0.0.1, " + std::to_string(master.port()) + "]");
}

TEST(RedisCluster, FormsWithThreeMastersAndAReplica) {
  RedisCluster cluster({3, 1, {}});

  EXPECT_EQ(cluster.owner(0), 0U);
  EXPECT_EQ(cluster.owner(8192), 1U);
  EXPECT_EQ(cluster.owner(16383), 2U);
  EXPECT_EQ(cluster.node(3).info("role"), "slave");
}

TEST(RedisCluster, MovesASlotWithItsKeys) {
  RedisCluster cluster;
  Keyspace keys(cluster);
  const int slot = key_slot("{tag}");
  const std::size_t from = cluster.owner(slot);
  const std::size_t to = (from + 1) % 3;
  for (int i = 0; i < 50; ++i)
    keys.command({"SET", "{tag}" + std::to_string(i), "v"});

  cluster.begin_move(slot, to);
  EXPECT_EQ(cluster.migrate_keys(slot, to, 20), 20U);
  // Half-way: the old owner sends a client on with ASK for what it no longer has.
  std::size_t asked = 0;
  for (int i = 0; i < 50; ++i) {
    const Reply reply = cluster.node(from).client().command({"GET", "{tag}" + std::to_string(i)});
    if (reply.text.rfind("ASK ", 0) == 0) ++asked;
    EXPECT_EQ(keys.command({"GET", "{tag}" + std::to_string(i)}).text, "v");
  }
  EXPECT_EQ(asked, 20U);
  cluster.move_slot(slot, to);

  EXPECT_EQ(cluster.owner(slot), to);
  EXPECT_EQ(cluster.node(to).command({"CLUSTER", "COUNTKEYSINSLOT", std::to_string(slot)}).integer,
            50);
  EXPECT_EQ(keys.command({"GET", "{tag}7"}).text, "v");
}

class Releases : public testing::TestWithParam<std::string> {};

TEST_P(Releases, EachStarts) {
  const ServerRelease wanted = release(GetParam());
  if (!wanted.unreachable.empty()) GTEST_SKIP() << GetParam() << " " << wanted.unreachable;

  RedisServer server({wanted, {}, "", ""});

  const std::string version = server.version();
  const Keyspace keys(server);
  RecordProperty("version", version);
  std::cout << GetParam() << " is " << version << "\n";
  EXPECT_EQ(keys.is_valkey(), GetParam().rfind("valkey", 0) == 0);
  const auto number = [](const std::string& text) {
    return std::stod(text.substr(0, text.find('.', 2)));
  };
  static const std::map<std::string, double> at_least = {{"redis-6.0", 6.0},
                                                         {"redis-8.0", 8.0},
                                                         {"valkey-8.1", 8.1},
                                                         {"redis-next", 8.0},
                                                         {"valkey-9.1", 9.1}};
  EXPECT_GE(number(version), at_least.at(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(OfDebian, Releases, testing::ValuesIn(release_names()),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace keyferry::test
