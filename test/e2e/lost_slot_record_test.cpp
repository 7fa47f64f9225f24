// Exactly once on a cluster target: a slot's own record that is lost (evicted, removed by hand)
// must be missed, or what it says of the slot's relative commands is carried out again.
#include "e2e/start.hpp"

namespace keyferry::test {
namespace {

const std::string of_first = "b";  // keys of the first and the third of four masters
const std::string of_third = "d";

struct Link {
  RedisServer source = source_server({"--repl-backlog-size", "64mb"});
  RedisCluster target{four_masters()};
  Keyferry keyferry{KEYFERRY_BINARY};

  Link() { begin(); }
  void begin() {
    const auto settings = with_settings({"delivery.checkpoint_interval_ms=100"}, quick_lease);
    start(keyferry, source, target, settings);
  }
  void increment(const std::string& key, int times) {
    for (int i = 0; i < times; ++i)
      source.command({"INCR", key});
  }
  void expect_value(std::size_t node, const std::string& key, const std::string& value) {
    EXPECT_TRUE(wait_for(Millis{10000}, [&] {
      return target.node(node).command({"GET", key}).text == value;
    })) << keyferry.output();
  }
  // The first master's own record lies in its first slot.
  void wait_listed() {
    const std::string listed = " recorded=" + std::to_string(key_slot(of_first));
    RedisServer& node = target.node(0);
    EXPECT_TRUE(wait_for(Millis{10000}, [&] {
      const Reply keys = node.command({"CLUSTER", "GETKEYSINSLOT", "0", "1"});
      return !keys.items.empty() &&
             node.command({"GET", keys.items.front().text}).text.ends_with(listed);
    }));
  }
  // A slot of the first master is ahead of what its node's record says: an older command waits.
  void get_ahead() {
    target.node(2).sigstop();
    increment(of_third, 3);
    increment(of_first, 5);
  }
  void restart_without_record() {
    keyferry.process().kill9();
    target.node(2).sigcont();
    remove_record();
    begin();
  }
  void remove_record() {
    const std::string slot = std::to_string(key_slot(of_first));
    RedisServer& node = target.node(0);
    int removed = 0;
    const Reply keys = node.command({"CLUSTER", "GETKEYSINSLOT", slot, "100"});
    for (const Reply& key : keys.items) {
      if (!key.text.ends_with(":slot")) continue;
      node.command({"DEL", key.text});
      ++removed;
    }
    EXPECT_EQ(removed, 1);
  }
  void expect_copied_again() {
    EXPECT_TRUE(keyferry.wait_status("counters.full_resyncs", "1", Millis{20000}))
        << keyferry.output();
    expect_equal_after_drain(source, target, keyferry);
    EXPECT_EQ(source.info("sync_full"), "2") << keyferry.output();
    EXPECT_NE(keyferry.output().find("a slot has lost its record"), std::string::npos)
        << keyferry.output();
  }

 private:
  static ClusterOptions four_masters() {
    ClusterOptions options;
    options.masters = 4;                                        // the lease is with the last one
    options.server.args = {"--cluster-node-timeout", "30000"};  // one may stand still
    return options;
  }
};

TEST(LostSlotRecord, IsMissedAtTheNextStart) {
  Link link;
  link.increment(of_first, 5);
  link.expect_value(0, of_first, "5");
  link.wait_listed();
  link.get_ahead();
  link.expect_value(0, of_first, "10");

  link.restart_without_record();

  link.expect_copied_again();
}

// What the node record vouches for stands still, but not the list of the slots with records.
TEST(LostSlotRecord, IsMissedWhenItIsTheFirstOfItsSlot) {
  Link link;
  link.get_ahead();
  link.expect_value(0, of_first, "5");
  link.wait_listed();

  link.restart_without_record();

  link.expect_copied_again();
}

// After a start that found the record: it is still listed.
TEST(LostSlotRecord, IsMissedAfterAStartThatFoundIt) {
  Link link;
  link.increment(of_first, 5);
  link.expect_value(0, of_first, "5");
  link.keyferry.process().kill9();
  link.begin();
  link.wait_listed();
  link.get_ahead();
  link.expect_value(0, of_first, "10");

  link.restart_without_record();

  link.expect_copied_again();
}

// When it is found missing while the link runs: the slot's new owner has none.
TEST(LostSlotRecord, IsMissedAtTheSlotsNewOwner) {
  Link link;
  link.increment(of_first, 5);
  link.expect_value(0, of_first, "5");
  link.wait_listed();
  link.remove_record();

  link.target.move_slot(key_slot(of_first), 1);
  link.increment(of_first, 5);

  link.expect_value(1, of_first, "10");
  expect_equal_after_drain(link.source, link.target, link.keyferry);
  EXPECT_EQ(link.source.info("sync_full"), "2") << link.keyferry.output();
}

TEST(LostSlotRecord, IsNotLostWithAFlush) {
  Link link;
  for (const char* flush : {"FLUSHALL", "FLUSHDB"}) {
    link.increment(of_first, 5);
    link.expect_value(0, of_first, "5");
    link.wait_listed();
    link.source.command({flush});
    link.expect_value(0, of_first, "");
    link.keyferry.process().kill9();
    link.begin();
  }

  expect_equal_after_drain(link.source, link.target, link.keyferry);
  EXPECT_EQ(link.source.info("sync_full"), "1") << link.keyferry.output();
}

}  // namespace
}  // namespace keyferry::test
