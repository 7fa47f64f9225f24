// Several sources into one target: when one has to be copied again, all are, into the emptied
// target.
#include "e2e/several_sources.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

TEST(SeveralSources, OneThatMustBeCopiedAgainEndsThemAllUntilRestarted) {
  RedisServer target;
  RedisServer a = followed_source();
  RedisServer b = followed_source();
  a.command({"SET", "gone", "1"});
  b.command({"SET", "of-b", "1"});
  const std::vector<Entry> entries = {{a.uri(), "a", ""}, {b.uri(), "b", ""}};
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, entries, target.uri(), {"target.before=flush"});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  a.command({"DEBUG", "CHANGE-REPL-ID"});
  a.command({"CLIENT", "KILL", "TYPE", "REPLICA"});
  EXPECT_EQ(link.wait_exit(Millis{20000}), 4) << link.output();
  EXPECT_NE(link.output().find("--restart"), std::string::npos) << link.output();
  EXPECT_EQ(target.command({"GET", "of-b"}).text, "1");
  a.command({"DEL", "gone"});

  start_several(link, entries, target.uri(), {"target.before=flush"});
  EXPECT_EQ(link.wait_exit(Millis{20000}), 4) << link.output();
  EXPECT_EQ(target.command({"GET", "of-b"}).text, "1");
  std::vector<std::string> args = {"run",
                                   "--config",
                                   link.directory().file("several.yaml"),
                                   "--restart",
                                   "--http",
                                   "",
                                   "--set",
                                   "admin.resp_listen="};
  args[5] = "127.0.0.1:" + std::to_string(link.http_port());
  link.start(args);
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  drain(link);

  EXPECT_EQ(target.command({"EXISTS", "gone"}).integer, 0);
  EXPECT_EQ(target.command({"GET", "of-b"}).text, "1");
}

TEST(SeveralSources, KilledInASnapshotAllAreCopiedAgain) {
  RedisServer target;
  RedisServer a = followed_source();
  RedisServer b = followed_source();
  fill_strings(a, 3000);
  b.command({"SET", "of-b", "1"});
  const std::vector<Entry> entries = {{a.uri(), "a", ""}, {b.uri(), "b", ""}};
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, entries, target.uri(), {"limits.target_ops_per_s=1000"});
  ASSERT_TRUE(wait_for(Millis{15000}, [&] { return key_count(target) > 300; })) << link.output();
  link.process().kill9();
  ASSERT_LT(key_count(target), 3000u);
  // Some have arrived; none of these may stay.
  for (int i = 0; i < 3000; ++i)
    a.command({"DEL", "key:" + std::to_string(i)});
  a.command({"SET", "of-a", "1"});

  start_several(link, entries, target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  EXPECT_NE(link.output().find("every source is copied again"), std::string::npos) << link.output();
  drain(link);

  expect_sum(target, link, {{&a, ""}, {&b, ""}});
}

// The snapshot of one breaks off, and all are copied again.
class SeveralSourcesRound : public testing::Test {
 protected:
  SeveralSourcesRound() {
    fill_strings(a_, 3000);
    fill_strings(b_, 10000, 1000);
    to_a_.throttle(Direction::to_client, 100'000);
    to_b_.throttle(Direction::to_client, 4'000'000);
    start_several(link_, {{to_a_.uri(), "a", "a:"}, {to_b_.uri(), "b", "b:"}}, target_.uri());
    EXPECT_TRUE(wait_for(Millis{15000}, [&] { return key_count(target_) > 1000; }))
        << link_.output();
  }

  void break_off() {
    to_a_.throttle(Direction::to_client, 0);
    to_a_.cut();
    to_a_.resume();
    EXPECT_TRUE(wait_for(Millis{20000}, [&] {
      return link_.output().find("emptying the target first") != std::string::npos;
    })) << link_.output();
  }

  void expect_equal() {
    to_b_.throttle(Direction::to_client, 0);
    ASSERT_TRUE(link_.wait_synced(Millis{20000})) << link_.output();
    drain(link_);
    expect_sum(target_, link_, {{&a_, "a:"}, {&b_, "b:"}});
  }

  RedisServer target_;
  RedisServer a_ = followed_source();
  RedisServer b_ = followed_source({"--rdbcompression", "no"});
  FaultProxy to_a_{a_.host(), a_.port()};
  FaultProxy to_b_{b_.host(), b_.port()};
  Keyferry link_{KEYFERRY_BINARY};
};

// The target still has a connection of the round that was given up, which the network has not told
// of its end.
TEST_F(SeveralSourcesRound, WhatTheFormerOneSentDoesNotArriveInTheNext) {
  RespClient late = target_.client();
  const std::string clients = late.must({"CLIENT", "LIST"}).text;
  const std::size_t at = clients.find("keyferry-sources-b-");
  ASSERT_NE(at, std::string::npos) << clients;
  late.must({"CLIENT", "SETNAME", clients.substr(at, clients.find(' ', at) - at)});
  break_off();
  ASSERT_TRUE(wait_for(Millis{10000}, [&] {
    return count_of(link_.output(), "source: name=b") == 2;
  })) << link_.output();

  EXPECT_ANY_THROW(late.command({"SET", "b:late", "1"}));
  expect_equal();
}

TEST_F(SeveralSourcesRound, LimitsThatWereChangedHoldInTheNext) {
  EXPECT_EQ(link_.http_post("/limits?target_ops_per_s=200000").status, 202);
  ASSERT_TRUE(link_.wait_status("limits.target_ops_per_s", "200000", Millis{5000}));
  break_off();

  ASSERT_TRUE(link_.wait_synced(Millis{20000})) << link_.output();
  EXPECT_EQ(link_.status("limits.target_ops_per_s"), "200000");
  expect_equal();
}

}  // namespace
}  // namespace keyferry::test
