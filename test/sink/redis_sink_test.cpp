#include "keyferry/sink/redis_sink.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "sink/sink_bench.hpp"

namespace keyferry::test {
namespace {

std::string wire(std::initializer_list<ByteView> args) {
  return make_command(args);
}

TEST(RedisSink, CarriesAStreamToAStandaloneTarget) {
  FakeTarget target;
  SinkRun run(target);
  run.batch({"SET a 1", "SELECT 2", "INCR n"}).batch({"PING"}).batch({"INCR n", "DEL a"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(target.applied(), (Words{"SET a 1", "2: INCR n", "2: INCR n", "2: DEL a"}));
  EXPECT_EQ(run.stats.applied, 4u);
  EXPECT_EQ(run.told, 4u);
  EXPECT_EQ(run.applied, run.end) << "what is eaten counts as applied too";
}

TEST(RedisSink, SendsEachCommandToTheOwnerOfItsSlot) {
  FakeTarget target(3);
  SinkRun run(target, 1);  // one seed is enough
  std::vector<std::string> commands;
  for (int i = 0; i < 200; ++i)
    commands.push_back("SET key" + std::to_string(i) + " x");
  run.batch(commands);

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(target.values().size(), 200u);
  for (const FakeStore::Applied& applied : target.log()) {
    const std::string key = applied.text.substr(4, applied.text.size() - 6);
    EXPECT_EQ(applied.node, target.owner_index(key)) << key;
  }
  EXPECT_TRUE(run.stats.redirects.empty());
}

TEST(RedisSink, CutsCommandsOverSeveralSlotsAndCountsThemOnce) {
  FakeTarget target(3);
  SinkRun run(target, 1);
  run.batch({"MSET a 1 b 2 c 3 {a}2 4", "DEL a b"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(target.values(), (std::map<std::string, std::string>{{"0/c", "3"}, {"0/{a}2", "4"}}));
  EXPECT_EQ(run.stats.applied, 2u);
  EXPECT_EQ(run.told, 2u);
}

TEST(RedisSink, KeepsATransactionWholeWhereItCan) {
  FakeTarget target(2);
  SinkRun run(target, 1);
  run.batch({"MULTI", "SET {t}a 1", "SET {t}b 2", "EXEC", "MULTI", "EXEC"});
  run.batch({"MULTI", "SET a 1", "SET b 2", "SET {a}2 3", "MSET a 4 b 5", "EXEC"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(run.stats.transactions_split, 1u);
  EXPECT_EQ(target.value("a"), "4");
  EXPECT_EQ(target.value("b"), "5");
  for (const FakeStore::Applied& applied : target.log()) {
    EXPECT_TRUE(applied.in_group) << applied.text;
  }
  EXPECT_EQ(target.applied().size(), 2u + 5u);
  EXPECT_EQ(run.applied, run.end);
}

TEST(RedisSink, KeepsOurOwnKeysAndSentinelsOutOfTheTarget) {
  for (const std::size_t nodes : {std::size_t(0), std::size_t(2)}) {
    FakeTarget target(nodes);
    SinkRun run(target);
    run.batch({"SET keyferry:x 1", "PUBLISH __sentinel__:hello x", "SET a 1"});
    run.batch({"MULTI", "SET keyferry:y 1", "SET b 1", "EXEC", "MULTI", "DEL keyferry:y", "EXEC"});

    run.go();

    EXPECT_FALSE(run.error) << run.error.what;
    EXPECT_EQ(target.values(), (std::map<std::string, std::string>{{"0/a", "1"}, {"0/b", "1"}}));
    EXPECT_EQ(run.stats.filtered, 4u);
    EXPECT_EQ(run.stats.applied, 2u);
    EXPECT_EQ(run.applied, run.end);
  }
}

TEST(RedisSink, PublishesOnAClusterWhateverDatabaseIsSelected) {
  FakeTarget target(2);
  SinkRun run(target);
  run.batch({"SELECT 3", "PUBLISH news hello", "MULTI", "PUBLISH news again", "EXEC"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(target.applied(), (Words{"PUBLISH news hello", "PUBLISH news again"}));
}

TEST(RedisSink, LoadsFunctionsSoThatTheyMayBeLoadedAgain) {
  for (const std::size_t nodes : {std::size_t(0), std::size_t(2)}) {
    FakeTarget target(nodes);
    SinkRun run(target);
    run.batch({"SET a 1", "FUNCTION LOAD code", "SET b 1"});

    run.go();

    EXPECT_FALSE(run.error) << run.error.what;
    const Words log = target.applied();
    EXPECT_EQ(std::count(log.begin(), log.end(), "FUNCTION LOAD REPLACE code"),
              nodes == 0 ? 1 : static_cast<std::ptrdiff_t>(nodes));
    EXPECT_EQ(log.size(), nodes == 0 ? 3 : nodes + 2);
  }
}

TEST(RedisSink, StopsAtARefusalAndNamesIt) {
  FakeTarget target;
  SinkRun run(target);
  run.batch({"SET good 1"})
      .batch({"SET text x", "INCR text", "SET behind 1"})
      .batch({"SET later 1"});
  run.waits_between = true;

  run.go();

  EXPECT_TRUE(run.error.is(Errc::data_refused));
  EXPECT_NE(run.error.what.find("refused INCR \"text\" (database 0): WRONGTYPE"), std::string::npos)
      << run.error.what;
  EXPECT_EQ(run.stats.failed, 1u);
  EXPECT_EQ(run.stats.errors["WRONGTYPE"], 1u);
  EXPECT_EQ(run.applied, static_cast<Offset>(run.batches[0].size())) << "not past the refused one";
  EXPECT_EQ(target.value("later"), "(none)");
}

TEST(RedisSink, WritesRefusedCommandsAsideAndGoesOn) {
  FakeTarget target(2);
  SinkRun run(target);
  run.options.errors_policy = ErrorPolicy::skip;
  run.batch({"SET {t} x", "INCR {t}", "SET {t}2 1", "RENAME a b", "MODULE.CMD x", "SET {t}3 1"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(target.value("{t}3"), "1");
  const std::string select = wire({"SELECT", "0"});
  const std::string rename = select + wire({"RENAME", "a", "b"});
  const std::string unknown = select + wire({"MODULE.CMD", "x"});
  const std::string incr = select + wire({"INCR", "{t}"});
  EXPECT_EQ(run.dead_letters(), rename + unknown + incr);
  EXPECT_EQ(run.stats.skipped, 3u);
  EXPECT_EQ(run.stats.applied, 3u);
  EXPECT_EQ(run.stats.cross_slot["RENAME"], 1u);
  EXPECT_EQ(run.stats.errors["unknown_command"], 1u);
  EXPECT_EQ(run.applied, run.end);
}

TEST(RedisSink, EndsWhenADeadLetterCannotBeWritten) {
  FakeTarget target;
  SinkRun run(target);
  run.options.errors_policy = ErrorPolicy::skip;
  run.options.errors_dead_letter_file = run.dir.file("missing/letters.resp");
  run.batch({"SET a x", "INCR a"});

  run.go();

  EXPECT_TRUE(run.error.is(Errc::disk)) << run.error.what;
  EXPECT_LT(run.applied, run.end);
}

TEST(RedisSink, DoesNotPassWhatAClusterCannotDo) {
  const char* rows[] = {"RENAME a b", "MODULE.CMD x", "EVAL return 0"};
  for (const char* row : rows) {
    FakeTarget target(2);
    SinkRun run(target);
    run.batch({"SET a 1"}).batch({row, "SET b 1"});
    run.waits_between = true;

    run.go();

    EXPECT_TRUE(run.error.is(Errc::data_refused)) << row;
    EXPECT_EQ(run.applied, static_cast<Offset>(run.batches[0].size())) << row;
    EXPECT_EQ(run.stats.failed, 1u);
  }
}

TEST(RedisSink, RefusesOtherDatabasesOnAClusterAndMissingOnesElsewhere) {
  FakeTarget cluster(2);
  SinkRun to_cluster(cluster);
  to_cluster.batch({"SELECT 1", "SET a 1"});
  to_cluster.go();
  EXPECT_TRUE(to_cluster.error.is(Errc::data_refused)) << to_cluster.error.what;

  FakeTarget single;
  SinkRun to_single(single);
  to_single.batch({"SELECT 99", "SET a 1"});
  to_single.go();
  EXPECT_TRUE(to_single.error.is(Errc::usage));
  EXPECT_NE(to_single.error.what.find("has no database 99"), std::string::npos);
  EXPECT_EQ(to_single.applied, 0);
}

TEST(RedisSink, PreparesTheTargetAsAsked) {
  for (const std::size_t nodes : {std::size_t(0), std::size_t(2)}) {
    FakeTarget target(nodes);
    SinkRun first(target);
    first.batch({"SET a 1", "SET b 1"});
    first.go();
    ASSERT_FALSE(first.error) << first.error.what;

    SinkRun refused(target);
    refused.options.target_before = TargetBefore::must_be_empty;
    refused.go();
    EXPECT_TRUE(refused.error.is(Errc::usage));

    SinkRun flushed(target);
    flushed.options.target_before = TargetBefore::flush;
    flushed.batch({"SET c 1"});
    flushed.go();
    EXPECT_EQ(target.values(), (std::map<std::string, std::string>{{"0/c", "1"}}));
  }
}

TEST(RedisSink, SaysThatTheTargetIsNotTheClusterItShouldBe) {
  FakeTarget target;
  SinkRun run(target);
  run.options.target.topology = Topology::cluster;

  run.go();

  EXPECT_TRUE(run.error.is(Errc::usage)) << run.error.what;
}

TEST(RedisSink, LoadsASnapshotOverAllLanesBeforeTheStream) {
  for (const std::size_t nodes : {std::size_t(0), std::size_t(3)}) {
    FakeTarget target(nodes);
    SinkRun run(target);
    for (int i = 0; i < 500; ++i)
      run.snapshot.emplace_back("key" + std::to_string(i), "old");
    run.snapshot.emplace_back("keyferry:mine", "old");
    run.batch({"SET key7 new"});

    run.go();

    EXPECT_FALSE(run.error) << run.error.what;
    EXPECT_EQ(target.values().size(), 500u);
    EXPECT_EQ(target.value("key7"), "new");
    EXPECT_EQ(target.value("key8"), "old");
    EXPECT_EQ(run.stats.snapshot_keys, 501u);
    EXPECT_EQ(run.stats.filtered, 1u);
    EXPECT_GT(target.node(0).connections_taken(), 2u) << "both lanes were used";
  }
}

TEST(RedisSink, LoadsASnapshotThroughRefusals) {
  FakeTarget target(3);
  for (std::size_t i = 0; i < 3; ++i) {
    target.node(i).refuse({"SET", "", "OOM command not allowed", 5});
    target.node(i).cut_after(20);
  }
  SinkRun run(target);
  for (int i = 0; i < 300; ++i)
    run.snapshot.emplace_back("key" + std::to_string(i), "old");

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(target.values().size(), 300u);
  EXPECT_EQ(run.stats.applied, 300u);
  EXPECT_EQ(run.held_slots, 0u);
}

constexpr std::uint8_t list_type = 1;
const std::string list_of_two(
    "\x02\x01"
    "a\x01"
    "b");

TEST(RedisSink, RewritesWhatTheTargetWillNotRestore) {
  for (const std::size_t nodes : {std::size_t(0), std::size_t(3)}) {
    FakeTarget target(nodes);
    for (std::size_t i = 0; i < std::max<std::size_t>(nodes, 1); ++i)
      target.node(i).refuse({"RESTORE", "", "ERR Bad data format", 100});
    SinkRun run(target);
    run.snapshot_type = list_type;
    for (int i = 0; i < 50; ++i)
      run.snapshot.emplace_back("list" + std::to_string(i), list_of_two);

    run.go();

    EXPECT_FALSE(run.error) << run.error.what;
    EXPECT_EQ(target.values().size(), 50u);
    EXPECT_EQ(target.value("list7"), "a b");
    EXPECT_EQ(run.stats.rewritten_keys, 50u);
    EXPECT_EQ(run.stats.applied, 50u);
  }
}

TEST(RedisSink, NamesAValueThatCannotBeDecodedEither) {
  FakeTarget target;
  target.node(0).refuse({"RESTORE", "", "ERR Bad data format", 100});
  SinkRun run(target);
  run.snapshot_type = list_type;
  run.snapshot.emplace_back("list", list_of_two.substr(0, 3));

  run.go();

  EXPECT_TRUE(run.error.is(Errc::data_refused)) << run.error.what;
  EXPECT_NE(run.error.what.find("the value ends too early"), std::string::npos) << run.error.what;
}

TEST(RedisSink, LeavesKeysThatAreThereAloneOrStops) {
  for (const ExistingKey policy : {ExistingKey::skip, ExistingKey::fail}) {
    FakeTarget target;
    target.node(0).refuse({"RESTORE", "b", "BUSYKEY Target key name already exists.", 100});
    SinkRun run(target);
    run.options.snapshot_on_existing_key = policy;
    for (const char* key : {"a", "b", "c"})
      run.snapshot.emplace_back(key, "v");

    run.go();

    const bool skips = policy == ExistingKey::skip;
    EXPECT_EQ(!run.error, skips) << run.error.what;
    EXPECT_EQ(run.stats.existing_keys, skips ? 1u : 0u);
    for (const std::string& text : target.applied())
      EXPECT_EQ(text.find("REPLACE"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace keyferry::test
