#include "keyferry/admin/resp_session.hpp"

#include <gtest/gtest.h>

#include "keyferry/resp/reply_parser.hpp"
#include "keyferry/resp/resp.hpp"
#include "support/split.hpp"

namespace keyferry {
namespace {

const Bytes refused = "-ERR keyferry is not a server\r\n";

Status linked() {
  Status status;
  status.phase = Phase::steady;
  status.source = "127.0.0.1:6379";
  status.source_link_up = true;
  status.replid = std::string(40, 'a');
  status.applied_offset = 1234;
  status.lag_bytes = 5;
  return status;
}

// The replies to `request` in a conversation of its own.
Bytes reply_to(std::initializer_list<ByteView> request, const Status& status = linked()) {
  const RespIdentity identity;
  RespSession session(identity);
  Bytes out;
  EXPECT_TRUE(session.feed(make_command(request), status, out));
  return out;
}

// The text of a whole bulk reply.
Bytes bulk_of(const Bytes& reply) {
  RespValue value;
  const ReplyParse parse = parse_reply(reply, value);
  EXPECT_EQ(parse.size, reply.size());
  EXPECT_EQ(value.kind, RespValue::Kind::bulk);
  return value.text;
}

TEST(RespSession, AnswersWhatSentinelAndMonitoringAsk) {
  EXPECT_EQ(reply_to({"PING"}), "+PONG\r\n");
  EXPECT_EQ(reply_to({"ping", "hi"}), "$2\r\nhi\r\n");
  EXPECT_EQ(reply_to({"CLIENT", "SETNAME", "sentinel-1-cmd"}), "+OK\r\n");
  EXPECT_EQ(reply_to({"client", "setname", "x"}), "+OK\r\n");
  EXPECT_EQ(reply_to({"REPLCONF", "listening-port", "6379"}), "+OK\r\n");
  EXPECT_EQ(reply_to({"PUBLISH", "__sentinel__:hello", "x"}), ":0\r\n");
  EXPECT_EQ(reply_to({"ROLE"}),
            "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:1234\r\n");
}

TEST(RespSession, RefusesWhatWouldMakeAServerOfUs) {
  EXPECT_EQ(reply_to({"PSYNC", "?", "-1"}), refused);
  EXPECT_EQ(reply_to({"PSYNC", std::string(40, 'a'), "1", "FAILOVER"}), refused);
  EXPECT_EQ(reply_to({"SYNC"}), refused);
  EXPECT_EQ(reply_to({"REPLICAOF", "NO", "ONE"}), refused);
  EXPECT_EQ(reply_to({"SLAVEOF", "127.0.0.1", "1"}), refused);
  EXPECT_EQ(reply_to({"CONFIG", "REWRITE"}), refused);
  EXPECT_EQ(reply_to({"MULTI"}), refused);
  EXPECT_EQ(reply_to({"EXEC"}), refused);
  EXPECT_EQ(reply_to({"CLIENT", "KILL", "TYPE", "normal"}), refused);
  EXPECT_EQ(reply_to({"CLIENT", "SETINFO", "LIB-NAME", "x"}), refused);
  EXPECT_EQ(reply_to({"AUTH", "secret"}), refused);
  EXPECT_EQ(reply_to({"HELLO", "3"}), refused);
  EXPECT_EQ(reply_to({"SET", "a", "b"}), refused);
  EXPECT_EQ(reply_to({"SHUTDOWN"}), refused);
  EXPECT_EQ(reply_to({"PSUBSCRIBE", "*"}), refused);
  EXPECT_EQ(reply_to({""}), refused);
  EXPECT_EQ(reply_to({"PINGS"}), refused);
}

TEST(RespSession, DrainsOnShutdownWithTheToken) {
  const RespIdentity identity;
  std::vector<ControlVerb> verbs;
  RespControl control;
  control.token = "sesame";
  control.control = [&verbs](ControlVerb verb) {
    verbs.push_back(verb);
    return true;
  };
  RespSession session(identity, &control);
  Bytes out;
  session.feed(make_command({"SHUTDOWN"}), linked(), out);
  session.feed(make_command({"AUTH", "sesamE"}), linked(), out);
  session.feed(make_command({"SHUTDOWN"}), linked(), out);
  EXPECT_TRUE(verbs.empty());
  EXPECT_EQ(out.find("+OK"), Bytes::npos) << out;

  out.clear();
  session.feed(make_command({"AUTH", "default", "sesame"}), linked(), out);
  session.feed(make_command({"SHUTDOWN", "NOSAVE"}), linked(), out);
  EXPECT_EQ(out, "+OK\r\n+OK\r\n");
  EXPECT_EQ(verbs, std::vector{ControlVerb::drain});

  out.clear();
  session.feed(make_command({"AUTH", "wrong"}), linked(), out);
  session.feed(make_command({"SHUTDOWN"}), linked(), out);
  EXPECT_EQ(out.rfind("-WRONGPASS", 0), 0U) << out;
  EXPECT_EQ(verbs.size(), 1U);
}

TEST(RespSession, WantsTheArgumentsOfACommand) {
  EXPECT_EQ(reply_to({"SUBSCRIBE"}), "-ERR wrong number of arguments\r\n");
  EXPECT_EQ(reply_to({"CLIENT"}), "-ERR wrong number of arguments\r\n");
  EXPECT_EQ(reply_to({"PUBLISH", "a"}), "-ERR wrong number of arguments\r\n");
}

TEST(RespSession, ConfirmsEachChannelAndCounts) {
  EXPECT_EQ(reply_to({"SUBSCRIBE", "a", "bc"}),
            "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
            "*3\r\n$9\r\nsubscribe\r\n$2\r\nbc\r\n:2\r\n");
}

TEST(RespSession, AnswersPingOfASubscriberAsAnArray) {
  const RespIdentity identity;
  RespSession session(identity);
  Bytes out;
  EXPECT_FALSE(session.is_subscribed());
  session.feed(make_command({"SUBSCRIBE", "a"}), linked(), out);
  EXPECT_TRUE(session.is_subscribed());

  out.clear();
  session.feed(make_command({"PING"}), linked(), out);

  EXPECT_EQ(out, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
}

TEST(RespSession, LooksLikeAReplicaThatNobodyPromotes) {
  const Bytes info = bulk_of(reply_to({"INFO", "Replication"}));

  EXPECT_TRUE(info.starts_with("# Replication\r\n")) << info;
  EXPECT_EQ(info_field(info, "role"), "slave");
  EXPECT_EQ(info_field(info, "slave_priority"), "0");
  EXPECT_EQ(info_field(info, "slave_read_only"), "1");
  EXPECT_EQ(info_field(info, "replica_announced"), "0");
  EXPECT_EQ(info_field(info, "master_host"), "127.0.0.1");
  EXPECT_EQ(info_field(info, "master_port"), "6379");
  EXPECT_EQ(info_field(info, "master_link_status"), "up");
  EXPECT_EQ(info_field(info, "master_last_io_seconds_ago"), "0");
  EXPECT_EQ(info_field(info, "master_sync_in_progress"), "0");
  EXPECT_EQ(info_field(info, "slave_repl_offset"), "1234");
  EXPECT_EQ(info_field(info, "master_replid"), std::string(40, 'a'));
  EXPECT_EQ(info_field(info, "run_id"), "");
}

// A Sentinel compares it with the address of the replica that it has promoted.
TEST(RespSession, NamesTheMasterItIsConnectedToNotItsNameAtTheSentinels) {
  Status status = linked();
  status.source = "main";
  status.master = "fd00::1:6380";

  const Bytes info = bulk_of(reply_to({"INFO", "Replication"}, status));

  EXPECT_EQ(info_field(info, "master_host"), "fd00::1");
  EXPECT_EQ(info_field(info, "master_port"), "6380");
}

TEST(RespSession, ShowsALinkThatIsDown) {
  Status status = linked();
  status.source = "[::1]:7000";
  status.source_link_up = false;
  status.phase = Phase::connecting;
  status.lag_bytes.reset();

  const Bytes info = bulk_of(reply_to({"INFO"}, status));

  EXPECT_EQ(info_field(info, "master_host"), "::1");
  EXPECT_EQ(info_field(info, "master_port"), "7000");
  EXPECT_EQ(info_field(info, "master_link_status"), "down");
  EXPECT_EQ(info_field(info, "master_last_io_seconds_ago"), "-1");
  EXPECT_EQ(info.find("lag_bytes"), info.npos);
  EXPECT_EQ(reply_to({"ROLE"}, status),
            "*5\r\n$5\r\nslave\r\n$3\r\n::1\r\n:7000\r\n$7\r\nconnect\r\n:1234\r\n");
}

TEST(RespSession, ShowsTheSectionsThatAreAskedFor) {
  const Bytes all = bulk_of(reply_to({"INFO"}));
  const Bytes two = bulk_of(reply_to({"INFO", "server", "keyferry"}));

  EXPECT_EQ(info_field(all, "run_id").size(), 40U);
  EXPECT_EQ(info_field(all, "redis_mode"), "standalone");
  EXPECT_EQ(info_field(all, "phase"), "steady");
  EXPECT_EQ(info_field(all, "lag_bytes"), "5");
  EXPECT_EQ(info_field(all, "connected_clients"), "1");
  EXPECT_EQ(info_field(all, "used_memory"), "0");
  EXPECT_EQ(info_field(all, "sync_full"), "1");
  EXPECT_NE(all.find("\r\n\r\n# Replication\r\n"), all.npos);
  EXPECT_EQ(info_field(bulk_of(reply_to({"INFO", "ALL"})), "role"), "slave");
  EXPECT_NE(info_field(two, "run_id"), "");
  EXPECT_NE(info_field(two, "phase"), "");
  EXPECT_EQ(two.find("role:"), two.npos);
  EXPECT_EQ(reply_to({"INFO", "commandstats"}), "$0\r\n\r\n");
}

TEST(RespSession, AnswersTheSameForEverySplit) {
  Bytes requests;
  append_command(requests, {"CLIENT", "SETNAME", "s"});
  append_command(requests, {"PING"});
  append_command(requests, {"INFO", "replication"});
  append_command(requests, {"REPLCONF", "capa", "eof"});
  append_command(requests, {"PSYNC", "?", "-1"});
  append_command(requests, {"SUBSCRIBE", "__sentinel__:hello"});
  append_command(requests, {"PING"});
  const RespIdentity identity;
  Bytes expected;
  RespSession(identity).feed(requests, linked(), expected);

  test::for_each_split(requests, [&](const std::vector<ByteView>& pieces) {
    RespSession session(identity);
    Bytes out;
    for (const ByteView piece : pieces)
      EXPECT_TRUE(session.feed(piece, linked(), out));
    EXPECT_EQ(out, expected);
  });
}

TEST(RespSession, RefusesALargeRequestBeforeItArrives) {
  const RespIdentity identity;
  RespSession session(identity);
  Bytes out;

  EXPECT_FALSE(session.feed("*2\r\n$4\r\nPING\r\n$1000000\r\n", linked(), out));

  EXPECT_EQ(out, "-ERR Protocol error: request too large\r\n");
}

TEST(RespSession, RefusesARequestOfTooManyArguments) {
  const RespIdentity identity;
  RespSession session(identity);
  Bytes out;
  Bytes request = "*100000\r\n";
  for (int i = 0; i < 20000; ++i)
    request += "$1\r\na\r\n";

  bool goes_on = true;
  for (std::size_t at = 0; goes_on && at < request.size(); at += 4096) {
    goes_on = session.feed(ByteView(request).substr(at, 4096), linked(), out);
  }

  EXPECT_FALSE(goes_on);
  EXPECT_EQ(out, "-ERR Protocol error: request too large\r\n");
}

TEST(RespSession, EndsOnABrokenProtocol) {
  const RespIdentity identity;
  RespSession session(identity);
  Bytes out;

  EXPECT_FALSE(session.feed(make_command({"PING"}) + "INFO\r\n", linked(), out));

  EXPECT_TRUE(out.starts_with("+PONG\r\n-ERR Protocol error: ")) << out;
}

}  // namespace
}  // namespace keyferry
