#include "keyferry/net/stream.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include "support/process.hpp"
#include "support/run_coro.hpp"
#include "support/scripted_server.hpp"

namespace keyferry {
namespace {

using test::run_coro;
using test::ScriptedServer;
using test::TempDir;

HostPort loopback(std::uint16_t port) {
  HostPort out;
  out.host = "127.0.0.1";
  out.port = port;
  return out;
}

Task<Error> read_to_end(Stream& stream, std::string& received) {
  char buffer[64];
  while (true) {
    auto n = co_await stream.read_some(buffer, sizeof buffer);
    if (!n) co_return n.error();
    received.append(buffer, *n);
  }
}

Task<Error> talk(std::string& received, Error& ending) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  ScriptedServer server(executor);
  server.expect("onetwothree").send("answer").close();
  Scope scope(executor);
  scope.spawn(server.run());
  Stream stream(executor);
  EXPECT_EQ(stream.remote_address(), "");
  Error error = co_await stream.connect_tcp(loopback(server.port()));
  if (error) co_return error;
  EXPECT_TRUE(stream.is_open());
  EXPECT_EQ(stream.remote_address(), "127.0.0.1");
  EXPECT_EQ(stream.local_address(), "127.0.0.1");
  const std::vector<asio::const_buffer> buffers{asio::buffer("one", 3), asio::buffer("two", 3)};
  error = co_await stream.write(buffers);
  if (!error) error = co_await stream.write(ByteView("three"));
  if (error) co_return error;
  ending = co_await read_to_end(stream, received);
  stream.close();
  stream.close();
  EXPECT_FALSE(stream.is_open());
  co_return co_await scope.join();
}

TEST(Stream, CarriesBytesBothWaysAndReportsTheEnd) {
  std::string received;
  Error ending;

  const Error error = run_coro(talk(received, ending));

  EXPECT_FALSE(error) << error.what;
  EXPECT_EQ(received, "answer");
  EXPECT_TRUE(ending.is(Errc::unreachable));
  EXPECT_EQ(ending.what, "read: End of file");
}

Task<Error> connect_to(HostPort address) {
  Stream stream(co_await asio::this_coro::executor);
  Error error = co_await stream.connect_tcp(std::move(address));
  EXPECT_FALSE(stream.is_open());
  co_return error;
}

TEST(Stream, SaysThatNobodyListens) {
  const Error error = run_coro(connect_to(loopback(test::free_port())));

  EXPECT_TRUE(error.is(Errc::unreachable));
  EXPECT_EQ(error.what, "connect: Connection refused");
}

TEST(Stream, SaysThatANameHasNoAddress) {
  HostPort address;
  address.host = "no-such-host.invalid";

  const Error error = run_coro(connect_to(address), std::chrono::seconds(20));

  EXPECT_TRUE(error.is(Errc::unreachable));
  EXPECT_EQ(error.what.substr(0, 9), "resolve: ");
}

Task<Error> read_and_note(Stream& stream, Error& ending) {
  std::string received;
  ending = co_await read_to_end(stream, received);
  co_return Error();
}

Task<Error> close_under_read(bool abort, Error& ending) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  ScriptedServer server(executor);
  server.expect_close();
  Scope scope(executor);
  scope.spawn(server.run());
  Stream stream(executor);
  Error error = co_await stream.connect_tcp(loopback(server.port()));
  if (error) co_return error;
  scope.spawn(read_and_note(stream, ending));
  co_await sleep_for(Millis(5));
  stream.close(abort);
  co_return co_await scope.join();
}

TEST(Stream, EndsPendingReadsWhenItIsClosed) {
  for (const bool abort : {false, true}) {
    Error ending;

    const Error error = run_coro(close_under_read(abort, ending));

    EXPECT_FALSE(error) << error.what;
    EXPECT_TRUE(ending.is(Errc::unreachable));
  }
}

Task<Error> talk_over_unix_socket(std::string path) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const asio::local::stream_protocol::endpoint endpoint(path);
  asio::local::stream_protocol::acceptor acceptor(executor, endpoint);
  Stream stream(executor);
  Error error = co_await stream.connect_unix(path);
  if (error) co_return error;
  EXPECT_EQ(stream.remote_address(), "");
  EXPECT_EQ(stream.local_address(), "");
  auto [ec, peer] = co_await acceptor.async_accept(use_tuple);
  EXPECT_FALSE(ec);
  error = co_await stream.write(ByteView("hello"));
  char buffer[8];
  auto [read_ec, n] = co_await peer.async_read_some(asio::buffer(buffer), use_tuple);
  EXPECT_EQ(std::string(buffer, n), "hello");
  co_return error;
}

Task<Error> connect_to_path(std::string path) {
  Stream stream(co_await asio::this_coro::executor);
  co_return co_await stream.connect_unix(std::move(path));
}

TEST(Stream, ReachesAUnixSocket) {
  const TempDir dir;

  const Error fine = run_coro(talk_over_unix_socket(dir.file("socket")));
  const Error missing = run_coro(connect_to_path("/" + std::string(106, 'x')));

  EXPECT_FALSE(fine) << fine.what;
  EXPECT_TRUE(missing.is(Errc::unreachable));
  EXPECT_EQ(missing.what, "connect: No such file or directory");
}

TEST(Stream, SaysThatAUnixPathIsTooLong) {
  const Error error = run_coro(connect_to_path("/tmp/" + std::string(103, 'x')));

  EXPECT_TRUE(error.is(Errc::usage)) << error.what;
}

}  // namespace
}  // namespace keyferry
