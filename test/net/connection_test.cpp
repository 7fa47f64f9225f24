#include "keyferry/net/connection.hpp"

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include "support/run_coro.hpp"
#include "support/scripted_server.hpp"

namespace keyferry {
namespace {

using test::run_coro;
using test::ScriptedServer;

const Bytes ping = "*1\r\n$4\r\nPING\r\n";
const Bytes setname = "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$13\r\nkeyferry-test\r\n";
const Bytes auth = "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n";
const Bytes auth_user = "*3\r\n$4\r\nAUTH\r\n$5\r\nferry\r\n$6\r\nsecret\r\n";

EndOptions options_with(const std::string& user, const std::string& password) {
  EndOptions options;
  options.uri.user = user;
  options.uri.password = password;
  options.connect_timeout_ms = 2000;
  return options;
}

// What the client does once it is connected.
using Step = Task<Error> (*)(Connection&);

struct Talk {
  EndOptions options = options_with("", "");
  void (*script)(ScriptedServer&) = nullptr;
  Step step = nullptr;
  Error server_error;
};

Task<Error> play(Talk& talk) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  ScriptedServer server(executor);
  talk.script(server);
  Scope scope(executor);
  scope.spawn(server.run());
  Connection connection(executor);
  HostPort host;
  host.host = "127.0.0.1";
  host.port = server.port();
  Error error = co_await connection.open(talk.options, host, "test");
  EXPECT_EQ(connection.stream().is_open(), !error);
  if (!error && talk.step != nullptr) error = co_await talk.step(connection);
  connection.close();
  talk.server_error = co_await scope.join();
  co_return error;
}

TEST(Connection, OpensWithoutPassword) {
  Talk talk;
  talk.script = [](ScriptedServer& server) {
    server.expect(ping).send("+PONG\r\n").expect(setname).send("+OK\r\n").expect_close();
  };

  const Error error = run_coro(play(talk));

  EXPECT_FALSE(error) << error.what;
  EXPECT_FALSE(talk.server_error) << talk.server_error.what;
}

TEST(Connection, AuthenticatesWithAndWithoutUser) {
  Talk talk;
  talk.options = options_with("", "secret");
  talk.script = [](ScriptedServer& server) {
    server.expect(auth)
        .send("+OK\r\n")
        .expect(ping)
        .send("+PONG\r\n")
        .expect(setname)
        .send("+OK\r\n");
  };
  EXPECT_FALSE(run_coro(play(talk)));
  EXPECT_FALSE(talk.server_error) << talk.server_error.what;

  talk.options = options_with("ferry", "secret");
  talk.script = [](ScriptedServer& server) {
    server.expect(auth_user)
        .send("+OK\r\n")
        .expect(ping)
        .send("+PONG\r\n")
        .expect(setname)
        .send("+OK\r\n");
  };
  EXPECT_FALSE(run_coro(play(talk)));
  EXPECT_FALSE(talk.server_error) << talk.server_error.what;
}

TEST(Connection, TellsRefusalsFromPassingTroubleInTheServersWords) {
  const struct {
    const char* password;
    const char* reply;  // to the first command
    Errc code;
    const char* words;
  } rows[] = {
      {"secret", "-WRONGPASS invalid username-password pair\r\n", Errc::refused_by_peer,
       "AUTH: WRONGPASS invalid username-password pair"},
      {"secret", "-ERR invalid password\r\n", Errc::refused_by_peer, "AUTH: ERR invalid password"},
      {"secret", "-ERR max number of clients reached\r\n", Errc::unreachable,
       "AUTH: ERR max number of clients reached"},
      {"", "-NOAUTH Authentication required.\r\n", Errc::refused_by_peer,
       "PING: NOAUTH Authentication required."},
      {"", "-NOPERM this user has no permissions\r\n", Errc::refused_by_peer,
       "PING: NOPERM this user has no permissions"},
      {"", "-DENIED Redis is running in protected mode\r\n", Errc::refused_by_peer,
       "PING: DENIED Redis is running in protected mode"},
      {"", "-ERR max number of clients reached\r\n", Errc::unreachable,
       "PING: ERR max number of clients reached"},
  };
  static std::string reply;
  for (const auto& row : rows) {
    Talk talk;
    talk.options = options_with("", row.password);
    reply = row.reply;
    talk.script = [](ScriptedServer& server) { server.send(reply).stall(Millis(5)).close(); };

    const Error error = run_coro(play(talk));

    EXPECT_TRUE(error.is(row.code)) << row.reply;
    EXPECT_EQ(error.what, row.words);
  }
}

TEST(Connection, OpensAtAServerThatIsLoadingOrOld) {
  Talk talk;
  talk.script = [](ScriptedServer& server) {
    server.expect(ping)
        .send("-LOADING Redis is loading the dataset in memory\r\n")
        .expect(setname)
        .send("-ERR unknown command 'CLIENT'\r\n");
  };

  const Error error = run_coro(play(talk));

  EXPECT_FALSE(error) << error.what;
}

TEST(Connection, GivesUpOnASilentServer) {
  Talk talk;
  talk.options.connect_timeout_ms = 30;
  talk.script = [](ScriptedServer& server) { server.expect(ping).expect_close(); };

  const Error error = run_coro(play(talk));

  EXPECT_TRUE(error.is(Errc::unreachable));
  EXPECT_EQ(error.what, "timed out after 30 ms");
}

void open_script(ScriptedServer& server) {
  server.expect(ping).send("+PONG\r\n").expect(setname).send("+OK\r\n");
}

Task<Error> ask_twice(Connection& connection) {
  auto first = co_await connection.call("FIRST", Millis(1000));
  if (!first) co_return first.error();
  EXPECT_EQ(first->items.at(1).text, "a\r\nb");
  auto second = co_await connection.call("SECOND", Millis(1000));
  if (!second) co_return second.error();
  EXPECT_TRUE(second->is_error()) << "error replies are values";
  co_return Error();
}

TEST(Connection, ReadsRepliesThatComeInPieces) {
  Talk talk;
  talk.script = [](ScriptedServer& server) {
    open_script(server);
    server.expect("FIRST").send_each_byte("*2\r\n:1\r\n$4\r\na\r\nb\r\n");
    server.expect("SECOND").send("-ERR ").stall(Millis(5)).send("no\r\n");
  };
  talk.step = ask_twice;

  const Error error = run_coro(play(talk));

  EXPECT_FALSE(error) << error.what;
  EXPECT_FALSE(talk.server_error) << talk.server_error.what;
}

Task<Error> ask_in_vain(Connection& connection) {
  auto reply = co_await connection.call("FIRST", Millis(30));
  EXPECT_FALSE(connection.stream().is_open()) << "never used again";
  co_return reply ? Error() : reply.error();
}

TEST(Connection, ClosesWhenAReplyDoesNotCome) {
  Talk talk;
  talk.script = [](ScriptedServer& server) {
    open_script(server);
    server.expect("FIRST").send("$10\r\nabc").expect_close();
  };
  talk.step = ask_in_vain;

  const Error error = run_coro(play(talk));

  EXPECT_TRUE(error.is(Errc::unreachable));
  EXPECT_FALSE(talk.server_error) << talk.server_error.what;
}

TEST(Connection, SaysWhatAServerOfAnotherKindSent) {
  Talk talk;
  talk.script = [](ScriptedServer& server) {
    open_script(server);
    server.expect("FIRST").send("HTTP/1.1 400 Bad Request\r\n\r\n").expect_close();
  };
  talk.step = ask_in_vain;

  const Error error = run_coro(play(talk));

  EXPECT_TRUE(error.is(Errc::corrupt));
  EXPECT_NE(error.what.find("HTTP/1.1 400"), std::string::npos) << error.what;
}

Task<Error> read_lines(Connection& connection) {
  for (const char* expected : {"+FULLRESYNC a 1", "", "", "$5"}) {
    auto line = co_await connection.read_line(Millis(1000));
    if (!line) co_return line.error();
    EXPECT_EQ(*line, expected);
  }
  EXPECT_EQ(connection.take_unread(), "REDIS rest");
  EXPECT_EQ(connection.take_unread(), "") << "handed over once";
  co_return Error();
}

TEST(Connection, ReadsLinesAndHandsOverWhatIsBehindThem) {
  Talk talk;
  talk.script = [](ScriptedServer& server) {
    open_script(server);
    server.send("+FULLRESYNC a 1\r\n\n\n$5\r").stall(Millis(5)).send("\nREDIS rest");
  };
  talk.step = read_lines;

  const Error error = run_coro(play(talk));

  EXPECT_FALSE(error) << error.what;
}

Task<Error> read_endless_line(Connection& connection) {
  auto line = co_await connection.read_line(Millis(1000));
  EXPECT_FALSE(connection.stream().is_open());
  co_return line ? Error() : line.error();
}

TEST(Connection, RefusesALineWithoutEnd) {
  Talk talk;
  talk.script = [](ScriptedServer& server) {
    open_script(server);
    server.send(Bytes(90 * 1024, 'x')).expect_close();
  };
  talk.step = read_endless_line;

  EXPECT_TRUE(run_coro(play(talk)).is(Errc::corrupt));
}

Task<Error> deliver_three(Connection& connection) {
  auto answer = co_await connection.deliver("MULTI SET EXEC", 3, Millis(1000));
  if (!answer) co_return answer.error();
  EXPECT_EQ(*answer, "OOM first");
  answer = co_await connection.deliver("SET", 1, Millis(1000));
  if (!answer) co_return answer.error();
  EXPECT_EQ(*answer, "") << "errors of the delivery before are forgotten";
  co_return Error();
}

TEST(Connection, DeliversAndGivesTheFirstError) {
  Talk talk;
  talk.script = [](ScriptedServer& server) {
    open_script(server);
    server.expect("MULTI SET EXEC").send("+OK\r\n-OOM fi").stall(Millis(5));
    server.send("rst\r\n-EXECABORT second\r\n").expect("SET").send("*2\r\n$-1\r\n:1\r\n");
  };
  talk.step = deliver_three;

  const Error error = run_coro(play(talk));

  EXPECT_FALSE(error) << error.what;
  EXPECT_FALSE(talk.server_error) << talk.server_error.what;
}

Task<Error> deliver_in_vain(Connection& connection) {
  auto answer = co_await connection.deliver("SET", 2, Millis(30));
  EXPECT_FALSE(connection.stream().is_open());
  co_return answer ? Error() : answer.error();
}

TEST(Connection, ClosesWhenADeliveryIsNotAnswered) {
  Talk talk;
  talk.script = [](ScriptedServer& server) {
    open_script(server);
    server.expect("SET").send("+OK\r\n+O").expect_close();
  };
  talk.step = deliver_in_vain;

  EXPECT_TRUE(run_coro(play(talk)).is(Errc::unreachable));
}

// The peer closes after its first k bytes, for every k: always an error, never a hang, and nothing
// stays open.
const Bytes whole_answer = "+OK\r\n+PONG\r\n+OK\r\n*1\r\n$2\r\nok\r\n+line\r\n+OK\r\n:1\r\n";
std::size_t bytes_before_close = 0;

void closing_script(ScriptedServer& server) {
  server.send(whole_answer.substr(0, bytes_before_close)).stall(Millis(2)).close();
}

Task<Error> use_everything(Connection& connection) {
  auto reply = co_await connection.call("CALL", Millis(1000));
  if (!reply) co_return reply.error();
  auto line = co_await connection.read_line(Millis(1000));
  if (!line) co_return line.error();
  auto answer = co_await connection.deliver("DELIVER", 2, Millis(1000));
  if (!answer) co_return answer.error();
  co_return Error();
}

TEST(Connection, FailsCleanlyWhereverThePeerCloses) {
  for (std::size_t k = 0; k < whole_answer.size(); ++k) {
    SCOPED_TRACE("closed after " + std::to_string(k) + " bytes");
    Talk talk;
    talk.options = options_with("", "secret");
    bytes_before_close = k;
    talk.script = closing_script;
    talk.step = use_everything;

    const Error error = run_coro(play(talk));

    EXPECT_TRUE(error.is(Errc::unreachable)) << error.what;
  }
}

}  // namespace
}  // namespace keyferry
