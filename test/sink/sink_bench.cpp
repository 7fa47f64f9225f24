#include "sink/sink_bench.hpp"

#include <algorithm>
#include <set>
#include <sstream>

#include <boost/asio/this_coro.hpp>

#include "keyferry/source/stream_decoder.hpp"
#include "support/run_coro.hpp"

namespace keyferry::test {
namespace {

Task<Error> feed(SinkRun& run, RedisSink& sink, SlabBudget& budget) {
  for (const auto& [key, text] : run.snapshot) {
    rdb::Event event;
    event.kind = rdb::Event::Kind::key;
    event.key = key;
    event.type = run.snapshot_type;
    const Bytes value = run.snapshot_type == 0 ? static_cast<char>(text.size()) + text : text;
    event.value = value;
    Error refused = sink.put_key(event, rdb::Dialect(), nullptr);
    if (refused) co_return refused;
  }
  sink.flush_keys();
  Error error = co_await sink.idle();
  if (error) co_return error;
  StreamDecoder decoder(budget);
  decoder.start(0, 0);
  for (std::size_t i = 0; i < run.batches.size() && !error; ++i) {
    if (run.before_batch) run.before_batch(i);
    const Bytes& bytes = run.batches[i];
    const SlabRef slab = make_slab(budget, bytes.size());
    error = decoder.feed(slab, slab->append(bytes), Clock::now());
    if (error) co_return error;
    run.end = decoder.offset();
    std::unique_ptr<Batch> batch = decoder.take();
    error = co_await sink.apply(std::move(batch));
    if (run.waits_between && !error) error = co_await sink.idle();
  }
  if (!error) error = co_await sink.idle();
  co_return error;
}

Task<Error> carry(SinkRun& run) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  SlabBudget budget;
  Watermark watermark;
  RedisSink sink(executor, run.options, watermark);
  sink.on_applied = [&run](std::uint64_t commands, TimePoint) { run.told += commands; };
  Error error = co_await sink.open();
  Scope scope(executor);
  scope.spawn(sink.run());
  if (!error) {
    if (run.beside != nullptr) scope.spawn(run.beside(run));
    error = co_await feed(run, sink, budget);
  }
  run.is_over = true;
  sink.stop();
  Error run_error = co_await scope.join();
  run.applied = watermark.applied();
  run.stats = sink.stats();
  run.held_slots = sink.held_slots();
  co_return error ? error : run_error;
}

}  // namespace

SinkRun::SinkRun(FakeTarget& to, std::size_t nodes) : target(to) {
  for (std::size_t i = 0; i < nodes; ++i) {
    HostPort& host = options.target.uri.hosts.emplace_back();
    host.host = "127.0.0.1";
    host.port = to.node(i).port();
  }
  options.target.connect_timeout_ms = 2000;
  options.target.reply_timeout_ms = 2000;
  options.target_lanes_per_node = 2;
  options.delivery_mode = Delivery::at_least_once;  // sink/serial_lane has tests of its own
  options.errors_dead_letter_file = dir.file("letters.resp");
}

SinkRun& SinkRun::batch(const std::vector<std::string>& commands) {
  Bytes& bytes = batches.emplace_back();
  for (const std::string& command : commands) {
    std::istringstream text(command);
    std::vector<std::string> words;
    for (std::string word; text >> word;)
      words.push_back(word);
    const std::vector<ByteView> args(words.begin(), words.end());
    append_command(bytes, args);
  }
  return *this;
}

void SinkRun::go() {
  error = run_coro(carry(*this), limit);
}

std::string SinkRun::dead_letters() const {
  return read_file(options.errors_dead_letter_file);
}

Words last_order(const Words& applied) {
  std::set<std::string> seen;
  Words out;
  for (auto text = applied.rbegin(); text != applied.rend(); ++text) {
    if (seen.insert(*text).second) out.push_back(*text);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace keyferry::test
