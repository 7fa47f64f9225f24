#include "keyferry/sink/lane.hpp"

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include "keyferry/resp/resp.hpp"
#include "support/run_coro.hpp"
#include "support/scripted_server.hpp"

namespace keyferry {
namespace {

using test::run_coro;
using test::ScriptedServer;

const Bytes greeting = "*1\r\n$4\r\nPING\r\n";
const Bytes naming = "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$13\r\nkeyferry-lane\r\n";

Bytes set(const char* key, const char* value) {
  return make_command({"SET", key, value});
}
Bytes select(const char* db) {
  return make_command({"SELECT", db});
}

void greet(ScriptedServer& server) {
  server.expect(greeting).send("+PONG\r\n").expect(naming).send("+OK\r\n");
}

// A lane, the server it talks to, and everything it reports as words in the order of events.
struct Bench {
  explicit Bench(const asio::any_io_executor& executor) : server(executor), scope(executor) {
    options.connect_timeout_ms = 1000;
    events.completed = [this](const LaneBatch& batch, const Answered& answered) {
      said.push_back("completed " + std::to_string(batch.ticket) + ": " +
                     std::to_string(answered.units) + " units, " +
                     std::to_string(answered.commands) + " commands, " +
                     std::to_string(answered.bytes) + " bytes");
    };
    events.refused = [this](Lane& from, HeldUnit held, const std::string& error) {
      said.push_back("refused " + name_of(held) + ": " + error);
      if (freeze_at_refusal)
        frozen_in_flight = from.freeze(held.unit.slot, Lane::Freeze::behind_refusal, unsent);
    };
    events.held = [this](HeldUnit held) { said.push_back("held " + name_of(held)); };
    events.thawed = [this](Slot slot) { said.push_back("thawed " + std::to_string(slot)); };
    events.disconnected = [this](Lane&, const Error& error) { broken.push_back(error.what); };
    HostPort host;
    host.host = "127.0.0.1";
    host.port = server.port();
    lane.emplace(executor, options, host, events);
  }

  static std::string name_of(const HeldUnit& held) {
    return std::to_string(held.ticket) + "/" +
           escaped(held.unit.wire.substr(held.unit.wire.rfind('$')));
  }

  // One unit per wire; slots as given, else 0.
  void submit(Watermark::Ticket ticket, const std::vector<Bytes>& wires,
              const std::vector<Slot>& slots = {}) {
    const auto cargo = std::make_shared<Cargo>();
    LaneBatch batch;
    batch.ticket = ticket;
    for (std::size_t i = 0; i < wires.size(); ++i) {
      Unit unit;
      unit.wire = cargo->made.emplace_back(wires[i]);
      unit.slot = i < slots.size() ? slots[i] : Slot(0);
      unit.db = db;
      batch.units.push_back(unit);
    }
    batch.cargo = cargo;
    lane->submit(std::move(batch));
  }

  void start() {
    server.expect_close();
    scope.spawn(lane->run());
    scope.spawn(server.run());
  }

  // Plays until the lane is empty; then stops it. The script must have been played by then.
  Task<Error> finish() {
    for (int i = 0; i < 2000 && !lane->is_empty(); ++i) {
      co_await sleep_for(Millis(1));
    }
    lane->stop();
    co_return co_await scope.join();
  }

  EndOptions options;
  LaneEvents events;
  ScriptedServer server;
  Scope scope;
  std::optional<Lane> lane;
  std::int32_t db = 0;
  bool freeze_at_refusal = false;
  std::size_t frozen_in_flight = 0;
  std::deque<HeldUnit> unsent;
  std::vector<std::string> said;
  std::vector<std::string> broken;
};

using Said = std::vector<std::string>;

Task<Error> write_in_order() {
  Bench bench(co_await asio::this_coro::executor);
  greet(bench.server);
  bench.server.expect(set("a", "1") + set("b", "22") + set("c", "3"));
  bench.server.send("+OK\r\n+OK\r\n+O").stall(Millis(2)).send("K\r\n");
  bench.submit(7, {set("a", "1"), set("b", "22")});
  bench.submit(8, {set("c", "3")});
  EXPECT_EQ(bench.lane->queued(), 3u);
  bench.start();
  Error error = co_await bench.finish();
  const Said expected{"completed 7: 2 units, 2 commands, 55 bytes",
                      "completed 8: 1 units, 1 commands, 27 bytes"};
  EXPECT_EQ(bench.said, expected);
  EXPECT_EQ(bench.lane->in_flight(), 0u);
  EXPECT_EQ(bench.lane->stats().sent_bytes, 82u);
  co_return error;
}

TEST(Lane, WritesInOrderAndMatchesReplies) {
  const Error error = run_coro(write_in_order());

  EXPECT_FALSE(error) << error.what;
}

Task<Error> insert_selects() {
  Bench bench(co_await asio::this_coro::executor);
  greet(bench.server);
  bench.server.expect(set("a", "0") + select("3") + set("b", "3") + set("c", "3") + select("0") +
                      set("d", "0"));
  bench.server.send("+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
  bench.submit(1, {set("a", "0")});
  bench.db = 3;
  bench.submit(2, {set("b", "3"), set("c", "3")});
  bench.db = 0;
  bench.submit(3, {set("d", "0")});
  bench.start();
  Error error = co_await bench.finish();
  EXPECT_EQ(bench.said.size(), 3u);
  co_return error;
}

TEST(Lane, SelectsTheDatabaseOnlyWhenItChanges) {
  const Error error = run_coro(insert_selects());

  EXPECT_FALSE(error) << error.what;
}

Task<Error> refuse_select() {
  Bench bench(co_await asio::this_coro::executor);
  greet(bench.server);
  bench.server.expect(select("9") + set("a", "1")).send("-ERR DB index is out of range\r\n+OK\r\n");
  bench.db = 9;
  bench.submit(1, {set("a", "1")});
  bench.start();
  Error error = co_await bench.finish();
  const Said expected{"refused 1/$1\\x0d\\x0a1\\x0d\\x0a: ERR DB index is out of range",
                      "completed 1: 0 units, 0 commands, 0 bytes"};
  EXPECT_EQ(bench.said, expected);
  co_return error;
}

TEST(Lane, TakesARefusedSelectForTheRefusalOfItsUnit) {
  const Error error = run_coro(refuse_select());

  EXPECT_FALSE(error) << error.what;
}

Task<Error> cut_between(std::size_t answered_bytes) {
  Bench bench(co_await asio::this_coro::executor);
  const Bytes replies = "+OK\r\n$2\r\nxx\r\n+OK\r\n";
  const std::vector<Bytes> wires{set("a", "1"), set("b", "2"), set("c", "3"), set("d", "4")};
  greet(bench.server);
  bench.server.expect(select("5") + wires[0] + wires[1] + wires[2] + wires[3]);
  // The first reply is SELECT's; then as many whole ones as fit.
  bench.server.send("+OK\r\n" + replies.substr(0, answered_bytes)).close().accept();
  greet(bench.server);
  const std::size_t answered = answered_bytes >= 18   ? 3
                               : answered_bytes >= 13 ? 2
                                                      : answered_bytes >= 5;
  Bytes again = select("5");
  Bytes answers = "+OK\r\n";
  for (std::size_t i = answered; i < wires.size(); ++i) {
    again += wires[i];
    answers += "+OK\r\n";
  }
  bench.server.expect(again).send(answers);
  bench.db = 5;
  bench.submit(1, {wires[0], wires[1]});
  bench.submit(2, {wires[2], wires[3]});
  bench.start();
  Error error = co_await bench.finish();
  const Said expected{"completed 1: 2 units, 2 commands, 54 bytes",
                      "completed 2: 2 units, 2 commands, 54 bytes"};
  EXPECT_EQ(bench.said, expected);
  EXPECT_EQ(bench.broken.size(), 1u);
  EXPECT_EQ(bench.lane->stats().resent_units, 4 - answered);
  co_return error;
}

TEST(Lane, SendsWhatWasNotAnsweredAgainInOrderWhereverItIsCut) {
  for (std::size_t k = 0; k <= 18; ++k) {
    SCOPED_TRACE("cut after " + std::to_string(k) + " bytes of replies");

    const Error error = run_coro(cut_between(k));

    EXPECT_FALSE(error) << error.what;
  }
}

// Slots 1 and 2; the first unit of slot 1 is refused and the slot frozen while three more are in
// flight.
Task<Error> freeze_in_flight(bool cut) {
  Bench bench(co_await asio::this_coro::executor);
  bench.freeze_at_refusal = true;
  const std::vector<Bytes> wires{set("a", "1"), set("b", "2"), set("c", "3"), set("d", "4")};
  greet(bench.server);
  bench.server.expect(wires[0] + wires[1] + wires[2] + wires[3])
      .send("-OOM no\r\n")
      .stall(Millis(5));
  if (cut) {
    bench.server.close().accept();
    greet(bench.server);
    bench.server.expect(wires[1] + wires[3]).send("+OK\r\n+OK\r\n");
  } else {
    bench.server.send("+OK\r\n-TRYAGAIN\r\n+OK\r\n");
  }
  bench.submit(1, {wires[0], wires[1]}, {1, 2});
  bench.submit(2, {wires[2]}, {1});
  bench.submit(3, {wires[3]}, {2});
  bench.start();
  Error error = co_await bench.finish();
  EXPECT_EQ(bench.frozen_in_flight, 1u);
  EXPECT_TRUE(bench.unsent.empty());
  Said expected{"refused 1/$1\\x0d\\x0a1\\x0d\\x0a: OOM no",
                "completed 1: 1 units, 1 commands, 27 bytes",
                "held 2/$1\\x0d\\x0a3\\x0d\\x0a",
                "thawed 1",
                "completed 2: 0 units, 0 commands, 0 bytes",
                "completed 3: 1 units, 1 commands, 27 bytes"};
  if (cut) {
    std::rotate(expected.begin() + 1, expected.begin() + 2, expected.begin() + 4);
  }
  EXPECT_EQ(bench.said, expected);
  co_return error;
}

TEST(Lane, GivesUnitsOfAFrozenSlotBackWhateverTheirReplyWas) {
  const Error error = run_coro(freeze_in_flight(false));

  EXPECT_FALSE(error) << error.what;
}

TEST(Lane, GivesUnitsOfAFrozenSlotBackWhenTheConnectionBreaks) {
  const Error error = run_coro(freeze_in_flight(true));

  EXPECT_FALSE(error) << error.what;
}

Task<Error> freeze_unsent() {
  Bench bench(co_await asio::this_coro::executor);
  bench.submit(1, {set("a", "1"), set("b", "2")}, {1, 2});
  bench.submit(2, {set("c", "3"), set("d", "4")}, {1, 1});
  bench.submit(3, {set("e", "5")}, {2});
  EXPECT_EQ(bench.lane->freeze(1, Lane::Freeze::behind_refusal, bench.unsent), 0u);
  Said names;
  for (const HeldUnit& held : bench.unsent)
    names.push_back(Bench::name_of(held));
  const Said expected_names{"1/$1\\x0d\\x0a1\\x0d\\x0a", "2/$1\\x0d\\x0a3\\x0d\\x0a",
                            "2/$1\\x0d\\x0a4\\x0d\\x0a"};
  EXPECT_EQ(names, expected_names);
  EXPECT_EQ(bench.lane->queued(), 2u);
  // Not marked: new ones of the slot go their way.
  bench.submit(4, {set("f", "6")}, {1});
  greet(bench.server);
  bench.server.expect(set("b", "2") + set("e", "5") + set("f", "6")).send("+OK\r\n+OK\r\n+OK\r\n");
  bench.start();
  Error error = co_await bench.finish();
  const Said expected{
      "completed 1: 1 units, 1 commands, 27 bytes", "completed 2: 0 units, 0 commands, 0 bytes",
      "completed 3: 1 units, 1 commands, 27 bytes", "completed 4: 1 units, 1 commands, 27 bytes"};
  EXPECT_EQ(bench.said, expected);
  co_return error;
}

TEST(Lane, HandsOutTheUnsentUnitsOfAFrozenSlotAndNoOthers) {
  const Error error = run_coro(freeze_unsent());

  EXPECT_FALSE(error) << error.what;
}

Task<Error> freeze_everything() {
  Bench bench(co_await asio::this_coro::executor);
  bench.submit(1, {set("a", "1"), set("b", "2")}, {1, 1});
  EXPECT_EQ(bench.lane->freeze(1, Lane::Freeze::behind_refusal, bench.unsent), 0u);
  EXPECT_TRUE(bench.lane->is_empty());
  EXPECT_EQ(bench.said, Said{"completed 1: 0 units, 0 commands, 0 bytes"});
  co_return Error();
}

TEST(Lane, IsEmptyOnceItsLastUnitHasLeft) {
  EXPECT_FALSE(run_coro(freeze_everything()));
}

Task<Error> freeze_for_new_owner() {
  Bench bench(co_await asio::this_coro::executor);
  const Bytes all = set("a", "1") + set("b", "2") + set("c", "3") + set("d", "4");
  greet(bench.server);
  bench.server.expect(all).stall(Millis(20)).send("+OK\r\n-MOVED 1 :1\r\n+OK\r\n-MOVED 1 :1\r\n");
  bench.submit(1, {set("a", "1"), set("b", "2"), set("c", "3"), set("d", "4")});
  bench.start();
  while (bench.lane->in_flight() < 4)
    co_await sleep_for(Millis(1));
  EXPECT_EQ(bench.lane->freeze(0, Lane::Freeze::for_new_owner, bench.unsent), 4u);
  Error error = co_await bench.finish();
  const Said expected{"held 1/$1\\x0d\\x0a2\\x0d\\x0a", "held 1/$1\\x0d\\x0a3\\x0d\\x0a",
                      "held 1/$1\\x0d\\x0a4\\x0d\\x0a", "thawed 0",
                      "completed 1: 1 units, 1 commands, 27 bytes"};
  EXPECT_EQ(bench.said, expected);
  co_return error;
}

TEST(Lane, CountsWhatIsAcceptedBeforeTheFirstErrorWhenOnlyTheOwnerHasChanged) {
  const Error error = run_coro(freeze_for_new_owner());

  EXPECT_FALSE(error) << error.what;
}

Task<Error> answer_groups() {
  Bench bench(co_await asio::this_coro::executor);
  const Bytes group = "<MULTI INCR INCR EXEC>";
  greet(bench.server);
  bench.server.expect(group + group + group);
  bench.server.send("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:2\r\n");
  bench.server.send("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n-WRONGTYPE x\r\n");
  bench.server.send("+OK\r\n+QUEUED\r\n-OOM y\r\n-EXECABORT z\r\n");
  const auto cargo = std::make_shared<Cargo>();
  LaneBatch batch;
  batch.cargo = cargo;
  for (int i = 0; i < 3; ++i) {
    Unit unit;
    unit.wire = cargo->made.emplace_back(group);
    unit.is_group = true;
    unit.commands = 2;
    unit.replies = 4;
    batch.units.push_back(unit);
  }
  bench.lane->submit(std::move(batch));
  bench.events.refused = [&bench](Lane&, HeldUnit, const std::string& error) {
    bench.said.push_back("refused: " + error);
  };
  bench.start();
  Error error = co_await bench.finish();
  const Said expected{"refused: WRONGTYPE x", "refused: OOM y",
                      "completed 0: 1 units, 2 commands, 22 bytes"};
  EXPECT_EQ(bench.said, expected);
  co_return error;
}

TEST(Lane, JudgesAGroupByItsFirstError) {
  const Error error = run_coro(answer_groups());

  EXPECT_FALSE(error) << error.what;
}

Task<Error> answer_nothing() {
  Bench bench(co_await asio::this_coro::executor);
  bench.options.reply_timeout_ms = 20;
  greet(bench.server);
  bench.server.expect(set("a", "1")).expect_close().accept();
  greet(bench.server);
  bench.server.expect(set("a", "1")).send("+OK\r\n");
  bench.submit(1, {set("a", "1")});
  bench.start();
  for (int i = 0; i < 500 && !bench.lane->is_empty(); ++i) {
    co_await sleep_for(Millis(1));
    bench.lane->check_timeout(Clock::now());
  }
  EXPECT_EQ(bench.broken.size(), 1u);
  co_return co_await bench.finish();
}

TEST(Lane, GivesUpAConnectionThatOwesAReply) {
  const Error error = run_coro(answer_nothing());

  EXPECT_FALSE(error) << error.what;
}

Task<Error> idle_long() {
  Bench bench(co_await asio::this_coro::executor);
  bench.options.reply_timeout_ms = 10;
  greet(bench.server);
  bench.server.expect(set("a", "1")).send("+OK\r\n");
  bench.start();
  for (int i = 0; i < 10; ++i) {
    co_await sleep_for(Millis(4));
    bench.lane->check_timeout(Clock::now());
  }
  bench.submit(1, {set("a", "1")});
  bench.lane->check_timeout(Clock::now());
  Error error = co_await bench.finish();
  EXPECT_EQ(bench.broken.size(), 0u);
  co_return error;
}

TEST(Lane, LetsAnIdleConnectionBe) {
  const Error error = run_coro(idle_long());

  EXPECT_FALSE(error) << error.what;
}

Task<Error> break_after_a_long_time() {
  Bench bench(co_await asio::this_coro::executor);
  bench.options.reconnect_max_s = 0;
  greet(bench.server);
  bench.server.stall(Millis(30)).close().accept();
  greet(bench.server);
  bench.server.expect(set("a", "1")).send("+OK\r\n");
  bench.submit(1, {});
  bench.start();
  co_await sleep_for(Millis(45));
  bench.submit(2, {set("a", "1")});
  co_return co_await bench.finish();
}

TEST(Lane, CountsTheTimeWithoutALinkFromItsEndNotItsBegin) {
  const Error error = run_coro(break_after_a_long_time());

  EXPECT_FALSE(error) << error.what;
}

Task<Error> be_refused(const char* reply, bool& gave_up) {
  Bench bench(co_await asio::this_coro::executor);
  bench.server.expect(greeting).send(reply).close().accept();
  greet(bench.server);
  bench.start();
  for (int i = 0; i < 40 && !gave_up && !bench.lane->is_connected(); ++i) {
    co_await sleep_for(Millis(5));
    gave_up = bench.scope.running() == 1;
  }
  bench.lane->stop();
  if (gave_up) {
    // Ends the server's second accept.
    Stream stream(co_await asio::this_coro::executor);
    HostPort host = bench.lane->target();
    Error ignored = co_await stream.connect_tcp(host);
  }
  co_return co_await bench.scope.join();
}

TEST(Lane, TriesAgainUnlessItIsNotLetIn) {
  bool gave_up = false;
  Error error = run_coro(be_refused("-ERR max number of clients reached\r\n", gave_up));
  EXPECT_FALSE(gave_up) << error.what;

  error = run_coro(be_refused("-NOAUTH Authentication required.\r\n", gave_up));
  EXPECT_TRUE(gave_up);
  EXPECT_TRUE(error.is(Errc::refused_by_peer)) << error.what;
}

Task<Error> answer_too_much(const char* nonsense) {
  Bench bench(co_await asio::this_coro::executor);
  greet(bench.server);
  bench.server.expect(set("a", "1"))
      .send(std::string("+OK\r\n") + nonsense)
      .expect_close()
      .accept();
  greet(bench.server);
  bench.server.expect(set("b", "2")).send("+OK\r\n");
  bench.submit(1, {set("a", "1")});
  bench.start();
  for (int i = 0; i < 500 && bench.broken.empty(); ++i)
    co_await sleep_for(Millis(1));
  bench.submit(2, {set("b", "2")});
  Error error = co_await bench.finish();
  EXPECT_EQ(bench.broken.size(), 1u);
  co_return error;
}

TEST(Lane, DropsAConnectionWhoseRepliesMakeNoSense) {
  for (const char* nonsense : {"+OK\r\n", "hello\r\n", "\r\n"}) {
    SCOPED_TRACE(nonsense);

    const Error error = run_coro(answer_too_much(nonsense));

    EXPECT_FALSE(error) << error.what;
  }
}

// More than goes into one write and into the in-flight window; the server reads it all and then
// answers.
Task<Error> send_much(std::size_t units, std::size_t bytes_each) {
  Bench bench(co_await asio::this_coro::executor);
  greet(bench.server);
  std::vector<Bytes> wires;
  for (std::size_t i = 0; i < units; ++i) {
    wires.push_back(make_command({"SET", std::to_string(i), Bytes(bytes_each, 'x')}));
    bench.server.expect(wires.back()).send("+OK\r\n");
  }
  bench.submit(1, wires);
  bench.start();
  Error error = co_await bench.finish();
  EXPECT_EQ(bench.said.size(), 1u);
  EXPECT_EQ(bench.lane->in_flight(), 0u);
  co_return error;
}

TEST(Lane, SendsMoreThanItsWindowHolds) {
  EXPECT_FALSE(run_coro(send_much(3000, 10)));
  EXPECT_FALSE(run_coro(send_much(300, 2000)));
  EXPECT_FALSE(run_coro(send_much(5, 3 * 1024 * 1024)));
}

// The server answers a huge command before it has read it all, as real ones do with "Protocol
// error".
Task<Error> answer_early() {
  Bench bench(co_await asio::this_coro::executor);
  greet(bench.server);
  bench.server.expect("*3\r\n")
      .send("-ERR Protocol error: invalid bulk length\r\n")
      .stall(Millis(20));
  bench.server.close();
  bench.submit(1, {make_command({"SET", "k", Bytes(8 * 1024 * 1024, 'x')})});
  bench.start();
  Error error = co_await bench.finish();
  EXPECT_EQ(bench.said.size(), 2u);
  co_return error;
}

TEST(Lane, KeepsTheBytesOfAWriteUntilItHasEnded) {
  const Error error = run_coro(answer_early());

  EXPECT_FALSE(error) << error.what;
}

}  // namespace
}  // namespace keyferry
