// The RESP listener over real sockets: delivery, idle time-out, the limit on clients.
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "client.hpp"
#include "keyferry/admin/http.hpp"
#include "keyferry/resp/resp.hpp"
#include "support/split.hpp"

namespace keyferry {
namespace {

using test::BlockingClient;

struct RespServer {
  explicit RespServer(Millis idle = Millis(300'000))
      : server(options(idle), board, [](ControlVerb) { return false; }) {
    EXPECT_FALSE(server.start());
  }
  static AdminOptions options(Millis idle) {
    AdminOptions out;
    out.resp_listen = "127.0.0.1:0";
    out.resp_idle_timeout = idle;
    return out;
  }

  StatusBoard board;
  AdminServer server;
};

TEST(RespListener, ShowsItsPortInInfo) {
  const RespServer running;
  BlockingClient client(running.server.resp_port());

  client.send(make_command({"INFO", "server"}));
  client.send("bye");
  const std::string reply = client.read_all();

  const std::string line = "tcp_port:" + std::to_string(running.server.resp_port()) + "\r\n";
  EXPECT_NE(reply.find(line), std::string::npos) << reply;
  EXPECT_NE(reply.find("-ERR Protocol error"), std::string::npos) << reply;
  EXPECT_TRUE(client.closed());
}

TEST(RespListener, AnswersATranscriptInAnyPieces) {
  const RespServer running;
  const Bytes requests = make_command({"PING"}) + make_command({"PSYNC", "?", "-1"}) +
                         make_command({"SUBSCRIBE", "a"});
  const Bytes replies =
      "+PONG\r\n-ERR keyferry is not a server\r\n"
      "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";

  test::for_each_split(requests, [&](const std::vector<ByteView>& pieces) {
    BlockingClient client(running.server.resp_port());
    for (const ByteView piece : pieces)
      ASSERT_TRUE(client.send(piece));
    EXPECT_EQ(client.read(replies.size()), replies);
  });
}

TEST(RespListener, AnswersManyPipelinedRequests) {
  const RespServer running;
  BlockingClient client(running.server.resp_port());
  Bytes requests;
  Bytes replies;
  for (int i = 0; i < 5000; ++i) {
    append_command(requests, {"PING"});
    replies += "+PONG\r\n";
  }

  client.send(requests);

  EXPECT_EQ(client.read(replies.size()), replies);
}

TEST(RespListener, ClosesIdleClients) {
  const RespServer running(Millis(50));
  BlockingClient client(running.server.resp_port());

  client.send(make_command({"PING"}));

  EXPECT_EQ(client.read_all(), "+PONG\r\n");
  EXPECT_TRUE(client.closed());
}

TEST(RespListener, LeavesSilentSubscribersAlone) {
  const RespServer running(Millis(50));
  BlockingClient subscriber(running.server.resp_port());
  subscriber.send(make_command({"SUBSCRIBE", "a"}));
  const Bytes confirmed = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
  EXPECT_EQ(subscriber.read(confirmed.size()), confirmed);

  // An ordinary client that came later is closed for being idle; the subscriber is not.
  BlockingClient idle(running.server.resp_port());
  idle.send(make_command({"PING"}));
  idle.read_all();
  EXPECT_TRUE(idle.closed());
  subscriber.send(make_command({"PING"}));

  const Bytes pong = "*2\r\n$4\r\npong\r\n$0\r\n\r\n";
  EXPECT_EQ(subscriber.read(pong.size()), pong);
}

TEST(RespListener, RefusesMoreThan64Clients) {
  const RespServer running;
  std::vector<std::unique_ptr<BlockingClient>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<BlockingClient>(running.server.resp_port()));
  }

  BlockingClient late(running.server.resp_port());

  EXPECT_EQ(late.read_all(), "-ERR max number of clients reached\r\n");
}

}  // namespace
}  // namespace keyferry
