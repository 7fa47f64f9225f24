// GuardRing against a real server: transactions sent one behind the other, without waiting for
// verdicts. One that is not executed takes all behind it along, whatever the reason.
#include "keyferry/sink/guard_ring.hpp"

#include <gtest/gtest.h>

#include "keyferry/resp/resp.hpp"
#include "support/server.hpp"

namespace keyferry::test {
namespace {

struct Ring {
  // Number 0 is executed and judged, as the lane does it.
  Ring() : client(target.client()) {
    client.must({"HSET", "fence", "token", "1"});
    client.append({"MULTI"});
    client.append_raw(Bytes(ring.anew()));
    client.append({"EXEC"});
    finish(2 + GuardRing::anew_commands);
  }

  // The transaction behind the last one. `between` is done after the check, `inside` is one of its
  // commands.
  void send(const Args& inside, const Args& between = {"PING"}) {
    client.append({"WATCH", "fence"});
    client.append_raw(Bytes(ring.check(at)));
    at = GuardRing::next(at);
    client.append(between);
    client.append({"MULTI"});
    client.append(inside);
    client.append({"INCR", "executed"});
    client.append_raw(Bytes(ring.step(at)));
    client.append({"EXEC"});
    ++sent;
  }

  // Which of those sent since were executed.
  std::vector<bool> verdicts() {
    client.flush();
    std::vector<bool> executed;
    for (; sent > 0; --sent) {
      Reply exec;
      for (std::uint32_t i = 0; i < 6 + GuardRing::check_commands + GuardRing::step_commands; ++i)
        exec = client.read();
      executed.push_back(exec.kind == Reply::Kind::array && !exec.items.empty());
    }
    return executed;
  }

  void finish(std::uint32_t replies) {
    client.flush();
    for (std::uint32_t i = 0; i < replies; ++i)
      client.read();
  }

  RedisServer target;
  RespClient client;
  GuardRing ring{"fence", "token"};
  std::size_t at = 0;
  std::size_t sent = 0;
};

// The first `count` of max_unjudged.
std::vector<bool> first(std::size_t count) {
  std::vector<bool> executed(GuardRing::max_unjudged, false);
  std::fill_n(executed.begin(), count, true);
  return executed;
}

TEST(GuardRing, LetsOneFollowTheOther) {
  Ring ring;
  for (std::size_t i = 0; i < 3 * GuardRing::size; ++i)
    ring.send({"SET", "a", "1"});

  EXPECT_EQ(ring.verdicts(), std::vector<bool>(3 * GuardRing::size, true));
}

// Wherever in the ring the chain stands.
TEST(GuardRing, NothingIsExecutedBehindARefusedOne) {
  for (std::size_t before = 0; before < GuardRing::size; ++before) {
    Ring ring;
    for (std::size_t i = 0; i < before; ++i)
      ring.send({"SET", "a", "1"});
    ring.verdicts();
    for (std::size_t i = 0; i < GuardRing::max_unjudged; ++i)
      ring.send(i == 0 ? Args{"NOSUCHCOMMAND"} : Args{"SET", "a", "1"});

    EXPECT_EQ(ring.verdicts(), first(0)) << before;
  }
}

// The check before the second is refused what it wants to set; then there is memory again.
TEST(GuardRing, MemoryThatComesBackBetweenTheCheckAndTheTransactionChangesNothing) {
  Ring ring;
  ring.client.must({"CONFIG", "SET", "maxmemory", "1"});
  for (std::size_t i = 0; i < GuardRing::max_unjudged; ++i)
    ring.send({"SET", "a", "1"}, i == 1 ? Args{"CONFIG", "SET", "maxmemory", "0"} : Args{"PING"});

  EXPECT_EQ(ring.verdicts(), first(0));
}

TEST(GuardRing, NothingIsExecutedBehindOneThatTheFenceStopped) {
  Ring ring;
  for (std::size_t i = 0; i < GuardRing::max_unjudged; ++i)
    ring.send({"SET", "a", "1"}, i == 2 ? Args{"HSET", "fence", "x", "1"} : Args{"PING"});

  EXPECT_EQ(ring.verdicts(), first(2));
}

// Between two transactions, where nothing is watched.
TEST(GuardRing, NothingIsExecutedBehindATakeover) {
  for (const Args& takeover : {Args{"DEL", "fence"}, Args{"FLUSHALL"}}) {
    Ring ring;
    for (std::size_t i = 0; i < GuardRing::max_unjudged; ++i) {
      if (i == 2) {
        ring.verdicts();
        ring.client.must(takeover);
        ring.client.must({"HSET", "fence", "another", "1"});
      }
      ring.send({"SET", "a", "1"});
    }

    EXPECT_EQ(ring.verdicts(), std::vector<bool>(GuardRing::max_unjudged - 2, false));
  }
}

TEST(GuardRing, TokensAreNoGuards) {
  EXPECT_TRUE(is_guard("due:0"));
  EXPECT_TRUE(is_guard("ran:31"));
  EXPECT_FALSE(is_guard("0f5c2d1e99aabbcc"));
}

}  // namespace
}  // namespace keyferry::test
