// A loopback server in the test's own io_context that plays a script: expect bytes, send bytes in
// given pieces, stall, close, accept again. The test spawns run() in a Scope beside the client
// under test and joins both.
//
//   ScriptedServer server(co_await asio::this_coro::executor);
//   server.expect("PING\r\n").send("+PO").send("NG\r\n").close();
//   scope.spawn(server.run());
#pragma once

#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "keyferry/net/task.hpp"

namespace keyferry::test {

class ScriptedServer {
 public:
  // Listens on a free port of 127.0.0.1 at once.
  explicit ScriptedServer(const asio::any_io_executor& executor);

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  // The script; the first connection is accepted by itself.
  ScriptedServer& expect(std::string bytes);  // reads exactly that many bytes; they must be these
  ScriptedServer& send(std::string bytes);    // one write
  ScriptedServer& send_each_byte(const std::string& bytes);
  ScriptedServer& stall(Millis duration);  // neither reads nor writes
  ScriptedServer& expect_close();          // the client closes; it must send nothing more
  ScriptedServer& close();
  ScriptedServer& accept();  // the next connection (closes the one before)

  // Plays the script. An Error names the step that did not go as written. The connection is closed
  // at the end.
  Task<Error> run();
  // Everything that was read so far; for messages.
  const std::string& received() const { return received_; }

 private:
  enum class Kind { expect, send, stall, expect_close, close, accept };
  struct Step {
    Kind kind;
    std::string bytes;
    Millis duration{0};
  };

  ScriptedServer& add(Kind kind, std::string bytes = "", Millis duration = Millis{0});
  Task<Error> play(const Step& step);
  Task<Error> read_expected(const std::string& bytes);
  Task<Error> wait_for_close();

  asio::ip::tcp::acceptor acceptor_;
  asio::ip::tcp::socket socket_;
  std::vector<Step> steps_;
  std::string received_;
};

}  // namespace keyferry::test
