#include "keyferry/source/psync.hpp"

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include "support/run_coro.hpp"
#include "support/scripted_server.hpp"

namespace keyferry {
namespace {

using test::run_coro;
using test::ScriptedServer;

const std::string first_id(40, 'a');
const std::string second_id(40, 'b');

void reply_to(ScriptedServer& server, std::initializer_list<ByteView> command, const char* reply) {
  server.expect(make_command(command)).send(reply);
}

void greet(ScriptedServer& server) {
  reply_to(server, {"PING"}, "+PONG\r\n");
  reply_to(server, {"CLIENT", "SETNAME", "keyferry-source"}, "+OK\r\n");
  reply_to(server, {"REPLCONF", "capa", "eof", "capa", "psync2"}, "+OK\r\n");
  reply_to(server, {"REPLCONF", "version", announced_version},
           "-ERR Unrecognized REPLCONF option\r\n");
}

// Psync with its source and a decoder that knows where the snapshot ends.
struct Bench {
  explicit Bench(const asio::any_io_executor& executor)
      : server(executor),
        intake(executor, budget, nullptr, 1 << 20),
        psync(executor, options_of(server), "PSYNC", budget, intake, state),
        scope(executor) {}

  const EndOptions& options_of(const ScriptedServer& source) {
    HostPort& host = options.uri.hosts.emplace_back();
    host.host = "127.0.0.1";
    host.port = source.port();
    options.connect_timeout_ms = options.reply_timeout_ms = 1000;
    return options;
  }

  EndOptions options;
  ScriptedServer server;
  SlabBudget budget;
  PsyncState state;
  Intake intake;
  Psync psync;
  Scope scope;
  std::vector<std::string> full_syncs;  // "replid offset length|mark"
  Bytes payload;                        // since the last full sync
  std::uint64_t snapshot_bytes = 0;
  Error result;
};

Task<Error> decode(Bench& bench) {
  while (true) {
    auto item = co_await bench.intake.pop();
    if (!item) co_return item.error();
    if (std::holds_alternative<Intake::Closed>(*item)) co_return Error();
    if (const auto* sync = std::get_if<Intake::FullSync>(&*item)) {
      const std::uint64_t length = sync->frame->length.value_or(0);
      bench.full_syncs.push_back(
          sync->position.replid + " " + std::to_string(sync->position.offset) + " " +
          (sync->frame->length ? std::to_string(length) : sync->frame->mark));
      bench.payload.clear();
      bench.snapshot_bytes = length;
    }
    if (const auto* chunk = std::get_if<Intake::Chunk>(&*item)) {
      bench.payload += chunk->bytes;
      if (!bench.state.snapshot_wire_bytes && bench.payload.size() >= bench.snapshot_bytes) {
        bench.state.snapshot_wire_bytes = bench.snapshot_bytes;
      }
    }
  }
}

Task<Error> follow(Bench& bench) {
  bench.result = co_await bench.psync.run();
  co_return Error();
}

Task<Error> play(Bench& bench) {
  bench.scope.spawn(bench.server.run());
  bench.scope.spawn(follow(bench));
  bench.scope.spawn(decode(bench));
  co_return Error();
}

// Waits until the payload has that many bytes, then stops.
Task<Error> stop_after(Bench& bench, std::size_t bytes) {
  for (int i = 0; i < 3000 && bench.payload.size() < bytes; ++i)
    co_await sleep_for(Millis(1));
  bench.psync.stop();
  co_return co_await bench.scope.join();
}

// A snapshot of 5 bytes at offset 100, ten stream bytes of which the first `before` come over the
// first link.
Task<Error> cut_and_resume(std::size_t before, bool new_id) {
  Bench bench(co_await asio::this_coro::executor);
  const Bytes stream = "0123456789";
  greet(bench.server);
  reply_to(bench.server, {"PSYNC", "?", "-1"}, "\n");
  bench.server.send("+FULLRESYNC " + first_id + " 100\r\n\n").send("$5\r\nREDIS");
  bench.server.send(stream.substr(0, before)).stall(Millis(10)).close().accept();
  greet(bench.server);
  const std::string next = std::to_string(100 + before + 1);
  reply_to(bench.server, {"PSYNC", first_id, next}, new_id ? "+CONTINUE " : "+CONTINUE\r\n");
  if (new_id) bench.server.send(second_id + "\r\n");
  bench.server.send(stream.substr(before)).expect_close();
  Error error = co_await play(bench);
  while (bench.state.reconnects == 0 || !bench.state.link_up)
    co_await sleep_for(Millis(1));
  if (!error) error = co_await stop_after(bench, 15);
  EXPECT_EQ(bench.payload, "REDIS" + stream);
  EXPECT_EQ(bench.full_syncs, std::vector<std::string>{first_id + " 100 5"});
  EXPECT_EQ(bench.state.replid, new_id ? second_id : first_id);
  EXPECT_EQ(bench.state.received_offset(), 110);
  EXPECT_EQ(bench.state.reconnects, 1u);
  EXPECT_FALSE(bench.result) << bench.result.what;
  co_return error;
}

TEST(Psync, GoesOnAtTheVeryByteWhereTheLinkBroke) {
  for (const std::size_t before :
       {std::size_t(0), std::size_t(1), std::size_t(7), std::size_t(10)}) {
    SCOPED_TRACE("broke after " + std::to_string(before));

    const Error error = run_coro(cut_and_resume(before, before % 2 == 1));

    EXPECT_FALSE(error) << error.what;
  }
}

Task<std::optional<Offset>> take_back_two(Bench& bench, Bytes info) {
  if (info != "what it says") co_return std::nullopt;
  co_return *bench.state.received_offset() - 2;
}

// The source of the second link answers INFO with this.
Task<Error> meet_another_history(std::string answer, Offset asked_for) {
  Bench bench(co_await asio::this_coro::executor);
  bench.psync.meet_history = [&bench](Bytes info) { return take_back_two(bench, std::move(info)); };
  greet(bench.server);
  reply_to(bench.server, {"PSYNC", "?", "-1"}, "\n");
  bench.server.send("+FULLRESYNC " + first_id + " 100\r\n\n").send("$5\r\nREDIS");
  bench.server.send("01234").stall(Millis(10)).close().accept();
  greet(bench.server);
  bench.server.expect(make_command({"INFO", "replication"})).send(std::move(answer));
  bench.server.expect(make_command({"PSYNC", first_id, std::to_string(asked_for)}));
  bench.server.send("+CONTINUE " + second_id + "\r\n").send("56789").expect_close();
  Error error = co_await play(bench);
  if (!error) error = co_await stop_after(bench, 5 + 10);
  EXPECT_FALSE(bench.result) << bench.result.what;
  EXPECT_EQ(bench.payload, "REDIS0123456789");
  EXPECT_EQ(bench.full_syncs.size(), 1U);
  EXPECT_EQ(bench.state.received_offset(), asked_for - 1 + 5);
  co_return error;
}

TEST(Psync, AsksAgainForWhatWasTakenBack) {
  const Error error = run_coro(meet_another_history("$12\r\nwhat it says\r\n", 104));
  EXPECT_FALSE(error) << error.what;
}

TEST(Psync, GoesOnWhereNothingWasTakenBack) {
  const Error error = run_coro(meet_another_history("$4\r\nelse\r\n", 106));
  EXPECT_FALSE(error) << error.what;
}

TEST(Psync, GoesOnWhereTheSourceMayNotBeAsked) {
  const Error error = run_coro(meet_another_history("-NOPERM\r\n", 106));
  EXPECT_FALSE(error) << error.what;
}

Task<Error> break_in_snapshot() {
  Bench bench(co_await asio::this_coro::executor);
  greet(bench.server);
  reply_to(bench.server, {"PSYNC", "?", "-1"}, "+FULLRESYNC ");
  bench.server.send(first_id + " 100\r\n$5\r\nRED").stall(Millis(10)).close().accept();
  greet(bench.server);
  // Nothing of the stream has come yet: there is no place to go on from.
  reply_to(bench.server, {"PSYNC", "?", "-1"}, "+FULLRESYNC ");
  bench.server.send(second_id + " 200\r\n$EOF:" + std::string(40, 'm') + "\r\nREDIS")
      .expect_close();
  Error error = co_await play(bench);
  while (!error && bench.full_syncs.size() < 2)
    co_await sleep_for(Millis(1));
  error = co_await stop_after(bench, 5);
  EXPECT_EQ(bench.payload, "REDIS") << "nothing of the broken snapshot is left";
  const std::vector<std::string> expected{first_id + " 100 5",
                                          second_id + " 200 " + std::string(40, 'm')};
  EXPECT_EQ(bench.full_syncs, expected);
  EXPECT_EQ(bench.state.full_syncs, 2u);
  co_return error;
}

TEST(Psync, AsksForAnotherSnapshotWhenOneBreaksOff) {
  const Error error = run_coro(break_in_snapshot());

  EXPECT_FALSE(error) << error.what;
}

Task<Error> acknowledge() {
  Bench bench(co_await asio::this_coro::executor);
  greet(bench.server);
  reply_to(bench.server, {"PSYNC", "?", "-1"}, "+FULLRESYNC ");
  bench.server.send(first_id + " 100\r\n$5\r\nREDIS");
  bench.server.expect(ack_command(0) + ack_command(123)).expect_close();
  Error error = co_await play(bench);
  while (!error && bench.payload.size() < 5)
    co_await sleep_for(Millis(1));
  bench.psync.ack_now();
  co_await sleep_for(Millis(5));
  bench.state.ack_offset = 123;
  bench.psync.ack_now();
  co_await sleep_for(Millis(20));
  co_return co_await stop_after(bench, 5);
}

TEST(Psync, AcknowledgesWhenItIsTold) {
  const Error error = run_coro(acknowledge());

  EXPECT_FALSE(error) << error.what;
}

Task<Error> acknowledge_by_itself(std::int64_t& waited_ms) {
  Bench bench(co_await asio::this_coro::executor);
  greet(bench.server);
  reply_to(bench.server, {"PSYNC", "?", "-1"}, "+FULLRESYNC ");
  bench.server.send(first_id + " 100\r\n$5\r\nRED")
      .expect(ack_command(0))
      .send("IS")
      .expect_close();
  const TimePoint begin = Clock::now();
  Error error = co_await play(bench);
  if (!error) error = co_await stop_after(bench, 5);
  waited_ms = elapsed_ms(begin, Clock::now());
  co_return error;
}

// What the first attempt ends with when the source answers PSYNC like this.
Task<Error> try_once(std::string answer, Error& result) {
  Bench bench(co_await asio::this_coro::executor);
  greet(bench.server);
  reply_to(bench.server, {"PSYNC", "?", "-1"}, answer.c_str());
  bench.server.stall(Millis(5)).close();
  Error error = co_await play(bench);
  if (!error) error = co_await bench.scope.join();
  result = bench.result;
  co_return error;
}

TEST(Psync, SaysAtOnceWhyTheFirstLinkCannotBeMade) {
  const struct {
    std::string answer;
    Errc code;
    const char* words;
  } rows[] = {
      {"-ERR unknown command 'PSYNC'\r\n", Errc::refused_by_peer, "PSYNC refused: -ERR unknown"},
      {"-NOMASTERLINK no\r\n", Errc::unreachable, "not ready to replicate: -NOMASTERLINK no"},
      {"+CONTINUE\r\n", Errc::corrupt, "CONTINUE in answer to a request for a full sync"},
      {"hello\r\n", Errc::corrupt, "answer to PSYNC is not understood: hello"},
      {"+FULLRESYNC " + first_id + " 1\r\n-ERR fork\r\n", Errc::unreachable, "full sync failed"},
      {"+FULLRESYNC " + first_id + " 1\r\nhello\r\n", Errc::corrupt, "instead of a snapshot"},
      {"\n\n+FULLRES", Errc::unreachable, "read: End of file"},
      {"", Errc::unreachable, "read: End of file"},
  };
  for (const auto& row : rows) {
    Error result;

    const Error error = run_coro(try_once(row.answer, result));

    EXPECT_FALSE(error) << error.what;
    EXPECT_TRUE(result.is(row.code)) << escaped(row.answer) << result.what;
    EXPECT_NE(result.what.find(row.words), std::string::npos) << result.what;
    EXPECT_EQ(result.what.substr(0, 25), "source redis://127.0.0.1:") << result.what;
  }
}

TEST(Psync, AcknowledgesBySecondsFromTheStartOfTheSnapshotOn) {
  std::int64_t waited_ms = 0;

  const Error error = run_coro(acknowledge_by_itself(waited_ms));

  EXPECT_FALSE(error) << error.what;
  EXPECT_LT(waited_ms, 2500);
}

}  // namespace
}  // namespace keyferry
