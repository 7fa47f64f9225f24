// A master that is asked for at Sentinels: transcripts of what is said to them and to the master.
#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include "keyferry/net/sentinel_watch.hpp"
#include "support/process.hpp"
#include "support/run_coro.hpp"
#include "support/scripted_server.hpp"

namespace keyferry {
namespace {

using test::run_coro;
using test::ScriptedServer;

const Bytes question = make_command({"SENTINEL", "get-master-addr-by-name", "main"});
const Bytes role = make_command({"ROLE"});
const Bytes ping = make_command({"PING"});
const Bytes setname = make_command({"CLIENT", "SETNAME", "keyferry-test"});

std::string address_reply(std::uint16_t port) {
  return make_command({"127.0.0.1", std::to_string(port)});
}

// Two Sentinels and a master.
struct Scene {
  explicit Scene(const asio::any_io_executor& executor)
      : first(executor), second(executor), master(executor) {}
  ScriptedServer first;
  ScriptedServer second;
  ScriptedServer master;
};

struct Play {
  void (*script)(Scene&) = nullptr;
  EndOptions options;
};

Task<Error> perform(Play play) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  Scene scene(executor);
  play.script(scene);
  EndOptions options = play.options;
  options.connect_timeout_ms = 2000;
  options.uri.sentinel_master = "main";
  for (const ScriptedServer* server : {&scene.first, &scene.second})
    options.uri.hosts.push_back(HostPort{"127.0.0.1", server->port()});
  Scope scope(executor);
  scope.spawn(scene.first.run());
  scope.spawn(scene.second.run());
  scope.spawn(scene.master.run());
  Connection connection(executor);
  HostPort ignored;
  Error error = co_await connection.open(options, ignored, "test");
  connection.close();
  Error server_error = co_await scope.join();
  EXPECT_FALSE(server_error) << server_error.what;
  co_return error;
}

TEST(SentinelConnection, AsksTheNextWhenOneDoesNotKnow) {
  Play play;
  play.script = [](Scene& scene) {
    scene.first.expect(question).send("*-1\r\n").expect_close();
    scene.second.expect(question).send(address_reply(scene.master.port())).expect_close();
    scene.master.expect(role)
        .send("*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n")
        .expect(ping)
        .send("+PONG\r\n")
        .expect(setname)
        .send("+OK\r\n")
        .expect_close();
  };
  const Error error = run_coro(perform(play));
  EXPECT_FALSE(error) << error.what;
}

TEST(SentinelConnection, AuthenticatesAtEachWithItsOwnSecret) {
  Play play;
  play.options.uri.user = "ferry";
  play.options.uri.password = "data";
  play.options.sentinel_user = "watch";
  play.options.sentinel_password = "guard";
  play.script = [](Scene& scene) {
    const Bytes to_sentinel = make_command({"AUTH", "watch", "guard"});
    scene.first.expect(to_sentinel).send("-WRONGPASS no\r\n").expect_close();
    scene.second.expect(to_sentinel)
        .send("+OK\r\n")
        .expect(question)
        .send(address_reply(scene.master.port()))
        .expect_close();
    scene.master.expect(make_command({"AUTH", "ferry", "data"}))
        .send("+OK\r\n")
        .expect(role)
        .send("*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n")
        .expect(ping)
        .send("+PONG\r\n")
        .expect(setname)
        .send("+OK\r\n");
  };
  const Error error = run_coro(perform(play));
  EXPECT_FALSE(error) << error.what;
}

TEST(SentinelConnection, DoesNotTakeAReplicaForTheMaster) {
  Play play;
  play.script = [](Scene& scene) {
    scene.first.close();
    scene.second.expect(question).send(address_reply(scene.master.port())).expect_close();
    scene.master.expect(role).send("*1\r\n$5\r\nslave\r\n").expect_close();
  };
  const Error error = run_coro(perform(play));
  EXPECT_TRUE(error.is(Errc::unreachable));
  EXPECT_EQ(error.what, "the server that Sentinel names is no master (yet)");
}

TEST(Connection, ReadsThePasswordFileAtEachConnect) {
  const test::TempDir files;
  const std::string file = files.file("password");
  const auto open_with = [](std::string path, std::string expected) -> Task<Error> {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    ScriptedServer server(executor);
    const Bytes auth = make_command({"AUTH", expected});
    server.expect(auth)
        .send("+OK\r\n")
        .expect(ping)
        .send("+PONG\r\n")
        .expect(setname)
        .send("+OK\r\n");
    Scope scope(executor);
    scope.spawn(server.run());
    EndOptions options;
    options.password_file = path;
    options.uri.password = "first";
    Connection connection(executor);
    HostPort host;
    host.host = "127.0.0.1";
    host.port = server.port();
    Error error = co_await connection.open(options, host, "test");
    connection.close();
    Error server_error = co_await scope.join();
    co_return error ? error : server_error;
  };
  test::write_file(file, "second\n");
  EXPECT_FALSE(run_coro(open_with(file, "second")));
  test::write_file(file, "");
  EXPECT_FALSE(run_coro(open_with(file, "first")));
}

// One refuses, one names a master, announces another and is asked again.
Task<Error> watch_a_switch(EndOptions options, std::vector<std::uint16_t>& told) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  ScriptedServer silent(executor);
  ScriptedServer speaking(executor);
  const Bytes auth = make_command({"AUTH", "s3cret"});
  const Bytes subscribe =
      make_command({"SUBSCRIBE", "+switch-master", "+failover-state-reconf-slaves"});
  silent.expect(auth).send("-WRONGPASS\r\n").expect_close();
  speaking.expect(auth)
      .send("+OK\r\n")
      .expect(question)
      .send(address_reply(6379))
      .expect(subscribe)
      .send("*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n")
      .send("*3\r\n$9\r\nsubscribe\r\n$29\r\n+failover-state-reconf-slaves\r\n:2\r\n")
      .send(make_command({"message", "+switch-master", "other 10.0.0.9 6379 10.0.0.8 6379"}))
      .send(make_command({"message", "+switch-master", "main 10.0.0.1 6379 10.0.0.2 6380"}))
      .expect_close();
  silent.accept().expect(auth).send("-WRONGPASS\r\n").expect_close();
  speaking.accept().expect(auth).send("+OK\r\n").expect(question).send(address_reply(6380));
  speaking.expect_close();
  for (const ScriptedServer* server : {&silent, &speaking})
    options.uri.hosts.push_back(HostPort{"127.0.0.1", server->port()});
  Scope scope(executor);
  scope.spawn(silent.run());
  scope.spawn(speaking.run());
  SentinelWatch watch(executor, options);
  watch.on_master = [&](const HostPort& master) {
    told.push_back(master.port);
    if (told.size() == 2) watch.stop();
  };
  Error error = co_await watch.run();
  EXPECT_FALSE(error) << error.what;
  co_return co_await scope.join();
}

TEST(SentinelWatch, AsksTheNextWhereOneRefusesAndAgainWhenASwitchIsAnnounced) {
  EndOptions options;
  options.connect_timeout_ms = 2000;
  options.uri.sentinel_master = "main";
  options.sentinel_password = "s3cret";
  std::vector<std::uint16_t> told;
  const Error error = run_coro(watch_a_switch(options, told));
  EXPECT_FALSE(error) << error.what;
  EXPECT_EQ(told, (std::vector<std::uint16_t>{6379, 6380}));
}

TEST(SentinelWatch, KnowsWhichMessagesAreAboutItsMaster) {
  const ByteView promoted = "+failover-state-reconf-slaves";
  EXPECT_TRUE(announces_switch("+switch-master", "main 10.0.0.1 6379 10.0.0.2 6380", "main"));
  EXPECT_TRUE(announces_switch(promoted, "master main 10.0.0.1 6379", "main"));
  EXPECT_FALSE(announces_switch(promoted, "master other 10.0.0.1 6379", "main"));
  EXPECT_FALSE(announces_switch(promoted, "slave main 10.0.0.1 6379", "main"));
  EXPECT_FALSE(announces_switch("+switch-master", "mainly 10.0.0.1 6379 10.0.0.2 6380", "main"));
  EXPECT_FALSE(announces_switch("+sdown", "master main 10.0.0.1 6379", "main"));
  EXPECT_FALSE(announces_switch("+switch-master", "", "main"));
}

}  // namespace
}  // namespace keyferry
