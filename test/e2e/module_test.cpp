// Values of modules, and what modules keep beside the keys, between real servers that have the
// module of test/support/module or do not.
#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

RedisServer with_module(std::vector<std::string> more = {}) {
  more.insert(more.end(), {"--loadmodule", KEYFERRY_TEST_MODULE});
  return source_server(std::move(more));
}

void write(const RedisServer& server, const std::string& n) {
  RespClient client = server.client();
  client.must({"FERRY.SET", "module:" + n, "text " + n});
  client.must({"SET", "plain:" + n, n});
}

std::string value(const RedisServer& server, const std::string& key) {
  return server.command({"FERRY.GET", key}).text;
}

TEST(Modules, ValuesGoWhereTheModuleIs) {
  for (const char* mode : {"psync", "scan"}) {
    const RedisServer source = with_module({"--notify-keyspace-events", "AEd"});
    const RedisServer target = with_module();
    write(source, "1");
    source.command({"PEXPIRE", "module:1", "3600000"});
    Keyferry link(KEYFERRY_BINARY);
    link.run(source.uri(), target.uri(), {"--set", std::string("source.mode=") + mode});
    wait_streaming(link);
    write(source, "2");
    drain(link);

    EXPECT_EQ(value(target, "module:1"), "text 1") << link.output();
    EXPECT_EQ(value(target, "module:2"), "text 2") << mode << link.output();
    EXPECT_EQ(target.command({"PEXPIRETIME", "module:1"}).integer,
              source.command({"PEXPIRETIME", "module:1"}).integer);
    EXPECT_EQ(target.command({"GET", "plain:2"}).text, "2");
    // A record before the keys and one behind them.
    const bool tells =
        link.output().find("outside of keys was left out: records=2") != std::string::npos;
    EXPECT_EQ(tells, mode == std::string("psync")) << link.output();
  }
}

TEST(Modules, ValuesAreRefusedByNameWhereItIsNot) {
  for (const char* mode : {"psync", "scan"}) {
    const RedisServer source = with_module({"--notify-keyspace-events", "AEd"});
    const RedisServer target = source_server();
    write(source, "1");
    const std::vector<std::string> common = {"--stop-when", "snapshot", "--set",
                                             std::string("source.mode=") + mode};
    Keyferry stopping(KEYFERRY_BINARY);
    stopping.run(source.uri(), target.uri(), common);
    EXPECT_EQ(stopping.wait_exit(Millis{20000}).value_or(99), 1) << stopping.output();
    EXPECT_NE(stopping.output().find("key \"module:1\" (database 0) would lose"), std::string::npos)
        << stopping.output();

    std::vector<std::string> more = common;
    more.insert(more.end(), {"--set", "snapshot.on_unknown_module=skip"});
    Keyferry skipping(KEYFERRY_BINARY);
    skipping.run(source.uri(), target.uri(), more);
    EXPECT_EQ(skipping.wait_exit(Millis{20000}).value_or(99), 0) << skipping.output();
    EXPECT_EQ(target.command({"EXISTS", "module:1"}).integer, 0);
    EXPECT_EQ(target.command({"GET", "plain:1"}).text, "1");
  }
}

TEST(Modules, InspectReadsThem) {
  const RedisServer source = with_module();
  write(source, "1");
  source.command({"SAVE"});
  Keyferry inspect(KEYFERRY_BINARY);

  inspect.start({"inspect", "--json", source.directory() + "/dump.rdb"});

  EXPECT_EQ(inspect.wait_exit(Millis{10000}).value_or(99), 0) << inspect.output();
  EXPECT_NE(inspect.output().find("\"type\":\"module\""), std::string::npos) << inspect.output();
  EXPECT_NE(inspect.output().find("plain:1"), std::string::npos);
}

}  // namespace
}  // namespace keyferry::test
