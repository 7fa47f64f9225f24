// What the tests share of commands over several slots of a cluster that come out of a file.
#pragma once

#include "e2e/cross_slot.hpp"
#include "e2e/start.hpp"

namespace keyferry::test {

// A server that keeps every command in its file.
inline RedisServer file_server(std::vector<std::string> more = {}) {
  std::vector<std::string> args = {
      "--appendonly",           "yes", "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0",
      "--aof-use-rdb-preamble", "no"};
  args.insert(args.end(), more.begin(), more.end());
  return source_server(args);
}

inline std::string file_of(const RedisServer& server) {
  return "file://" + server.directory() + "/appendonlydir/appendonly.aof.manifest";
}

inline void expect_loaded(RedisServer& source, RedisCluster& target, Keyferry& link) {
  EXPECT_EQ(link.wait_exit(Millis{90000}), 0) << link.output();
  source.restart();
  EXPECT_GT(key_count(source), 0u) << "nothing was written";
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

// Of ours, in the target.
inline std::vector<std::string> notes_in(RedisCluster& target) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < 3; ++i) {
    for (const auto& key : target.node(i).command({"KEYS", "keyferry:*:x*"}).items)
      out.push_back(key.text);
    for (const auto& key : target.node(i).command({"KEYS", "keyferry:*:crossing"}).items)
      out.push_back(key.text);
  }
  return out;
}

inline void load_random(unsigned seed, int count, const std::vector<std::string>& options) {
  RedisServer source = file_server();
  RedisCluster target;
  CrossSlotCommands commands = CrossSlotCommands(seed).without_patterns();
  send(source, commands, count);
  source.stop();
  Keyferry link(KEYFERRY_BINARY);

  link.run(file_of(source), target.uri(), options);

  expect_loaded(source, target, link);
  EXPECT_EQ(notes_in(target), std::vector<std::string>());
  EXPECT_NE(link.output().find("carried out on copies of their keys"), std::string::npos);
}

}  // namespace keyferry::test
