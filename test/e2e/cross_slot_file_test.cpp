// Commands over several slots out of an append-only file: there is nobody to copy from, so the
// cluster carries them out, and ends equal to the server that wrote the file.
#include "e2e/cross_slot_file.hpp"

namespace keyferry::test {
namespace {

TEST(CrossSlotFile, RandomCommandsEndEqual) {
  load_random(21, 8000, quick_lease);
}

TEST(CrossSlotFile, EndEqualAtLeastOnceAsWell) {
  load_random(22, 2000, {"--set", "delivery.mode=at_least_once"});
}

TEST(CrossSlotFile, KillNineInBetweenEndsEqual) {
  RedisServer source = file_server();
  RedisCluster target;
  CrossSlotCommands commands = CrossSlotCommands(23).without_patterns();
  send(source, commands, 4000);
  source.stop();
  Keyferry link(KEYFERRY_BINARY);
  int kills = 0;
  for (; kills < 6; ++kills) {
    link.run(file_of(source), target.uri(), quick_lease);
    ASSERT_TRUE(wait_for(Millis{20000}, [&] {
      return count_of(link.output(), "reading files") == static_cast<std::size_t>(kills) + 1;
    })) << link.output();
    if (link.wait_exit(Millis{10 + 10 * kills})) break;
    link.process().kill9();
  }
  EXPECT_GT(kills, 2) << "it was too fast to be killed: " << link.output();

  if (kills == 6) link.run(file_of(source), target.uri(), quick_lease);
  expect_loaded(source, target, link);
}

std::string key_at(const RedisCluster& target, std::size_t node, const std::string& prefix) {
  for (int i = 0;; ++i) {
    const std::string key = prefix + std::to_string(i);
    if (target.owner(key_slot(key)) == node) return key;
  }
}

// One of the two keys has its new value, the node of the other one takes no writes; the third node
// has what we note of it.
TEST(CrossSlotFile, AKillBetweenTwoEffectsIsFinishedAndNotDoneAgain) {
  RedisServer source = file_server();
  RedisCluster target;
  const std::string from = key_at(target, 0, "from");
  const std::string to = key_at(target, 1, "to");
  RespClient client = source.client();
  constexpr int count = 4000;
  for (int i = 0; i < count; ++i)
    client.append({"RPUSH", from, std::to_string(i)});
  for (int i = 0; i < count; ++i)
    client.append({"LMOVE", from, to, "LEFT", "RIGHT"});
  client.flush();
  for (int i = 0; i < 2 * count; ++i)
    client.read();
  source.stop();
  Keyferry link(KEYFERRY_BINARY);
  const auto moved = [&] { return target.node(1).command({"LLEN", to}).integer; };
  const auto left = [&] { return target.node(0).command({"LLEN", from}).integer; };
  for (int round = 0; round < 2; ++round) {
    const std::int64_t before = moved();
    link.run(file_of(source), target.uri(), quick_lease);
    ASSERT_TRUE(wait_for(Millis{20000}, [&] { return moved() > before + 100; })) << link.output();
    target.node(1).command({"CLIENT", "PAUSE", "20000", "WRITE"});
    const auto is_between = [&] { return left() + moved() == count - 1; };
    EXPECT_TRUE(wait_for(Millis{5000}, is_between)) << left() << " " << moved();
    link.process().kill9();
    target.node(1).command({"CLIENT", "UNPAUSE"});
  }

  link.run(file_of(source), target.uri(), quick_lease);
  expect_loaded(source, target, link);
  EXPECT_EQ(moved(), count);
  EXPECT_EQ(count_of(link.output(), "another full sync"), 0u);
}

TEST(CrossSlotFile, SlotsOnTheMoveAndBrokenConnectionsEndEqual) {
  RedisServer source = file_server();
  RedisCluster target;
  CrossSlotCommands commands = CrossSlotCommands(24).without_patterns();
  send(source, commands, 4000);
  source.stop();
  Keyferry link(KEYFERRY_BINARY);
  link.run(file_of(source), target.uri(), quick_lease);
  const auto has_begun = [&] {
    return link.output().find("carried out on copies") != std::string::npos;
  };
  ASSERT_TRUE(wait_for(Millis{20000}, has_begun)) << link.output();
  for (int i = 0; i < 8; ++i) {
    for (const char* kind : {"str:", "list:"}) {
      const int slot = key_slot(kind + std::to_string(i));
      target.move_slot(slot, (target.owner(slot) + 1) % 3);
    }
    target.node(static_cast<std::size_t>(i) % 3).command({"CLIENT", "KILL", "TYPE", "normal"});
  }

  expect_loaded(source, target, link);
}

TEST(CrossSlotFile, TimesToLiveTravelAsTheCommandSays) {
  RedisServer source = file_server();
  RedisCluster target;
  RespClient client = source.client();
  for (const char* key : {"a", "b", "c", "d"})
    client.must({"SET", key, key, "PX", "5000000"});
  client.must({"SET", "plain", "1"});
  client.must({"RENAME", "a", "renamed"});
  client.must({"COPY", "b", "copied"});
  client.must({"RENAME", "plain", "c"});
  client.must({"SADD", "s1", "x"});
  client.must({"SADD", "s2", "y"});
  client.must({"SADD", "to", "z"});
  client.must({"EXPIRE", "to", "5000"});
  client.must({"SUNIONSTORE", "to", "s1", "s2"});
  client.must({"EXPIRE", "s2", "5000"});
  client.must({"SMOVE", "s1", "s2", "x"});
  source.stop();
  Keyferry link(KEYFERRY_BINARY);

  link.run(file_of(source), target.uri(), quick_lease);

  expect_loaded(source, target, link);
}

// Times relative to now are not put off; large values, so that many expire while they are read.
TEST(CrossSlotFile, AKeyThatExpiresWhileItIsReadDoesNotStayForEver) {
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);
  std::string commands;
  const auto add = [&commands](const Args& args) {
    commands += "*" + std::to_string(args.size()) + "\r\n";
    for (const std::string& arg : args)
      commands += "$" + std::to_string(arg.size()) + "\r\n" + arg + "\r\n";
  };
  for (int ms = 1; ms <= 60; ++ms) {
    const std::string n = std::to_string(ms);
    add({"SETRANGE", "key:" + n, "8000000", "x"});
    add({"PEXPIRE", "key:" + n, n});
    add({"COPY", "key:" + n, "copy:" + n});
  }
  const std::string file = link.directory().file("commands.aof");
  write_file(file, commands);
  link.run("file://" + file, target.uri(), quick_lease);
  EXPECT_EQ(link.wait_exit(Millis{60000}), 0) << link.output();

  std::this_thread::sleep_for(Millis{200});
  for (std::size_t i = 0; i < 3; ++i) {
    for (const char* pattern : {"key:*", "copy:*"})
      EXPECT_EQ(target.node(i).command({"KEYS", pattern}).items.size(), 0u) << pattern;
  }
}

TEST(CrossSlotFile, WhatLooksAtOtherKeysIsRefusedByName) {
  RedisServer source = file_server();
  RedisCluster target;
  RespClient client = source.client();
  client.must({"RPUSH", "list", "2", "1"});
  client.must({"SORT", "list", "BY", "weight_*", "STORE", "sorted"});
  source.stop();
  Keyferry link(KEYFERRY_BINARY);
  link.run(file_of(source), target.uri(), quick_lease);

  EXPECT_EQ(link.wait_exit(Millis{10000}), 1) << link.output();
  EXPECT_NE(link.output().find("SORT \"list\" cannot be carried out on this target"),
            std::string::npos)
      << link.output();
}

std::string incompressible(std::size_t bytes) {
  std::mt19937 random(25);
  std::string value(bytes, '\0');
  for (char& byte : value)
    byte = static_cast<char>(random());
  return value;
}

TEST(CrossSlotFile, ALargeValueIsRefusedByName) {
  RedisServer source = file_server();
  RedisCluster target;
  RespClient client = source.client();
  client.must({"SET", "large", incompressible(200'000)});
  client.must({"RENAME", "large", "elsewhere"});
  source.stop();
  Keyferry link(KEYFERRY_BINARY);
  link.run(file_of(source), target.uri(), with({"--set", "snapshot.restore_max_bytes=65536"}));

  EXPECT_EQ(link.wait_exit(Millis{20000}), 1) << link.output();
  EXPECT_NE(link.output().find("RENAME \"large\" cannot be carried out on this target: "
                               "value_too_large"),
            std::string::npos)
      << link.output();
  EXPECT_EQ(
      target.node(target.owner(key_slot("elsewhere"))).command({"EXISTS", "elsewhere"}).integer, 0);
}

// Each small enough, but not all of them together.
TEST(CrossSlotFile, ManyLargeOperandsAreRefusedByName) {
  RedisServer source = file_server();
  RedisCluster target;
  RespClient client = source.client();
  const std::string value = incompressible(100'000);
  std::vector<std::string> command = {"BITOP", "OR", "all"};
  for (int i = 0; i < 50; ++i) {
    command.push_back("operand:" + std::to_string(i));
    client.must({"SET", command.back(), value});
  }
  client.must(command);
  source.stop();
  Keyferry link(KEYFERRY_BINARY);
  link.run(file_of(source), target.uri(), with({"--set", "limits.memory_max_bytes=16777216"}));

  EXPECT_EQ(link.wait_exit(Millis{20000}), 1) << link.output();
  EXPECT_NE(link.output().find("BITOP \"all\" cannot be carried out on this target: "
                               "value_too_large"),
            std::string::npos)
      << link.output();
}

}  // namespace
}  // namespace keyferry::test
