// What the record says that goes with each transaction to a standalone target: never less than what
// was executed, or a start from there would execute it once more, and in the right database. Seen
// through MONITOR of a real server, since a later record soon hides the one in question.
#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include "keyferry/sink/redis_sink.hpp"
#include "keyferry/source/stream_decoder.hpp"
#include "support/run_coro.hpp"
#include "support/server.hpp"

namespace keyferry::test {
namespace {

constexpr Offset start = 1;

struct RecordRun {
  RecordRun() {
    HostPort& host = options.target.uri.hosts.emplace_back();
    host.host = target.host();
    host.port = target.port();
    options.delivery_link = "link";
    options.errors_dead_letter_file = dir.file("letters.resp");
    name_instance(options);
    append_wire(stream, {"SET", "first", "1"});
    first = stream.size();
  }

  // The offset behind it.
  Offset add(const Args& command) {
    append_wire(stream, command);
    return start + static_cast<Offset>(stream.size());
  }
  void go();
  // The first one that was executed behind a command that MONITOR shows like this.
  Record record_behind(const std::string& text) const;

  RedisServer target;
  TempDir dir;
  Options options;
  std::string stream;
  std::size_t first = 0;  // bytes of it that go ahead
  std::optional<KeyCopies> copies;
  std::vector<Offset> back;  // asked for at the end, in order
  std::vector<bool> may_go_back;
  std::string seen;
  Error error;
};

Task<Error> feed(RedisSink& sink, StreamDecoder& decoder, SlabBudget& budget, ByteView bytes) {
  const SlabRef slab = make_slab(budget, bytes.size());
  Error error = decoder.feed(slab, slab->append(bytes), Clock::now());
  if (error) co_return error;
  std::unique_ptr<Batch> batch = decoder.take();
  error = co_await sink.apply(std::move(batch));
  if (!error) error = co_await sink.idle();
  co_return error;
}

Task<Error> play(RecordRun& run, RedisSink& sink) {
  const std::string replid(40, 'a');
  Error error = co_await sink.begin_generation(replid, start);
  if (!error) error = co_await sink.complete_generation(replid, start, 0);
  if (error) co_return error;
  SlabBudget budget;
  StreamDecoder decoder(budget);
  decoder.start(start, 0);
  // Something goes ahead, so that the lane is connected and at rest.
  error = co_await feed(sink, decoder, budget, ByteView(run.stream).substr(0, run.first));
  if (error) co_return error;
  if (run.copies) {
    for (const KeyCopy& copy : run.copies->keys)
      sink.suspects().add(copy.db, copy.key);
    sink.suspects().take(run.copies->keys.size());
    sink.heal(*run.copies);
  }
  error = co_await feed(sink, decoder, budget, ByteView(run.stream).substr(run.first));
  for (const Offset offset : run.back)
    run.may_go_back.push_back(sink.go_back_to(offset));
  co_return error;
}

Task<Error> carry(RecordRun& run) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  Watermark watermark;
  watermark.reset(start);
  RedisSink sink(executor, run.options, watermark);
  Error error = co_await sink.open();
  Scope scope(executor);
  scope.spawn(sink.run());
  if (!error) error = co_await play(run, sink);
  co_await sleep_for(Millis(50));  // what was handed over before an error goes out
  sink.stop();
  Error run_error = co_await scope.join();
  co_return error ? error : run_error;
}

void RecordRun::go() {
  RespClient monitor = target.client();
  monitor.must({"MONITOR"});
  error = run_coro(carry(*this), std::chrono::seconds(10));
  target.command({"ECHO", "the end"});
  while (seen.find("the end") == std::string::npos)
    seen += monitor.read_raw(65536);
}

Record RecordRun::record_behind(const std::string& text) const {
  constexpr std::string_view head = "\"keyferry1 ";
  const std::size_t command = seen.find(text);
  const std::size_t record = seen.find(head, std::min(command, seen.size()));
  if (command == std::string::npos || record == std::string::npos) {
    ADD_FAILURE() << "no record behind " << text;
    return Record();
  }
  const std::size_t end = seen.find('"', record + 1);
  auto parsed = parse_record(ByteView(seen).substr(record + 1, end - record - 1));
  EXPECT_TRUE(parsed) << seen.substr(record, 300);
  return parsed ? *parsed : Record();
}

TEST(SerialRecord, CoversWhatWentAheadOfTheRestOfItsBatch) {
  RecordRun run;
  const Offset behind = run.add({"INCR", "a"});
  run.add({"SELECT", "3"});  // the target is asked for it first: meanwhile the lane goes on
  run.add({"INCR", "b"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_GE(run.record_behind("\"INCR\" \"a\"").offset, behind);
}

TEST(SerialRecord, CoversTheEndOfAGroupThatFillsATransaction) {
  RecordRun run;
  run.add({"MULTI"});
  run.add({"INCR", "a"});
  run.add({"SET", "large", std::string(300 * 1024, 'x')});
  const Offset behind = run.add({"EXEC"});
  run.add({"INCR", "b"});

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  const Record record = run.record_behind("\"INCR\" \"a\"");
  EXPECT_GE(record.offset, behind);
  EXPECT_LT(record.offset, start + static_cast<Offset>(run.stream.size()))
      << "both went in one transaction, and the case is not the one that is meant";
}

TEST(SerialRecord, NamesTheDatabaseOfTheStreamNotOfACopy) {
  RecordRun run;
  const Offset at = run.add({"INCR", "a"});
  run.copies = KeyCopies{std::string(40, 'a'), at, {KeyCopy{3, "gone", std::nullopt, 0}}};
  run.add({"FLUSHDB"});  // stands apart, so that the copy ends a transaction before it

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  const Record record = run.record_behind("\"FLUSHDB\"");
  EXPECT_EQ(record.judged, at);
  EXPECT_EQ(record.db, 0);
}

TEST(SerialRecord, LeavesOutWhatHasNoEffectBehindIt) {
  RecordRun run;
  const Offset behind = run.add({"INCR", "a"});
  run.add({"PING"});
  const Offset greeted = run.add({"PUBLISH", "__sentinel__:hello", "x"});
  run.back = {behind - 1, behind, greeted};

  run.go();

  EXPECT_FALSE(run.error) << run.error.what;
  EXPECT_EQ(run.record_behind("\"INCR\" \"a\"").offset, behind);
  EXPECT_EQ(run.may_go_back, std::vector<bool>({false, true, true}));
}

}  // namespace
}  // namespace keyferry::test
