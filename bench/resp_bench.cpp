// How fast commands of the stream are found, replies are judged, commands are written.
// Counter "items": commands or replies per second.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "keyferry/resp/command_parser.hpp"
#include "keyferry/resp/reply_scanner.hpp"
#include "keyferry/resp/resp.hpp"

namespace {

using namespace keyferry;  // NOLINT: a program of its own

constexpr std::int64_t items = 2000;

void report(benchmark::State& state, std::size_t bytes) {
  using benchmark::Counter;
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  const auto all = static_cast<double>(state.iterations() * items);
  state.counters["items"] = Counter(all, Counter::kIsRate);
  state.counters["s_per_item"] = Counter(all, Counter::kIsRate | Counter::kInvert);
}

Bytes stream_of_commands(std::int64_t value_bytes) {
  const Bytes value(static_cast<std::size_t>(value_bytes), 'v');
  Bytes out;
  for (std::int64_t i = 0; i < items; ++i) {
    append_command(out, {"SET", fmt::format("user:{:08}", i), value});
  }
  return out;
}

void parse_commands(benchmark::State& state) {
  const Bytes stream = stream_of_commands(state.range(0));
  std::vector<ByteView> args;
  for (auto _ : state) {
    ByteView rest = stream;
    while (!rest.empty()) {
      args.clear();
      const CommandParse parse = parse_command(rest, args);
      if (parse.status != CommandParse::Status::command) std::abort();
      rest.remove_prefix(parse.size);
    }
    benchmark::DoNotOptimize(args.data());
  }
  report(state, stream.size());
}
BENCHMARK(parse_commands)->Arg(3)->Arg(32)->Arg(1000);

void append_commands(benchmark::State& state) {
  const Bytes value(static_cast<std::size_t>(state.range(0)), 'v');
  Bytes out;
  for (auto _ : state) {
    out.clear();
    for (std::int64_t i = 0; i < items; ++i)
      append_command(out, {"SET", "user:00000001", value});
    benchmark::DoNotOptimize(out.data());
  }
  report(state, out.size());
}
BENCHMARK(append_commands)->Arg(3)->Arg(32)->Arg(1000);

void scan_replies(benchmark::State& state, ByteView reply) {
  Bytes replies;
  for (std::int64_t i = 0; i < items; ++i)
    replies += reply;
  for (auto _ : state) {
    ReplyScanner scanner;
    ByteView rest = replies;
    while (!rest.empty()) {
      if (scanner.next(rest) != ReplyScanner::Status::done) std::abort();
    }
  }
  report(state, replies.size());
}
BENCHMARK_CAPTURE(scan_replies, ok, "+OK\r\n");
BENCHMARK_CAPTURE(scan_replies, integer, ":12345\r\n");
BENCHMARK_CAPTURE(scan_replies, exec, "*2\r\n+OK\r\n$5\r\nhello\r\n");

}  // namespace
