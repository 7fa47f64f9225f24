#include "keyferry/sink/route.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

using Kind = Route::Kind;

Route route(std::vector<ByteView> args, bool is_cluster, std::int32_t db = 0) {
  return route_command(find_command(args[0]), args, db, is_cluster);
}

TEST(Route, SendsWhatHasKeysToTheirSlotOnACluster) {
  const struct {
    std::vector<ByteView> args;
    Slot slot;
  } rows[] = {
      {{"SET", "foo", "1"}, 12182},
      {{"set", "foo", "1"}, 12182},
      {{"MSET", "{foo}1", "a", "foo", "b"}, 12182},
      {{"DEL", "foo"}, 12182},
      {{"RENAME", "foo", "{foo}2"}, 12182},
      {{"PUBLISH", "foo", "x"}, 12182},
      {{"SPUBLISH", "foo", "x"}, 12182},
      {{"ZUNIONSTORE", "foo", "1", "{foo}z"}, 12182},
      {{"PUBLISH", "keyferry:x", "x"}, slot_of("keyferry:x")},  // a channel is no key
  };
  for (const auto& row : rows) {
    const Route found = route(row.args, true);
    EXPECT_EQ(found.kind, Kind::lane) << row.args[0];
    EXPECT_EQ(found.slot, row.slot) << row.args[0];
  }
}

TEST(Route, TellsApartWhatACannotRunInOneSlot) {
  const struct {
    std::vector<ByteView> args;
    Kind kind;
    const char* reason;
  } rows[] = {
      {{"MSET", "a", "1", "b", "2"}, Kind::split, ""},
      {{"DEL", "a", "b"}, Kind::split, ""},
      {{"RENAME", "a", "b"}, Kind::copy_written, "cross_slot"},
      {{"SUNIONSTORE", "a", "b"}, Kind::copy_written, "cross_slot"},
      {{"SORT", "{t}a", "BY", "w*", "STORE", "{t}b"}, Kind::copy_written, "key_pattern"},
      {{"FLUSHALL"}, Kind::all_nodes, ""},
      {{"FUNCTION", "LOAD", "#!lua name=x"}, Kind::all_nodes, ""},
      {{"SCRIPT", "FLUSH"}, Kind::all_nodes, ""},
      {{"EVAL", "return 1", "0"}, Kind::refuse, "no_key"},
      {{"SET"}, Kind::refuse, "no_key"},
      {{"PUBLISH"}, Kind::refuse, "malformed"},
      {{"MODULE.CMD", "a"}, Kind::refuse, "unknown_command"},
  };
  for (const auto& row : rows) {
    const Route found = route(row.args, true);
    EXPECT_EQ(found.kind, row.kind) << row.args[0];
    EXPECT_STREQ(found.reason, row.reason) << row.args[0];
  }
}

TEST(Route, RefusesOtherDatabasesOnACluster) {
  EXPECT_EQ(route({"SET", "a", "1"}, true, 1).kind, Kind::refuse);
  EXPECT_STREQ(route({"SET", "a", "1"}, true, 1).reason, "database_on_cluster");
  EXPECT_EQ(route({"PUBLISH", "a", "1"}, true, 1).kind, Kind::lane) << "it has no database";
}

TEST(Route, KeepsOneOrderForEverythingOnAStandaloneTarget) {
  const std::vector<ByteView> rows[] = {
      {"SET", "foo", "1"}, {"MSET", "a", "1", "b", "2"}, {"RENAME", "a", "b"},
      {"FLUSHALL"},        {"FLUSHDB", "ASYNC"},         {"PUBLISH", "foo", "x"},
      {"MODULE.CMD", "a"}, {"SWAPDB", "0", "1"},
  };
  for (const auto& args : rows) {
    const Route found = route(args, false, 7);
    EXPECT_EQ(found.kind, Kind::lane) << args[0];
    EXPECT_EQ(found.slot, 0) << args[0];
  }
}

TEST(Route, DropsWhatIsNotForTheTarget) {
  const struct {
    std::vector<ByteView> args;
    const char* reason;
  } rows[] = {
      {{"PING"}, "not_for_replicas"},
      {{"REPLCONF", "GETACK", "*"}, "not_for_replicas"},
      {{"SELECT", "1"}, "not_for_replicas"},
      {{"PUBLISH", "__sentinel__:hello", "x"}, "sentinel"},
      {{"SET", "keyferry:{a}:link", "1"}, "own_key"},
      {{"DEL", "a", "keyferry:{a}:link"}, "own_key"},
  };
  for (const bool is_cluster : {false, true}) {
    for (const auto& row : rows) {
      const Route found = route(row.args, is_cluster);
      EXPECT_EQ(found.kind, Kind::drop) << row.args[0];
      EXPECT_STREQ(found.reason, row.reason) << row.args[0];
    }
  }
}

}  // namespace
}  // namespace keyferry
