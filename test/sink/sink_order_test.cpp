// The order of what is applied, per slot, when the target refuses, redirects or breaks off:
// contract "Order".
#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "keyferry/command/keys.hpp"
#include "sink/sink_bench.hpp"

namespace keyferry::test {
namespace {

constexpr const char* try_again = "TRYAGAIN Multiple keys request during rehashing of slot";
constexpr const char* out_of_memory = "OOM command not allowed when used memory > 'maxmemory'.";

TEST(SinkOrder, AppliesARefusedMsetBeforeTheSetBehindIt) {
  FakeTarget target(2);
  target.owner_of("{t}").refuse({"MSET", "", try_again, 3});
  target.owner_of("{t}").gate(2);  // the SET is answered OK before anything can be sent again
  SinkRun run(target, 2);
  run.batch({"MSET {t}a 1 {t}b 2", "SET {t}a 7"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(target.value("{t}a"), "7");
  EXPECT_EQ(target.value("{t}b"), "2");
  EXPECT_EQ(target.applied(), (Words{"SET {t}a 7", "MSET {t}a 1 {t}b 2", "SET {t}a 7"}));
  EXPECT_EQ(run.stats.redirects["TRYAGAIN"], 3u);
  EXPECT_EQ(run.stats.applied, 2u);
  EXPECT_EQ(run.applied, run.end);
  EXPECT_EQ(run.held_slots, 0u);
}

TEST(SinkOrder, AppliesABatchRefusedForMemoryBeforeTheOneBehindIt) {
  FakeTarget target;
  target.node(0).refuse({"SET", "k", out_of_memory, 3});  // old, new, old once more
  target.node(0).gate(4);
  SinkRun run(target);
  run.batch({"SET k old", "SET x 1"}).batch({"SET k new", "SET y 2"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(target.value("k"), "new");
  EXPECT_EQ(last_order(target.applied()), (Words{"SET k old", "SET x 1", "SET k new", "SET y 2"}));
  EXPECT_EQ(run.stats.errors["OOM"], 2u);
  EXPECT_EQ(run.applied, run.end);
}

TEST(SinkOrder, KeepsOneOrderOverDatabasesOfAStandaloneTarget) {
  FakeTarget target;
  target.node(0).refuse({"SET", "k", "MISCONF Redis is configured to save RDB snapshots", 1});
  target.node(0).gate(5);
  SinkRun run(target);
  run.batch({"SELECT 3", "SET k 1", "SELECT 0", "SET k 2", "SELECT 3", "SET k 3"});
  run.batch({"MULTI", "SET m 4", "SELECT 5", "SET m 5", "EXEC"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(last_order(target.applied()),
            (Words{"3: SET k 1", "SET k 2", "3: SET k 3", "3: SET m 4", "5: SET m 5"}));
  EXPECT_EQ(target.value("k", 3), "3");
  EXPECT_EQ(target.value("k", 0), "2");
}

TEST(SinkOrder, KeepsDatabasesOfAClusterApart) {
  FakeTarget target(2);
  target.set_databases(4);
  const std::size_t before = target.owner_index("{t}");
  SinkRun run(target);
  run.before_batch = [&](std::size_t i) {
    if (i == 1) target.assign(slot_of("{t}"), 1 - before);
    if (i == 1) target.node(before).gate(3);
  };
  run.waits_between = true;
  run.batch({"SELECT 3", "APPEND {t}k 1", "SELECT 0", "APPEND {t}k 2", "SELECT 3", "MSET a 1 b 2"});
  run.batch(
      {"SELECT 2", "APPEND {t}k 3", "SELECT 0", "APPEND {t}k 4", "SELECT 2", "APPEND {t}k 5"});
  run.batch({"MULTI", "SET {t}m 6", "SELECT 1", "SET {t}m 7", "SET a 8", "SELECT 3", "SET a 9",
             "SET b 10", "EXEC", "INCR {t}n"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  const std::map<std::string, std::string> wanted = {
      {"3/{t}k", "1"}, {"0/{t}k", "24"}, {"2/{t}k", "35"}, {"2/{t}m", "6"}, {"1/{t}m", "7"},
      {"1/a", "8"},    {"3/a", "9"},     {"3/b", "10"},    {"3/{t}n", "1"}};
  EXPECT_EQ(target.values(), wanted);
  EXPECT_GE(run.stats.redirects["MOVED"], 1u);
  EXPECT_EQ(run.applied, run.end);
}

TEST(SinkOrder, WritesNothingElsewhereWhereANodeOfAClusterLacksTheDatabase) {
  FakeTarget target(2);
  target.set_databases(2);
  SinkRun run(target);
  run.batch({"SELECT 1", "SET a 1"}).batch({"SELECT 2", "SET a 2"});

  run.go();

  EXPECT_TRUE(run.error.is(Errc::data_refused)) << run.error.what;
  EXPECT_EQ(target.values(), (std::map<std::string, std::string>{{"1/a", "1"}}));
}

TEST(SinkOrder, LetsOtherSlotsGoOnWhileOneIsHeld) {
  FakeTarget target(2);
  target.owner_of("{t}").refuse({"SET", "{t}a", try_again, 4});
  SinkRun run(target, 2);
  run.batch({"SET {t}a 1", "SET other 1", "SET another 1", "SET {t}a 2"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  const Words log = target.applied();
  const auto at = [&](const char* text) { return std::find(log.begin(), log.end(), text); };
  EXPECT_LT(at("SET other 1"), at("SET {t}a 1"));
  EXPECT_LT(at("SET another 1"), at("SET {t}a 1"));
  EXPECT_EQ(target.value("{t}a"), "2");
}

TEST(SinkOrder, FollowsASlotThatHasMoved) {
  FakeTarget target(2);
  const std::size_t before = target.owner_index("{t}");
  const std::size_t after = 1 - before;
  SinkRun run(target, 2);
  run.before_batch = [&](std::size_t i) {
    if (i == 1) target.assign(slot_of("{t}"), after);
    if (i == 1) target.node(before).gate(3);
  };
  run.waits_between = true;
  run.batch({"APPEND {t}a 1"});
  run.batch({"APPEND {t}a 2", "SET {t}b 1", "APPEND {t}a 3"});
  run.batch({"APPEND {t}a 4", "DEL {t}b"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(target.applied(), (Words{"APPEND {t}a 1", "APPEND {t}a 2", "SET {t}b 1",
                                     "APPEND {t}a 3", "APPEND {t}a 4", "DEL {t}b"}));
  EXPECT_EQ(target.log().front().node, before);
  EXPECT_EQ(target.log().back().node, after);
  EXPECT_EQ(run.stats.redirects["MOVED"], 1u) << "the new owner is known from then on";
}

// The map is read again while two commands are unanswered; both have been carried out by the old
// owner.
Task<Error> move_in_flight(SinkRun& run) {
  const std::size_t from = run.target.owner_index("{t}");
  while (run.target.applied().size() < 2)
    co_await sleep_for(Millis(1));
  run.target.assign(slot_of("{t}"), 1 - from);
  co_await sleep_for(Millis(1300));
  run.target.node(from).gate(0);
  co_return Error();
}

TEST(SinkOrder, DoesNotRepeatWhatWasAcceptedBeforeASlotMoved) {
  FakeTarget target(2);
  target.owner_of("{t}").gate(3);
  SinkRun run(target);
  run.options.target_topology_refresh_s = 0;
  run.beside = move_in_flight;
  run.batch({"APPEND {t} 1", "APPEND {t} 2"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(target.value("{t}"), "12");
  EXPECT_EQ(run.applied, run.end);
  EXPECT_EQ(run.held_slots, 0u);
}

TEST(SinkOrder, FollowsAKeyThatIsOnTheOtherSideOfAMigration) {
  FakeTarget target(2);
  const std::size_t from = target.owner_index("{t}");
  target.migrate("{t}", 1 - from, {"{t}a"});
  SinkRun run(target, 2);
  run.batch({"SET {t}a 1", "SET {t}b 1", "SET {t}a 2", "SET {t}b 2"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(last_order(target.applied()),
            (Words{"SET {t}a 1", "SET {t}b 1", "SET {t}a 2", "SET {t}b 2"}));
  for (const FakeStore::Applied& applied : target.log()) {
    const bool is_a = applied.text.find("{t}a") != std::string::npos;
    EXPECT_EQ(applied.node, is_a ? 1 - from : from) << applied.text;
  }
}

TEST(SinkOrder, TakesAWholeTransactionToTheOtherSideOfAMigration) {
  FakeTarget target(2);
  const std::size_t from = target.owner_index("{t}");
  target.migrate("{t}", 1 - from, {"{t}a", "{t}n"});
  SinkRun run(target, 2);
  run.batch({"MULTI", "SET {t}a 1", "INCR {t}n", "EXEC"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  ASSERT_EQ(target.applied(), (Words{"SET {t}a 1", "INCR {t}n"}));
  for (const FakeStore::Applied& applied : target.log()) {
    EXPECT_EQ(applied.node, 1 - from);
    EXPECT_TRUE(applied.in_group);
  }
}

Task<Error> finish_migration(SinkRun& run) {
  co_await sleep_for(Millis(60));
  run.target.end_migration(slot_of("{t}"));
  co_return Error();
}

TEST(SinkOrder, WaitsForTheEndOfAMigrationThatSplitsACommand) {
  FakeTarget target(2);
  const std::size_t from = target.owner_index("{t}");
  target.migrate("{t}", 1 - from, {"{t}a"});
  target.node(from).gate(4);
  SinkRun run(target, 2);
  run.beside = finish_migration;
  run.batch({"SET {t}b 0", "MSET {t}a 1 {t}b 1", "SET {t}b 2", "APPEND {t}a x"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(target.value("{t}a"), "1x");
  EXPECT_EQ(target.value("{t}b"), "2");
  EXPECT_GT(run.stats.redirects["TRYAGAIN"], 0u);
  EXPECT_GT(run.stats.redirects["MOVED"], 0u);
}

TEST(SinkOrder, SendsUnansweredCommandsAgainInOrderWhereverTheLinkIsCut) {
  const std::vector<std::string> commands{"SET k 1", "SET x 2", "SET k 3",
                                          "SET y 4", "SET k 5", "SET z 6"};
  for (std::size_t k = 1; k <= commands.size(); ++k) {
    SCOPED_TRACE("cut after " + std::to_string(k));
    FakeTarget target;
    target.node(0).gate(k);
    target.node(0).cut_after(k);
    SinkRun run(target);
    run.batch(commands);

    run.go();

    EXPECT_FALSE(run.error) << run.error.what;
    EXPECT_EQ(last_order(target.applied()), commands);
    EXPECT_EQ(target.applied().size(), commands.size() + k) << "all were unanswered";
    EXPECT_EQ(run.applied, run.end);
  }
}

TEST(SinkOrder, HoldsARefusedSlotOverALostLink) {
  FakeTarget target(2);
  FakeRedis& node = target.owner_of("{t}");
  node.refuse({"SET", "{t}a", "CLUSTERDOWN The cluster is down", 2});
  node.gate(2);
  node.cut_after(3);
  SinkRun run(target, 2);
  run.batch({"SET {t}a 1", "SET {t}b 2"}).batch({"SET {t}a 3", "SET {t}b 4", "SET {t}a 5"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(last_order(target.applied()),
            (Words{"SET {t}a 1", "SET {t}b 2", "SET {t}a 3", "SET {t}b 4", "SET {t}a 5"}));
}

TEST(SinkOrder, RunsAFlushBetweenWhatIsBeforeAndWhatIsBehindIt) {
  FakeTarget target(3);
  SinkRun run(target, 3);
  target.node(1).refuse({"FLUSHALL", "", "LOADING Redis is loading the dataset in memory", 2});
  target.node(0).refuse({"SET", "", try_again, 2});
  run.batch({"SET a 1", "SET b 1", "SET c 1", "FLUSHALL", "SET b 2"}).batch({"SET c 2"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  const Words log = target.applied();
  EXPECT_EQ(std::count(log.begin(), log.end(), "FLUSHALL"), 3);
  EXPECT_EQ(target.values(), (std::map<std::string, std::string>{{"0/b", "2"}, {"0/c", "2"}}));
  EXPECT_EQ(run.stats.applied, 6u);
}

// ---- Random targets. Every command writes absolute values and has a text of its own.

struct Model {
  std::map<std::string, std::string> values;
  std::map<Slot, Words> sent;  // standalone: all under 0
  int number = 0;
};

struct Shape {
  std::size_t nodes = 0;  // 0: standalone
  std::mt19937 random;
};

std::string random_key(Shape& shape, int tag) {
  return "{" + std::to_string(tag) + "}" +
         std::string(1, static_cast<char>('a' + shape.random() % 3));
}

// One command for keys of one tag, carried out on the model.
std::string random_command(Shape& shape, Model& model, int tag, int db) {
  const std::string place = std::to_string(db) + "/";
  const std::string value = std::to_string(++model.number);
  const std::string key = random_key(shape, tag);
  std::string text;
  switch (shape.random() % 4) {
    case 0: {
      const std::string other = random_key(shape, tag);
      text = "MSET " + key + " " + value + " " + other + " " + value;
      model.values[place + key] = model.values[place + other] = value;
      break;
    }
    case 1:
      text = "DEL " + key + " {" + std::to_string(tag) + "}gone" + value;
      model.values.erase(place + key);
      break;
    default:
      text = "SET " + key + " " + value;
      model.values[place + key] = value;
  }
  const std::string logged = (db == 0 ? "" : std::to_string(db) + ": ") + text;
  model.sent[shape.nodes == 0 ? Slot(0) : slot_of(key)].push_back(logged);
  return text;
}

std::vector<std::string> random_batch(Shape& shape, Model& model, int& db) {
  std::vector<std::string> out;
  for (int i = 0; i < 12; ++i) {
    const int tag = static_cast<int>(shape.random() % 5);
    if (shape.nodes == 0 && shape.random() % 4 == 0) {
      db = static_cast<int>(shape.random() % 3);
      out.push_back("SELECT " + std::to_string(db));
    }
    const bool is_group = shape.random() % 4 == 0;
    if (is_group) out.emplace_back("MULTI");
    for (std::size_t n = is_group ? 1 + shape.random() % 3 : 1; n > 0; --n) {
      out.push_back(random_command(shape, model, tag, db));
    }
    if (is_group) out.emplace_back("EXEC");
  }
  return out;
}

void add_trouble(Shape& shape, FakeTarget& target) {
  const char* names[] = {"SET", "MSET", "DEL", "EXEC"};
  const char* errors[] = {try_again, out_of_memory, "CLUSTERDOWN Hash slot not served",
                          "LOADING Redis is loading the dataset in memory",
                          "READONLY You can't write against a read only replica."};
  const std::size_t count = std::max<std::size_t>(1, shape.nodes);
  FakeRedis& node = target.node(shape.random() % count);
  switch (shape.random() % 4) {
    case 0:
      node.cut_after(1 + shape.random() % 10);
      break;
    case 1:
      if (shape.nodes > 0) {
        const std::string tag = "{" + std::to_string(shape.random() % 5) + "}";
        target.assign(slot_of(tag), shape.random() % shape.nodes);
      }
      break;
    case 2:
      if (shape.nodes > 0) {
        const std::string tag = "{" + std::to_string(shape.random() % 5) + "}";
        const std::size_t to = (target.owner_index(tag) + 1) % shape.nodes;
        target.migrate(tag, to, {tag + "a", tag + "b", tag + "c"});
      }
      break;
    default:
      node.refuse({names[shape.random() % 4], "", errors[shape.random() % 5],
                   static_cast<int>(1 + shape.random() % 2)});
  }
}

// Ends every migration, so that commands over keys of both sides come to an end.
Task<Error> end_migrations(SinkRun& run) {
  while (!run.is_over) {
    co_await sleep_for(Millis(20));
    for (int tag = 0; tag < 5; ++tag) {
      const std::string name = "{" + std::to_string(tag) + "}";
      run.target.end_migration(slot_of(name));
    }
  }
  co_return Error();
}

void check_random(unsigned seed, std::size_t nodes) {
  SCOPED_TRACE("seed " + std::to_string(seed) + ", nodes " + std::to_string(nodes));
  Shape shape{nodes, std::mt19937(seed)};
  FakeTarget target(nodes);
  SinkRun run(target, std::max<std::size_t>(1, nodes));
  Model model;
  int db = 0;
  for (int i = 0; i < 8; ++i)
    run.batch(random_batch(shape, model, db));
  run.before_batch = [&](std::size_t) { add_trouble(shape, target); };
  run.waits_between = seed % 3 == 0;
  run.limit = std::chrono::seconds(20);
  if (nodes > 0) run.beside = end_migrations;

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(target.values(), model.values);
  std::map<Slot, Words> found;
  for (const std::string& text : last_order(target.applied())) {
    const std::size_t open = text.find('{');
    found[nodes == 0 ? Slot(0) : slot_of(text.substr(open, 3))].push_back(text);
  }
  EXPECT_EQ(found, model.sent);
  EXPECT_EQ(run.applied, run.end);
  EXPECT_EQ(run.stats.applied, static_cast<std::uint64_t>(model.number));
  EXPECT_EQ(run.held_slots, 0u);
}

TEST(SinkOrder, KeepsTheOrderPerSlotOnARandomCluster) {
  for (unsigned seed = 1; seed <= 25; ++seed)
    check_random(seed, 3);
}

TEST(SinkOrder, KeepsTheOrderOnARandomStandaloneTarget) {
  for (unsigned seed = 1; seed <= 25; ++seed)
    check_random(seed, 0);
}

}  // namespace
}  // namespace keyferry::test
