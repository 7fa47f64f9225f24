// Several sources into one target: each followed exactly once, ended together, and what would take
// away the keys of the others refused.
#include "e2e/several_sources.hpp"

#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

LiveOptions live_of(std::uint64_t seed, std::size_t keys = 1200) {
  LiveOptions live;
  live.dataset.keys = keys;
  live.dataset.seed = seed;
  live.dataset.cluster_safe = true;
  live.dataset.functions = false;
  live.seed = seed + 100;
  live.commands_per_s = 1200;
  return live;
}

// Three sources of which one keeps its names, with a writer each.
class Harbour {
 public:
  Harbour() {
    const char* const prefixes[] = {"", "b:", "c:"};
    for (std::size_t i = 0; i < 3; ++i) {
      sources_.push_back(followed_source());
      const std::string name(1, static_cast<char>('a' + i));
      entries_.push_back({sources_[i].uri(), name, prefixes[i]});
      const LiveOptions live = live_of(i + 1);
      fill(sources_[i], live.dataset);
      writers_.push_back(std::make_unique<LiveWriter>(sources_[i], live));
    }
  }

  RedisServer& source(std::size_t i) { return sources_.at(i); }
  const std::vector<Entry>& entries() const { return entries_; }

  void stop_writers() {
    for (const auto& writer : writers_) {
      writer->stop();
      EXPECT_TRUE(writer->errors().empty()) << writer->errors().front();
      EXPECT_GT(writer->commands(), 500u);
    }
  }

  template <class Target>
  void expect_equal(const Target& target, Keyferry& link) {
    RedisServer whole;
    for (std::size_t i = 0; i < sources_.size(); ++i)
      add_to(whole, sources_[i], entries_[i].prefix);
    EXPECT_GT(key_count(whole), 3000u);
    EXPECT_EQ(describe(compare(whole, target)), "") << link.output();
  }

 private:
  std::vector<RedisServer> sources_;
  std::vector<Entry> entries_;
  std::vector<std::unique_ptr<LiveWriter>> writers_;
};

// Killed twice under writes that may not be repeated.
template <class Target>
void play_kills(Target& target) {
  Harbour harbour;
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, harbour.entries(), target.uri());
  wait_streaming(link);
  EXPECT_EQ(link.status("shards.2.source"), harbour.source(2).address());
  for (int kill = 0; kill < 2; ++kill) {
    std::this_thread::sleep_for(Millis{700});
    link.process().kill9();
    start_several(link, harbour.entries(), target.uri());
    wait_streaming(link);
  }
  std::this_thread::sleep_for(Millis{300});
  harbour.stop_writers();
  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  EXPECT_EQ(link.status("counters.full_resyncs"), "0");

  drain(link);

  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(harbour.source(i).info("sync_full"), "1") << i;
  harbour.expect_equal(target, link);
}

TEST(SeveralSources, KilledAndStartedAgainIntoOneServer) {
  RedisServer target;
  play_kills(target);
}

TEST(SeveralSources, KilledAndStartedAgainIntoACluster) {
  RedisCluster target;
  play_kills(target);
}

TEST(SeveralSources, OneFailsOverWhileTheOthersGoOn) {
  RedisServer target;
  RedisServer first = followed_source();
  RedisServer heir =
      followed_source({"--replicaof", first.host() + " " + std::to_string(first.port())});
  RedisServer other = followed_source();
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return heir.info("master_link_status") == "up"; }));
  const LiveOptions live = live_of(5);
  fill(other, live.dataset);
  LiveWriter writer(other, live);
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, {{first.uri() + "," + heir.address(), "a", ""}, {other.uri(), "b", "b:"}},
                target.uri());
  wait_streaming(link);
  first.command({"INCRBY", "sum", "1"});
  const std::uint64_t before = writer.commands();

  first.command({"FAILOVER", "TO", heir.host(), std::to_string(heir.port())});
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return heir.info("role") == "master"; }));
  heir.command({"INCRBY", "sum", "10"});
  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return target.command({"GET", "sum"}).text == "11";
  })) << link.output();
  EXPECT_GT(writer.commands(), before);
  writer.stop();
  drain(link);

  expect_sum(target, link, {{&heir, ""}, {&other, "b:"}});
  EXPECT_EQ(other.info("sync_full"), "1");
}

TEST(SeveralSources, WhatAnOldMasterSendsWithoutEffectIsTakenBack) {
  RedisServer target;
  RedisServer first = followed_source();
  RedisServer heir =
      followed_source({"--replicaof", first.host() + " " + std::to_string(first.port())});
  RedisServer other = followed_source();
  FaultProxy address(first.host(), first.port());
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return heir.info("master_link_status") == "up"; }));
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, {{address.uri(), "a", ""}, {other.uri(), "b", "b:"}}, target.uri());
  wait_streaming(link);
  first.command({"INCRBY", "sum", "1"});
  ASSERT_TRUE(wait_for(Millis{5000}, [&] { return heir.command({"GET", "sum"}).text == "1"; }));
  heir.command({"REPLICAOF", "NO", "ONE"});
  first.command({"PUBLISH", "__sentinel__:hello", "x"});
  std::this_thread::sleep_for(Millis{500});

  address.forward_to(heir.port());
  address.cut();
  heir.command({"INCRBY", "sum", "10"});
  other.command({"INCRBY", "sum", "5"});

  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return target.command({"GET", "sum"}).text == "11";
  })) << link.output();
  drain(link);
  expect_sum(target, link, {{&heir, ""}, {&other, "b:"}});
  EXPECT_EQ(heir.info("sync_full"), "0");
  EXPECT_EQ(other.info("sync_full"), "1");
}

TEST(SeveralSources, OneThatRestartsIsGoneOnWith) {
  RedisServer target;
  RedisServer a = followed_source({"--save", "3600 1"});
  RedisServer b = followed_source();
  Keyferry link(KEYFERRY_BINARY);
  a.command({"INCRBY", "a", "1"});
  start_several(link, {{a.uri(), "a", ""}, {b.uri(), "b", ""}}, target.uri());
  wait_streaming(link);

  a.stop();
  ASSERT_TRUE(link.wait_status("lag.bytes", "null", Millis{10000}));
  EXPECT_EQ(link.status("synced"), "false");
  b.command({"INCRBY", "b", "1"});
  EXPECT_TRUE(wait_for(Millis{5000}, [&] { return target.command({"GET", "b"}).text == "1"; }));
  a.restart();
  a.command({"INCRBY", "a", "10"});

  EXPECT_TRUE(wait_for(Millis{15000}, [&] {
    return target.command({"GET", "a"}).text == "11";
  })) << link.output();
  EXPECT_EQ(link.status("counters.full_resyncs"), "0");
  drain(link);
}

// What takes the keys, or the functions, of all away.
void expect_refused(const Args& command, const std::string& target_uri, const Endpoint& target) {
  RedisServer a = followed_source();
  RedisServer b = followed_source();
  a.command({"SET", "of-a", "1"});
  b.command({"SET", "of-b", "1"});
  b.command({"FUNCTION", "LOAD", "#!lua name=b\nredis.register_function('b', function() end)"});
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, {{a.uri(), "ann", ""}, {b.uri(), "bob", ""}}, target_uri);
  wait_streaming(link);

  a.command(command);
  b.command({"SET", "later", "1"});

  EXPECT_EQ(link.wait_exit(Millis{15000}), 1) << link.output();
  EXPECT_NE(link.output().find("source ann"), std::string::npos) << link.output();
  EXPECT_NE(link.output().find(command[0]), std::string::npos) << link.output();
  EXPECT_NE(link.output().find("would_empty_what_others_brought"), std::string::npos)
      << link.output();
  Keyspace keys(target);
  EXPECT_EQ(keys.command({"GET", "of-a"}).text, "1") << command[0];
  EXPECT_EQ(keys.command({"GET", "of-b"}).text, "1") << command[0];
  EXPECT_EQ(keys.command({"FUNCTION", "LIST"}).items.size(), 1u) << command[0];
}

TEST(SeveralSources, WhatEmptiesTheTargetIsRefusedByName) {
  for (const Args& command :
       {Args{"FLUSHALL"}, Args{"FLUSHDB"}, Args{"SWAPDB", "0", "1"}, Args{"FUNCTION", "FLUSH"}}) {
    RedisServer target;
    expect_refused(command, target.uri(), target);
  }
}

TEST(SeveralSources, AFlushIsRefusedOnTheWayToAClusterToo) {
  RedisCluster target;
  expect_refused({"FLUSHALL"}, target.uri(), target);
}

TEST(SeveralSources, ARefusedFlushMayBeSkipped) {
  RedisServer target;
  RedisServer a = followed_source();
  RedisServer b = followed_source();
  b.command({"SET", "of-b", "1"});
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, {{a.uri(), "a", ""}, {b.uri(), "b", ""}}, target.uri(),
                {"errors.policy=skip"});
  wait_streaming(link);

  a.command({"SET", "before", "1"});
  a.command({"FLUSHALL"});
  a.command({"SET", "after", "1"});
  ASSERT_TRUE(wait_for(Millis{10000}, [&] {
    return target.command({"GET", "after"}).text == "1";
  })) << link.output();
  drain(link);

  EXPECT_EQ(target.command({"GET", "of-b"}).text, "1");
  EXPECT_EQ(target.command({"GET", "before"}).text, "1");
}

TEST(SeveralSources, AServerTwiceIsRefused) {
  RedisServer target;
  RedisServer a = followed_source();
  RedisServer copy = followed_source({"--replicaof", a.host() + " " + std::to_string(a.port())});
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return copy.info("master_link_status") == "up"; }));
  Keyferry link(KEYFERRY_BINARY);

  start_several(link,
                {{a.uri(), "a", ""}, {"redis://localhost:" + std::to_string(a.port()), "b", ""}},
                target.uri());
  EXPECT_EQ(link.wait_exit(Millis{10000}), 2);
  EXPECT_NE(link.output().find("the same server as that of entry 1"), std::string::npos)
      << link.output();

  start_several(link, {{a.uri(), "a", ""}, {copy.uri(), "b", ""}}, target.uri());
  EXPECT_EQ(link.wait_exit(Millis{10000}), 2) << link.output();
  EXPECT_NE(link.output().find("shares its history"), std::string::npos) << link.output();
}

TEST(SeveralSources, AClusterAmongThemIsRefused) {
  RedisServer target;
  RedisServer a = followed_source();
  RedisCluster cluster;
  Keyferry link(KEYFERRY_BINARY);

  start_several(link, {{a.uri(), "a", ""}, {cluster.uri(), "b", ""}}, target.uri());

  EXPECT_EQ(link.wait_exit(Millis{10000}), 2) << link.output();
  EXPECT_NE(link.output().find("is a cluster"), std::string::npos) << link.output();
}

TEST(SeveralSources, LagZeroWaitsForTheLast) {
  RedisServer target;
  RedisServer a = followed_source();
  RedisServer b = followed_source();
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, {{a.uri(), "a", ""}, {b.uri(), "b", ""}}, target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  b.sigstop();
  ASSERT_TRUE(link.wait_status("synced", "false", Millis{10000}));
  link.http_post("/drain");
  std::this_thread::sleep_for(Millis{2500});
  EXPECT_TRUE(link.is_running()) << link.output();
  b.sigcont();

  EXPECT_EQ(link.wait_exit(Millis{20000}), 0) << link.output();
}

TEST(SeveralSources, TheTargetIsEmptiedOnceForAllAndNeverAgain) {
  RedisServer target;
  RedisServer a = followed_source();
  RedisServer b = followed_source();
  target.command({"SET", "old", "1"});
  a.command({"SET", "of-a", "1"});
  b.command({"SET", "of-b", "1"});
  const std::vector<Entry> entries = {{a.uri(), "a", ""}, {b.uri(), "b", ""}};
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, entries, target.uri(), {"target.before=must_be_empty"});
  EXPECT_EQ(link.wait_exit(Millis{10000}), 2) << link.output();

  for (int start = 0; start < 2; ++start) {
    start_several(link, entries, target.uri(), {"target.before=flush"});
    ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
    target.command({"SET", "mine", "1"});
    link.process().kill9();
  }

  EXPECT_TRUE(target.command({"GET", "old"}).is_nil());
  for (const char* key : {"of-a", "of-b", "mine"})
    EXPECT_EQ(target.command({"GET", key}).text, "1") << key;
  EXPECT_EQ(a.info("sync_full"), "1");
  EXPECT_EQ(b.info("sync_full"), "1");
}

TEST(SeveralSources, TheListMayGrowAndChangeItsOrder) {
  RedisServer target;
  RedisServer a = followed_source();
  RedisServer b = followed_source();
  RedisServer c = followed_source();
  for (const auto& [source, key] : {std::pair(&a, "a"), std::pair(&b, "b"), std::pair(&c, "c")})
    source->command({"INCR", key});
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, {{a.uri(), "", ""}, {b.uri(), "", ""}}, target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  drain(link);
  a.command({"INCR", "a"});

  start_several(link, {{c.uri(), "", ""}, {b.uri(), "", ""}, {a.uri(), "", ""}}, target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  drain(link);

  EXPECT_EQ(target.command({"GET", "a"}).text, "2");
  EXPECT_EQ(target.command({"GET", "b"}).text, "1");
  EXPECT_EQ(target.command({"GET", "c"}).text, "1");
  for (const RedisServer* source : {&a, &b, &c})
    EXPECT_EQ(source->info("sync_full"), "1");
}

TEST(SeveralSources, GoAtLeastOnceAsWell) {
  RedisServer target;
  RedisServer a = followed_source();
  RedisServer b = followed_source();
  a.command({"SET", "of-a", "1"});
  b.command({"SET", "of-b", "1"});
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, {{a.uri(), "a", ""}, {b.uri(), "b", ""}}, target.uri(),
                {"delivery.mode=at_least_once"});
  wait_streaming(link);
  a.command({"INCR", "count-a"});
  b.command({"INCR", "count-b"});
  drain(link);

  expect_sum(target, link, {{&a, ""}, {&b, ""}});
}

TEST(SeveralSources, ALaterWriteWinsByArrival) {
  RedisServer target;
  RedisServer a = followed_source();
  RedisServer b = followed_source();
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, {{a.uri(), "a", ""}, {b.uri(), "b", ""}}, target.uri());
  wait_streaming(link);

  for (int i = 0; i < 3; ++i) {
    RedisServer& writer = i % 2 == 0 ? a : b;
    writer.command({"SET", "same", std::to_string(i)});
    ASSERT_TRUE(wait_for(Millis{5000}, [&] {
      return target.command({"GET", "same"}).text == std::to_string(i);
    }));
  }
  drain(link);
}

TEST(SeveralSources, PausesAndShowsEveryOne) {
  RedisServer target;
  RedisServer a = followed_source();
  RedisServer b = followed_source();
  Keyferry link(KEYFERRY_BINARY);
  start_several(link, {{a.uri(), "a", ""}, {b.uri(), "b", ""}}, target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  EXPECT_EQ(link.http_post("/pause").status, 202);
  ASSERT_TRUE(link.wait_status("phase", "paused", Millis{5000}));
  a.command({"SET", "x", "1"});
  b.command({"SET", "y", "1"});
  std::this_thread::sleep_for(Millis{300});
  EXPECT_TRUE(target.command({"GET", "x"}).is_nil());
  EXPECT_EQ(link.http_post("/resume").status, 202);
  EXPECT_TRUE(wait_for(Millis{5000}, [&] { return target.command({"GET", "y"}).text == "1"; }));
  const std::string metrics = link.http_get("/metrics").body;
  for (const RedisServer* source : {&a, &b})
    EXPECT_NE(metrics.find(source->address()), std::string::npos) << metrics;
  ASSERT_TRUE(link.wait_status("phase", "steady", Millis{5000}));
  EXPECT_EQ(link.http_post("/cutover").status, 202);
  EXPECT_TRUE(link.wait_status("cutover.state", "failed", Millis{5000}));
  EXPECT_NE(link.status("cutover.problem").find("several sources"), std::string::npos);
  drain(link);
}

TEST(SeveralSources, CheckNamesTheSourceThatHasTheProblem) {
  RedisServer target;
  RedisServer a = followed_source();
  Keyferry link(KEYFERRY_BINARY);
  const std::string nobody = "redis://127.0.0.1:" + std::to_string(free_port());

  start_several(link, {{a.uri(), "ann", ""}, {nobody, "bob", ""}}, target.uri(), {}, "check");

  EXPECT_EQ(link.wait_exit(Millis{15000}), 3) << link.output();
  EXPECT_NE(link.output().find("bob: source.reach"), std::string::npos) << link.output();
  EXPECT_NE(link.output().find("ann: source.role"), std::string::npos) << link.output();
  start_several(link, {{a.uri(), "ann", ""}, {nobody, "bob", ""}}, target.uri(), {}, "verify");
  EXPECT_EQ(link.wait_exit(Millis{15000}), 2) << link.output();
}

}  // namespace
}  // namespace keyferry::test
