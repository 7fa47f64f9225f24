// The source fails over while its old master goes on for a moment: what it still sends us is not of
// the new master's history. Without an effect it is taken back, and nothing is copied again.
#include "e2e/start.hpp"
#include "support/cluster.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

std::int64_t offset_of(const RedisServer& server) {
  return std::atoll(server.info("master_repl_offset").c_str());
}

void greet(const RedisServer& server) {
  server.command({"PUBLISH", "__sentinel__:hello", "127.0.0.1,26379,me,1,m,127.0.0.1,6379,0"});
}

// A master, its replica, and an address that is the one's or the other's.
class Pair {
 public:
  Pair()
      : old_(source_server(quiet)),
        heir_(source_server(quiet)),
        address_(old_.host(), old_.port()) {
    heir_.command({"REPLICAOF", old_.host(), std::to_string(old_.port())});
    EXPECT_TRUE(
        wait_for(Millis{20000}, [this] { return heir_.info("master_link_status") == "up"; }));
  }

  const RedisServer& old() const { return old_; }
  const RedisServer& heir() const { return heir_; }
  std::string uri() const { return address_.uri(); }

  // Both have the same; from here on each goes its own way.
  void fork() {
    ASSERT_TRUE(wait_for(Millis{10000}, [this] { return offset_of(old_) == offset_of(heir_); }));
    heir_.command({"REPLICAOF", "NO", "ONE"});
    EXPECT_EQ(heir_.info("role"), "master");
  }
  void move() {
    address_.forward_to(heir_.port());
    address_.cut();
  }

 private:
  inline static const std::vector<std::string> quiet = {"--repl-diskless-sync-delay", "0",
                                                        "--repl-ping-replica-period", "3600"};
  RedisServer old_;
  RedisServer heir_;
  FaultProxy address_;
};

void wait_received(Keyferry& link, const Pair& source) {
  const std::string until = std::to_string(offset_of(source.old()));
  ASSERT_TRUE(link.wait_status("stream.applied_offset", until, Millis{10000})) << link.output();
}

template <class Target>
void expect_followed(const Pair& source, const Target& target, Keyferry& link, std::size_t copies) {
  increment_counters(source.heir(), 500);
  EXPECT_TRUE(wait_for(Millis{30000}, [&] {
    return describe(compare(source.heir(), target)).empty();
  })) << link.output();
  expect_equal_after_drain(source.heir(), target, link);
  EXPECT_EQ(count_of(link.output(), "full sync begins"), copies) << link.output();
}

template <class Target>
void fail_over_behind_greetings(const Target& target, const std::vector<std::string>& settings) {
  Pair source;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target, with_settings(settings, quick_lease));
  increment_counters(source.old(), 500);
  source.fork();
  for (int i = 0; i < 3; ++i)
    greet(source.old());
  wait_received(link, source);
  // Time for the record to follow, if it wanted to.
  std::this_thread::sleep_for(Millis{1500});

  source.move();

  expect_followed(source, target, link, 1);
  EXPECT_NE(link.output().find("without effect"), std::string::npos) << link.output();
}

TEST(SourceFork, WhatHasNoEffectBehindItIsTakenBack) {
  RedisServer target;
  fail_over_behind_greetings(target, {});
}

TEST(SourceFork, WithoutAKeptStream) {
  RedisServer target;
  fail_over_behind_greetings(target, {"spool.dir="});
}

TEST(SourceFork, IntoACluster) {
  RedisCluster target;
  fail_over_behind_greetings(target, {});
}

TEST(SourceFork, AtLeastOnce) {
  RedisServer target;
  fail_over_behind_greetings(target, {"delivery.mode=at_least_once"});
}

void fail_over_behind_an_effect(const std::vector<std::vector<std::string>>& commands) {
  Pair source;
  RedisServer target;
  Keyferry link(KEYFERRY_BINARY);
  start(link, source, target);
  increment_counters(source.old(), 500);
  source.fork();
  greet(source.old());
  RespClient client = source.old().client();
  for (const std::vector<std::string>& command : commands)
    client.must(command);
  greet(source.old());
  wait_received(link, source);

  source.move();

  expect_followed(source, target, link, 2);
}

TEST(SourceFork, AnEffectBehindItMeansAnotherCopy) {
  fail_over_behind_an_effect({{"INCR", "n:0"}});
}

TEST(SourceFork, AnEffectThatComesInsideATransactionCounts) {
  fail_over_behind_an_effect({{"MULTI"}, {"INCR", "n:0"}, {"INCR", "n:1"}, {"EXEC"}});
}

template <class Target>
void restart_behind_greetings(const Target& target) {
  Pair source;
  Keyferry link(KEYFERRY_BINARY);
  const auto more = with({"--set", "delivery.link=moving"});
  start(link, source, target, more);
  increment_counters(source.old(), 500);
  source.fork();
  greet(source.old());
  wait_received(link, source);
  std::this_thread::sleep_for(Millis{2500});
  link.process().kill9();
  source.move();
  increment_counters(source.heir(), 20);

  start(link, source, target, more);

  expect_followed(source, target, link, 1);
  EXPECT_EQ(source.heir().info("sync_full"), "0");
}

TEST(SourceFork, AStartBehindItGoesOn) {
  RedisServer target;
  restart_behind_greetings(target);
}

TEST(SourceFork, AStartBehindItGoesOnIntoACluster) {
  RedisCluster target;
  restart_behind_greetings(target);
}

}  // namespace
}  // namespace keyferry::test
