// keyferry forget: our records leave the target, nothing else does.
#include "link.hpp"
#include "support/cluster.hpp"

namespace keyferry::test {
namespace {

TEST(Forget, RemovesTheRecordsAndNothingElseOnceTheLinkHasEnded) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "a", "1"});
  source.command({"SET", "keyferrynot", "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  Keyferry forget(KEYFERRY_BINARY);

  forget.start({"forget", "--target", target.uri()});
  EXPECT_EQ(forget.wait_exit(Millis{5000}).value_or(-1), 2);
  EXPECT_NE(forget.output().find("stop it first"), std::string::npos) << forget.output();
  drain(link);
  ASSERT_NE(target.command({"DBSIZE"}).integer, 2);
  forget.start({"forget", "--target", target.uri()});

  EXPECT_EQ(forget.wait_exit(Millis{5000}).value_or(-1), 0) << forget.output();
  EXPECT_NE(forget.output().find("removed 2 keys"), std::string::npos) << forget.output();
  EXPECT_EQ(target.command({"DBSIZE"}).integer, 2);
  EXPECT_EQ(target.command({"GET", "a"}).text, "1");
}

TEST(Forget, SaysThatThereIsNoTarget) {
  Keyferry forget(KEYFERRY_BINARY);
  forget.start({"forget"});

  EXPECT_EQ(forget.wait_exit(Millis{5000}).value_or(-1), 2);
  EXPECT_NE(forget.output().find("the target is missing"), std::string::npos) << forget.output();
  EXPECT_EQ(forget.output().find("the source"), std::string::npos) << forget.output();
}

}  // namespace
}  // namespace keyferry::test
