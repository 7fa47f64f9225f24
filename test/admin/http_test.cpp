// AdminServer over real sockets: what Beast and the listener add to the routes (limits, time-outs,
// start and stop).
#include "keyferry/admin/http.hpp"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "client.hpp"

namespace keyferry {
namespace {

using test::BlockingClient;

AdminOptions any_port() {
  AdminOptions options;
  options.http_listen = "127.0.0.1:0";
  options.resp_listen = "127.0.0.1:0";
  return options;
}

struct RunningServer {
  explicit RunningServer(AdminOptions options = any_port())
      : server(std::move(options), board, [this](ControlVerb verb) {
          verbs.push_back(verb);
          return true;
        }) {
    started = server.start();
  }
  // One request on a connection of its own; the whole answer.
  std::string ask(const std::string& request_line, const std::string& rest = "\r\n") const {
    BlockingClient client(server.http_port());
    client.send(request_line + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + rest);
    return client.read_all();
  }

  StatusBoard board;
  std::vector<ControlVerb> verbs;
  AdminServer server;
  Error started;
};

std::string first_line(const std::string& answer) {
  return answer.substr(0, answer.find('\r'));
}

TEST(AdminServer, AnswersEveryRoute) {
  const RunningServer running;
  ASSERT_FALSE(running.started) << running.started.what;

  EXPECT_EQ(first_line(running.ask("GET /")), "HTTP/1.1 200 OK");
  EXPECT_EQ(first_line(running.ask("GET /status")), "HTTP/1.1 200 OK");
  EXPECT_EQ(first_line(running.ask("GET /metrics")), "HTTP/1.1 200 OK");
  EXPECT_EQ(first_line(running.ask("GET /livez")), "HTTP/1.1 200 OK");
  EXPECT_EQ(first_line(running.ask("GET /readyz")), "HTTP/1.1 503 Service Unavailable");
  EXPECT_EQ(first_line(running.ask("GET /missing")), "HTTP/1.1 404 Not Found");
}

TEST(AdminServer, NamesTheAllowedMethodInAHeader) {
  const RunningServer running;

  const std::string answer = running.ask("DELETE /status");

  EXPECT_EQ(first_line(answer), "HTTP/1.1 405 Method Not Allowed");
  EXPECT_NE(answer.find("\r\nAllow: GET\r\n"), std::string::npos) << answer;
}

TEST(AdminServer, HandsVerbsOver) {
  RunningServer running;

  const std::string answer = running.ask("POST /drain", "Content-Length: 2\r\n\r\n{}");
  running.server.stop();

  EXPECT_EQ(first_line(answer), "HTTP/1.1 202 Accepted");
  EXPECT_TRUE(answer.ends_with("\r\n\r\n{\"phase\":\"draining\"}\n")) << answer;
  EXPECT_EQ(running.verbs, std::vector{ControlVerb::drain});
}

TEST(AdminServer, ReadsTheOriginHeader) {
  RunningServer running;

  const std::string answer = running.ask("POST /stop", "Origin: http://evil.example\r\n\r\n");
  running.server.stop();

  EXPECT_EQ(first_line(answer), "HTTP/1.1 403 Forbidden");
  EXPECT_TRUE(running.verbs.empty());
}

TEST(AdminServer, ShowsTheLatestStatus) {
  RunningServer running;
  Status status;
  status.phase = Phase::catch_up;
  running.board.publish(std::make_shared<const Status>(status));

  const std::string answer = running.ask("GET /status");

  EXPECT_NE(answer.find("\"phase\":\"catch_up\""), std::string::npos) << answer;
}

TEST(AdminServer, KeepsAConnectionForSeveralRequests) {
  const RunningServer running;
  BlockingClient client(running.server.http_port());

  client.send("GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
  client.send("GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const std::string answers = client.read_all();

  std::size_t count = 0;
  for (std::size_t at = 0; (at = answers.find("HTTP/1.1 200 OK", at)) != answers.npos; ++at) {
    ++count;
  }
  EXPECT_EQ(count, 3U);
  EXPECT_TRUE(client.closed());
}

TEST(AdminServer, TakesARequestInSingleBytes) {
  const RunningServer running;
  BlockingClient client(running.server.http_port());

  for (const char c : std::string("GET /livez HTTP/1.0\r\n\r\n"))
    client.send({&c, 1});

  EXPECT_EQ(first_line(client.read_all()), "HTTP/1.1 200 OK");
}

TEST(AdminServer, RefusesLargeHeaders) {
  const RunningServer running;

  const std::string answer = running.ask("GET /livez", "X: " + std::string(9000, 'a') + "\r\n\r\n");

  EXPECT_EQ(first_line(answer), "HTTP/1.1 431 Request Header Fields Too Large");
}

TEST(AdminServer, RefusesLargeBodies) {
  RunningServer running;
  const std::string body(65 * 1024, 'a');

  const std::string answer = running.ask(
      "POST /drain", "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  running.server.stop();

  EXPECT_EQ(first_line(answer), "HTTP/1.1 413 Payload Too Large");
  EXPECT_TRUE(running.verbs.empty());
}

TEST(AdminServer, TakesBodiesUpToTheLimit) {
  const RunningServer running;
  const std::string body(64 * 1024, 'a');

  const std::string answer = running.ask("POST /drain", "Content-Length: 65536\r\n\r\n" + body);

  EXPECT_EQ(first_line(answer), "HTTP/1.1 202 Accepted");
}

TEST(AdminServer, RefusesWhatIsNotHttp) {
  const RunningServer running;
  BlockingClient client(running.server.http_port());

  client.send("*1\r\n$4\r\nPING\r\n");

  EXPECT_EQ(first_line(client.read_all()), "HTTP/1.1 400 Bad Request");
}

TEST(AdminServer, ClosesOnASlowClient) {
  AdminOptions options = any_port();
  options.client_timeout = Millis(50);
  const RunningServer running(options);
  BlockingClient client(running.server.http_port());

  client.send("GET /livez HT");
  const std::string answer = client.read_all();

  EXPECT_EQ(answer, "");
  EXPECT_TRUE(client.closed());
}

TEST(AdminServer, RefusesMoreThan64Clients) {
  const RunningServer running;
  std::vector<std::unique_ptr<BlockingClient>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<BlockingClient>(running.server.http_port()));
  }

  BlockingClient late(running.server.http_port());
  EXPECT_EQ(first_line(late.read_all()), "HTTP/1.1 503 Service Unavailable");

  const std::string request = "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  for (auto& client : clients) {
    client->send(request);
    EXPECT_EQ(first_line(client->read_all()), "HTTP/1.1 200 OK");
  }
  // Their places are free again as soon as they have closed.
  clients.clear();
  std::string answer;
  for (int i = 0; i < 1000 && !answer.starts_with("HTTP/1.1 200"); ++i) {
    answer = running.ask("GET /livez");
  }
  EXPECT_EQ(first_line(answer), "HTTP/1.1 200 OK");
}

// The head, the retry field, and one status.
std::string first_event(BlockingClient& client) {
  std::string text;
  while (text.find("\n\ndata: ") == text.npos || !text.ends_with("}\n\n")) {
    const std::string more = client.read(1);
    if (more.empty()) break;
    text += more;
  }
  return text;
}

constexpr const char* events_request = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";

TEST(AdminServer, SendsTheStatusEachSecond) {
  RunningServer running;
  BlockingClient client(running.server.http_port());
  client.send(events_request);

  const std::string first = first_event(client);
  Status status;
  status.phase = Phase::steady;
  running.board.publish(std::make_shared<const Status>(status));
  std::string second;
  while (!second.ends_with("\n\n"))
    second += client.read(1);

  EXPECT_TRUE(first.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")) << first;
  EXPECT_NE(first.find("\n\ndata: {\"version\":"), std::string::npos) << first;
  EXPECT_NE(first.find("\"phase\":\"connecting\""), std::string::npos) << first;
  EXPECT_TRUE(second.starts_with("data: {")) << second;
  EXPECT_NE(second.find("\"phase\":\"steady\""), std::string::npos) << second;
}

TEST(AdminServer, StopsAtOnceWithPagesOpen) {
  RunningServer running;
  BlockingClient client(running.server.http_port());
  client.send(events_request);
  first_event(client);

  const auto began = std::chrono::steady_clock::now();
  running.server.stop();

  EXPECT_LT(std::chrono::steady_clock::now() - began, Millis(500));
  client.read_all();
  EXPECT_TRUE(client.closed());
}

TEST(AdminServer, KeepsSixteenPagesAndTellsTheNextOne) {
  const RunningServer running;
  std::vector<std::unique_ptr<BlockingClient>> pages;
  for (int i = 0; i < 16; ++i) {
    pages.push_back(std::make_unique<BlockingClient>(running.server.http_port()));
    pages.back()->send(events_request);
    EXPECT_NE(first_event(*pages.back()).find("data: "), std::string::npos);
  }

  EXPECT_EQ(first_line(running.ask("GET /events")), "HTTP/1.1 503 Service Unavailable");
  EXPECT_EQ(first_line(running.ask("GET /status")), "HTTP/1.1 200 OK");

  pages.pop_back();
  std::string answer;
  for (int i = 0; i < 1000 && !answer.starts_with("HTTP/1.1 200"); ++i) {
    BlockingClient late(running.server.http_port());
    late.send(events_request);
    answer = late.read(15);
  }
  EXPECT_EQ(answer, "HTTP/1.1 200 OK");
}

// A status that fills the socket's buffers at once: a page that takes nothing of it.
TEST(AdminServer, DropsAPageThatReadsNothing) {
  AdminOptions options = any_port();
  options.client_timeout = Millis(100);
  RunningServer running(options);
  Status status;
  status.last_error = std::string(16 * 1024 * 1024, 'x');
  running.board.publish(std::make_shared<const Status>(status));
  BlockingClient client(running.server.http_port());
  client.send(events_request);
  std::this_thread::sleep_for(Millis(400));

  const std::string all = client.read_all();

  EXPECT_TRUE(client.closed());
  EXPECT_LT(all.size(), status.last_error->size());
}

TEST(AdminServer, NamesAnAddressThatIsInUse) {
  const RunningServer first;
  const std::string taken = "127.0.0.1:" + std::to_string(first.server.http_port());
  AdminOptions options;
  options.http_listen = taken;

  const RunningServer second(options);

  EXPECT_TRUE(second.started.is(Errc::usage));
  EXPECT_EQ(second.started.what, "http.listen " + taken + ": Address already in use");
}

TEST(AdminServer, WantsTheTokenForVerbsOnly) {
  AdminOptions options = any_port();
  options.token = "sesame";
  const RunningServer running(std::move(options));
  ASSERT_FALSE(running.started) << running.started.what;

  const std::string refused = running.ask("POST /drain");
  EXPECT_EQ(first_line(refused), "HTTP/1.1 401 Unauthorized");
  EXPECT_NE(refused.find("WWW-Authenticate: Bearer"), std::string::npos) << refused;
  EXPECT_EQ(first_line(running.ask("POST /drain", "Authorization: Bearer sesam\r\n\r\n")),
            "HTTP/1.1 401 Unauthorized");
  EXPECT_EQ(first_line(running.ask("GET /status")), "HTTP/1.1 200 OK");
  EXPECT_EQ(running.verbs.size(), 0U);
  EXPECT_EQ(first_line(running.ask("POST /drain", "Authorization: Bearer sesame\r\n\r\n")),
            "HTTP/1.1 202 Accepted");
}

TEST(AdminServer, StartsNothingWhenTheSecondAddressIsInUse) {
  const RunningServer first;
  const std::string taken = "127.0.0.1:" + std::to_string(first.server.resp_port());
  AdminOptions options = any_port();
  options.resp_listen = taken;

  const RunningServer second(options);

  EXPECT_TRUE(second.started.is(Errc::usage));
  EXPECT_EQ(second.started.what, "admin.resp_listen " + taken + ": Address already in use");
  EXPECT_FALSE(BlockingClient(second.server.http_port()).is_connected());
}

TEST(AdminServer, RefusesAddressesThatAreNotOurs) {
  for (const char* address : {"192.0.2.1:80", "nonsense", "127.0.0.1", "127.0.0.1:x",
                              "127.0.0.1:70000", "example.com:80", ":80"}) {
    AdminOptions options;
    options.http_listen = address;
    const RunningServer running(options);

    EXPECT_TRUE(running.started.is(Errc::usage)) << address;
    EXPECT_NE(running.started.what.find(address), std::string::npos) << running.started.what;
  }
}

TEST(AdminServer, RunsWithEitherListenerOff) {
  AdminOptions options;
  options.resp_listen = "localhost:0";
  const RunningServer running(options);

  EXPECT_FALSE(running.started) << running.started.what;
  EXPECT_EQ(running.server.http_port(), 0);
  EXPECT_NE(running.server.resp_port(), 0);
}

TEST(AdminServer, StopsWithClientsStillConnected) {
  RunningServer running;
  BlockingClient idle(running.server.http_port());
  BlockingClient half(running.server.http_port());
  BlockingClient resp(running.server.resp_port());
  half.send("GET /livez HT");
  resp.send("*1\r\n$4\r\nPING\r\n");
  EXPECT_EQ(resp.read(7), "+PONG\r\n");

  running.server.stop();
  running.server.stop();

  EXPECT_EQ(half.read_all(), "");
  EXPECT_TRUE(half.closed());
  EXPECT_FALSE(BlockingClient(running.server.http_port()).is_connected());
}

}  // namespace
}  // namespace keyferry
