// The cutover of a link with two source masters (real servers; the link itself is played).
#include "keyferry/pipeline/handover.hpp"

#include <gtest/gtest.h>

#include "support/run_coro.hpp"
#include "support/server.hpp"

namespace keyferry {
namespace {

using test::RedisServer;
using test::Reply;
using State = CutoverStatus::State;

// Two masters, and a link that has always applied everything.
struct Ends {
  RedisServer a;
  RedisServer b;
  Options options;
  CutoverStatus status;
  int frozen = 0;
  int thawed = 0;
  std::optional<std::int64_t> lag = 0;
  std::string user_of_b;
  std::vector<EndOptions> heirs;
  int shape_changes_at = 0;  // the how many-th look at it finds it changed
  int looks = 0;
  std::function<void()> at_a_look = [] {};
  std::map<std::string, Offset> asked;  // the last offset of each that was asked for
  std::function<void()> in_the_pause = [] {};

  HandoverSource source(const RedisServer& server, const std::string& user) {
    HandoverSource out;
    const std::string login = user.empty() ? "" : user + ":pw@";
    out.end.uri = parse_uri("redis://" + login + server.address()).value();
    out.replid = server.info("master_replid");
    out.lag_bytes = [this](TimePoint) { return lag; };
    out.has_applied = [this, name = server.address()](Offset offset) {
      asked[name] = offset;
      in_the_pause();
      return true;
    };
    return out;
  }
  Task<Error> look_at_shape() {
    at_a_look();
    const bool has_changed = ++looks == shape_changes_at;
    co_return has_changed ? Error(Errc::unreachable, "the cluster changes") : Error();
  }
  Error hand_over() {
    HandoverLink link;
    link.sources = {source(a, ""), source(b, user_of_b)};
    link.heirs = heirs;
    link.judge_shape = [this] { return look_at_shape(); };
    link.is_ending = [] { return false; };
    link.freeze = [this] { ++frozen; };
    link.thaw = [this] { ++thawed; };
    return test::run_coro(run(*this, std::move(link)));
  }
  static Task<Error> run(Ends& ends, HandoverLink link) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    Handover handover(executor, ends.options, std::move(link), ends.status);
    CutoverRequest request;
    request.pause_timeout_ms = 3000;
    co_return co_await handover.run(request);
  }
};

// "OK", the refusal, or "no answer" while writes are held back.
std::string write_to(const RedisServer& server) {
  try {
    return server.client(test::Millis{300}).command({"SET", "probe", "1"}).text.substr(0, 10);
  } catch (const std::runtime_error&) {
    return "no answer";
  }
}

void forbid(const RedisServer& server, const std::string& rule) {
  server.command({"ACL", "SETUSER", "ops", "on", ">pw", "~*", "&*", "+@all", rule});
}

TEST(Handover, FencesEveryMaster) {
  Ends ends;
  bool held_both = false;
  ends.in_the_pause = [&] {
    held_both = held_both || (write_to(ends.a) == "no answer" && write_to(ends.b) == "no answer");
  };

  const Error error = ends.hand_over();

  EXPECT_FALSE(error) << error.what;
  EXPECT_EQ(ends.status.state, State::committed);
  EXPECT_TRUE(held_both);
  EXPECT_GT(ends.status.pause_ms, 0);
  EXPECT_EQ(ends.frozen, 1);
  EXPECT_EQ(ends.thawed, 0);
  for (const RedisServer* server : {&ends.a, &ends.b})
    EXPECT_EQ(write_to(*server), "NOREPLICAS");
}

TEST(Handover, EndsClientsOfEveryMaster) {
  Ends ends;
  test::RespClient client = ends.b.client();
  client.must({"PING"});

  EXPECT_FALSE(ends.hand_over());

  EXPECT_THROW(client.must({"PING"}), std::runtime_error);
}

TEST(Handover, GivesUpWhenOneIsNoMaster) {
  Ends ends;
  ends.b.command({"REPLICAOF", "127.0.0.1", std::to_string(ends.a.port())});
  ASSERT_TRUE(test::wait_for(test::Millis{10000},
                             [&] { return ends.b.info("master_link_status") == "up"; }));

  const Error error = ends.hand_over();

  EXPECT_NE(error.what.find(ends.b.address() + ": it is no master"), std::string::npos)
      << error.what;
  EXPECT_EQ(ends.status.state, State::failed);
  EXPECT_EQ(write_to(ends.a), "OK");
}

TEST(Handover, FreesAllWhenOneChangesItsRoleInThePause) {
  Ends ends;
  ends.in_the_pause = [&] { ends.b.command({"REPLICAOF", "127.0.0.1", "1"}); };

  const Error error = ends.hand_over();

  EXPECT_NE(error.what.find("it is no master"), std::string::npos) << error.what;
  EXPECT_EQ(ends.status.state, State::failed);
  EXPECT_EQ(ends.frozen, 0);
  EXPECT_EQ(write_to(ends.a), "OK");
}

TEST(Handover, FreesAllWhenOneHasAnotherHistoryInThePause) {
  Ends ends;
  bool is_done = false;
  ends.in_the_pause = [&] {
    if (!std::exchange(is_done, true)) ends.b.restart();
  };

  const Error error = ends.hand_over();

  EXPECT_EQ(ends.status.state, State::failed) << error.what;
  EXPECT_EQ(write_to(ends.a), "OK");
  EXPECT_EQ(write_to(ends.b), "OK");
}

TEST(Handover, TakesTheFenceBackWhenOneCannotBeFenced) {
  Ends ends;
  ends.a.command({"CONFIG", "SET", "min-replicas-to-write", "0"});
  forbid(ends.b, "-config|set");
  ends.user_of_b = "ops";

  const Error error = ends.hand_over();

  EXPECT_NE(error.what.find("fence: " + ends.b.address()), std::string::npos) << error.what;
  EXPECT_EQ(ends.status.state, State::failed);
  EXPECT_EQ(ends.frozen, 0);
  EXPECT_EQ(ends.thawed, 1);
  EXPECT_EQ(ends.a.command({"CONFIG", "GET", "min-replicas-to-write"}).items.at(1).text, "0");
  EXPECT_EQ(write_to(ends.a), "OK");
  EXPECT_EQ(write_to(ends.b), "OK");
}

TEST(Handover, FreesAllWhenOneCannotBePaused) {
  Ends ends;
  forbid(ends.b, "-client|pause");
  ends.user_of_b = "ops";

  const Error error = ends.hand_over();

  EXPECT_NE(error.what.find("cutover.on_pause"), std::string::npos) << error.what;
  EXPECT_EQ(ends.status.state, State::failed);
  EXPECT_EQ(write_to(ends.a), "OK");
}

TEST(Handover, RunsTheHookWhenOneCannotBePaused) {
  Ends ends;
  forbid(ends.b, "-client|pause");
  ends.user_of_b = "ops";
  const test::TempDir directory;
  ends.options.cutover_on_pause = "touch " + directory.file("paused");
  ends.options.cutover_on_unpause = "false";

  const Error error = ends.hand_over();

  EXPECT_FALSE(error) << error.what;
  EXPECT_EQ(ends.status.state, State::committed);
  EXPECT_NO_THROW(test::read_file(directory.file("paused")));
}

// Before the pause, in it, and behind the fences.
TEST(Handover, FreesAllWhenTheShapeChanges) {
  for (int look = 1; look <= 3; ++look) {
    Ends ends;
    ends.shape_changes_at = look;
    bool was_fenced = false;
    ends.at_a_look = [&] {
      const Reply value = ends.a.command({"CONFIG", "GET", "min-replicas-to-write"});
      was_fenced = value.items.at(1).text != "0";
    };

    const Error error = ends.hand_over();

    EXPECT_NE(error.what.find("the cluster changes"), std::string::npos) << error.what;
    EXPECT_EQ(ends.looks, look);
    EXPECT_EQ(was_fenced, look == 3);
    EXPECT_EQ(ends.status.state, State::failed);
    EXPECT_EQ(ends.frozen, 0);
    EXPECT_EQ(write_to(ends.a), "OK");
    EXPECT_EQ(write_to(ends.b), "OK");
  }
}

TEST(Handover, FencesReplicasAndWaitsForWhatGotInBeforeTheFence) {
  Ends ends;
  ends.a.command({"CONFIG", "SET", "repl-ping-replica-period", "3600"});
  test::ServerOptions options;
  options.args = {"--replicaof", "127.0.0.1 " + std::to_string(ends.a.port())};
  RedisServer replica(options);
  ASSERT_TRUE(test::wait_for(test::Millis{10000},
                             [&] { return replica.info("master_link_status") == "up"; }));
  for (const std::string& address : {replica.address(), std::string("127.0.0.1:1")}) {
    ends.heirs.emplace_back();
    ends.heirs.back().uri = parse_uri("redis://" + address).value();
  }
  ends.at_a_look = [&] {
    if (ends.looks != 1) return;
    ends.a.command({"CLIENT", "UNPAUSE"});
    EXPECT_EQ(write_to(ends.a), "OK");
  };

  const Error error = ends.hand_over();

  EXPECT_FALSE(error) << error.what;
  EXPECT_EQ(ends.status.state, State::committed);
  EXPECT_EQ(replica.command({"CONFIG", "GET", "min-replicas-to-write"}).items.at(1).text,
            "1000000");
  EXPECT_GE(ends.asked[ends.a.address()], std::stoll(ends.a.info("master_repl_offset")));
}

TEST(Handover, RefusesAFenceThatWouldNotHold) {
  Ends ends;
  ends.b.command({"CONFIG", "SET", "min-replicas-max-lag", "0"});

  const Error error = ends.hand_over();

  EXPECT_NE(error.what.find("min-replicas-max-lag is 0"), std::string::npos) << error.what;
  EXPECT_EQ(write_to(ends.a), "OK");
  EXPECT_EQ(ends.status.pause_ms, 0);
}

TEST(Handover, WaitsForTheLagOfAll) {
  Ends ends;
  ends.lag = std::nullopt;
  ends.options.cutover_wait_s = 1;

  const Error error = ends.hand_over();

  EXPECT_NE(error.what.find("cutover.max_lag_bytes"), std::string::npos) << error.what;
  EXPECT_EQ(ends.status.state, State::failed);
}

TEST(Handover, KeepsTheFenceWhenTheSwitchFails) {
  Ends ends;
  ends.options.cutover_on_switch = "exit 3";

  const Error error = ends.hand_over();

  EXPECT_TRUE(error.is(Errc::data_refused)) << error.what;
  EXPECT_EQ(ends.status.state, State::committed);
  EXPECT_NE(ends.status.problem.find("cutover.on_switch ended with 3; the fence stays"),
            std::string::npos)
      << ends.status.problem;
  EXPECT_EQ(write_to(ends.a), "NOREPLICAS");
}

}  // namespace
}  // namespace keyferry
