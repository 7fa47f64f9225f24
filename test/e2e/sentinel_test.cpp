// A Sentinel that watches the source must never list, convert or promote anything of ours.
#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

TEST(Sentinel, NeverConvertsAnythingOnOurAccount) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  RedisServer bystander = source_server();
  bystander.command({"SET", "precious", "data"});
  target.command({"SET", "unrelated", "1"});
  Sentinel sentinel(source, "m");
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);

  // Sentinel reads INFO of a master every 10 s and greets what it finds there.
  std::this_thread::sleep_for(Millis{12000});
  source.kill9();
  std::this_thread::sleep_for(Millis{6000});

  const Reply master = sentinel.client().command({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m"});
  ASSERT_EQ(master.items.size(), 2u) << master.printable();
  EXPECT_EQ(master.items[1].text, std::to_string(source.port())) << sentinel.log();
  EXPECT_EQ(target.info("role"), "master");
  EXPECT_EQ(bystander.info("role"), "master");
  EXPECT_EQ(target.command({"GET", "unrelated"}).text, "1");
  // Sentinels talk through PUBLISH __sentinel__:hello on the servers they watch: not on the
  // target's.
  EXPECT_EQ(sentinel.log().find("convert"), std::string::npos) << sentinel.log();
}

}  // namespace
}  // namespace keyferry::test
