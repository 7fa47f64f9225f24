#include "support/scripted_server.hpp"

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include "keyferry/net/stream.hpp"
#include "support/run_coro.hpp"

namespace keyferry::test {
namespace {

// Connects to a server that plays `fill_script`, sends "PING", reads until the end; the server's
// verdict.
Task<Error> talk(void (*fill_script)(ScriptedServer&), std::string* received) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  ScriptedServer server(executor);
  fill_script(server);
  Scope scope(executor);
  scope.spawn(server.run());
  Stream stream(executor);
  HostPort address;
  address.host = "127.0.0.1";
  address.port = server.port();
  Error error = co_await stream.connect_tcp(address);
  if (!error) error = co_await stream.write(ByteView("PING\r\n"));
  char buffer[64];
  while (!error) {
    Result<std::size_t> n = co_await stream.read_some(buffer, sizeof buffer);
    if (n.has_error()) break;
    received->append(buffer, n.value());
  }
  stream.close();
  if (!error) error = co_await scope.join();
  co_return error;
}

TEST(ScriptedServer, PlaysItsScript) {
  std::string received;

  const Error error = run_coro(talk(
      [](ScriptedServer& server) {
        server.expect("PING\r\n").send("+PO").stall(Millis{5}).send("NG\r\n").close();
      },
      &received));

  EXPECT_EQ(error.what, "");
  EXPECT_EQ(received, "+PONG\r\n");
}

TEST(ScriptedServer, NamesTheStepThatWentWrong) {
  std::string received;

  const Error error =
      run_coro(talk([](ScriptedServer& server) { server.expect("PONG\r\n").close(); }, &received));

  EXPECT_TRUE(error.is(Errc::corrupt));
  EXPECT_NE(error.what.find("script step 1: expected"), std::string::npos) << error.what;
}

Task<void> never_ends() {
  const Millis long_time{60000};
  co_await sleep_for(long_time);
}

TEST(RunCoro, FailsTheTestOnTimeout) {
  const auto run = [] { EXPECT_THROW(run_coro(never_ends(), Millis{10}), std::runtime_error); };

  EXPECT_NONFATAL_FAILURE(run(), "has not ended after 10 ms");
}

Task<int> throws() {
  throw std::logic_error("a bug");
  co_return 1;
}

TEST(RunCoro, RethrowsWhatTheCoroutineThrows) {
  EXPECT_THROW(run_coro(throws()), std::logic_error);
}

}  // namespace
}  // namespace keyferry::test
