#include "support/fault_proxy.hpp"

#include <chrono>

#include <gtest/gtest.h>

#include "support/server.hpp"

namespace keyferry::test {
namespace {

using Clock = std::chrono::steady_clock;

class FaultProxyTest : public testing::Test {
 protected:
  RespClient client(Millis timeout = Millis{3000}) const {
    return RespClient("127.0.0.1", proxy_.port(), timeout);
  }

  RedisServer server_;
  FaultProxy proxy_{server_.host(), server_.port()};
};

TEST_F(FaultProxyTest, ForwardsAndCounts) {
  RespClient connection = client();

  EXPECT_EQ(connection.command({"PING"}).text, "PONG");

  EXPECT_EQ(proxy_.bytes(Direction::to_server), 14U);  // *1 $4 PING
  // Counted after the write, so perhaps a moment after we have read it.
  EXPECT_TRUE(
      wait_for(Millis{1000}, [this] { return proxy_.bytes(Direction::to_client) == 7; }));  // +PONG
  EXPECT_EQ(proxy_.accepted(), 1U);
}

TEST_F(FaultProxyTest, CutEndsConnectionsAndServesNewOnes) {
  RespClient connection = client();
  connection.must({"PING"});

  proxy_.cut();

  EXPECT_THROW(connection.command({"PING"}), std::runtime_error);
  EXPECT_EQ(client().command({"PING"}).text, "PONG");
}

TEST_F(FaultProxyTest, CutsAfterExactlySoManyBytes) {
  RespClient connection = client();
  connection.must({"PING"});

  proxy_.cut_after(Direction::to_client, 5);
  connection.append({"PING"});
  connection.append({"PING"});
  connection.flush();
  std::string got;
  for (std::string piece = connection.read_raw(100); !piece.empty();
       piece = connection.read_raw(100))
    got += piece;

  EXPECT_EQ(got, "+PONG");
  EXPECT_EQ(client().command({"PING"}).text, "PONG");
}

TEST_F(FaultProxyTest, StallsUntilResumed) {
  RespClient connection = client(Millis{100});
  connection.must({"PING"});

  proxy_.stall();
  connection.append({"PING"});
  connection.flush();
  EXPECT_THROW(connection.read(), std::runtime_error);
  EXPECT_EQ(proxy_.open_connections(), 1U);
  proxy_.resume();

  EXPECT_EQ(connection.read().text, "PONG");
}

TEST_F(FaultProxyTest, Throttles) {
  RespClient connection = client();
  connection.must({"SET", "k", std::string(300000, 'x')});
  proxy_.throttle(Direction::to_client, 1000000);

  const auto start = Clock::now();
  EXPECT_EQ(connection.command({"GET", "k"}).text.size(), 300000U);
  const auto took = Clock::now() - start;

  EXPECT_GT(took, Millis{200});
  EXPECT_LT(took, Millis{2500});
}

TEST_F(FaultProxyTest, RefusesConnectionsAndTakesThemAgain) {
  RespClient connection = client();
  connection.must({"PING"});

  proxy_.refuse(true);
  EXPECT_THROW(client(), std::runtime_error);
  EXPECT_EQ(connection.command({"PING"}).text, "PONG");
  proxy_.refuse(false);

  EXPECT_EQ(client().command({"PING"}).text, "PONG");
}

}  // namespace
}  // namespace keyferry::test
