// What the end-to-end tests share: starting a link, waiting for its phases, ending it at lag zero
// and comparing.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/compare.hpp"
#include "support/keyferry.hpp"
#include "support/live_writer.hpp"

namespace keyferry::test {

inline bool is_streaming(const std::string& json) {
  const std::string phase = json_field(json, "phase");
  return phase == "catch_up" || phase == "steady";
}

// The snapshot has been applied.
inline void wait_streaming(Keyferry& link, Millis limit = Millis{30000}) {
  ASSERT_TRUE(link.wait_until(is_streaming, limit)) << link.output();
}

// Asks for the end at lag zero and expects exit code 0.
inline void drain(Keyferry& link, Millis limit = Millis{60000}) {
  ASSERT_TRUE(link.process().is_running()) << link.output();
  EXPECT_EQ(link.http_post("/drain").status, 202);
  const auto code = link.wait_exit(limit);
  ASSERT_TRUE(code.has_value()) << "does not reach lag zero\n" << link.output();
  EXPECT_EQ(*code, 0) << link.output();
}

inline RedisServer source_server(std::vector<std::string> args = {}) {
  ServerOptions options;
  options.args = std::move(args);
  return RedisServer(std::move(options));
}

// One round: a filled source, a writer of all core types running through the snapshot and a second
// of the stream, then lag zero, then every key compared.
struct Round {
  bool cluster = false;
  bool diskless = true;
  std::uint64_t seed = 1;
  std::size_t keys = 4000;
};

template <class Target>
void play(const Round& round, Target& target) {
  RedisServer source = source_server({"--repl-diskless-sync", round.diskless ? "yes" : "no"});
  LiveOptions live;
  live.dataset.keys = round.keys;
  live.dataset.seed = round.seed;
  live.dataset.cluster_safe = round.cluster;
  live.seed = round.seed + 1000;
  live.commands_per_s = 4000;
  fill(source, live.dataset);
  LiveWriter writer(source, live);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{1000});
  writer.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();

  drain(link);

  EXPECT_GT(writer.commands(), 1000u);
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

}  // namespace keyferry::test
