// What one command of the stream costs between the socket and the lane: found in the bytes and put
// into a Batch, then routed. Counter "s_per_command".
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "keyferry/resp/resp.hpp"
#include "keyferry/sink/route.hpp"
#include "keyferry/source/stream_decoder.hpp"

namespace {

using namespace keyferry;  // NOLINT: a program of its own

// A slab full of SETs with 16-byte keys, as a socket read leaves it.
SlabRef slab_of_sets(SlabBudget& budget) {
  SlabRef slab = make_slab(budget, Slab::default_size_bytes);
  for (int i = 0;; ++i) {
    const Bytes wire = make_command({"SET", fmt::format("key:{:012}", i), "value-of-16-byte"});
    if (wire.size() > slab->tail_size()) return slab;
    slab->append(wire);
  }
}

void report(benchmark::State& state, std::size_t commands) {
  using benchmark::Counter;
  const auto all = static_cast<double>(state.iterations() * static_cast<std::int64_t>(commands));
  state.counters["commands"] = Counter(all, Counter::kIsRate);
  state.counters["s_per_command"] = Counter(all, Counter::kIsRate | Counter::kInvert);
}

void decode_stream(benchmark::State& state) {
  SlabBudget budget;
  const SlabRef slab = slab_of_sets(budget);
  StreamDecoder decoder(budget);
  decoder.start(0, 0);
  std::size_t commands = 0;
  for (auto _ : state) {
    if (decoder.feed(slab, slab->filled(), TimePoint())) std::abort();
    commands = decoder.take()->commands.size();
  }
  report(state, commands);
}
BENCHMARK(decode_stream);

void route(benchmark::State& state, bool is_cluster) {
  SlabBudget budget;
  const SlabRef slab = slab_of_sets(budget);
  StreamDecoder decoder(budget);
  decoder.start(0, 0);
  if (decoder.feed(slab, slab->filled(), TimePoint())) std::abort();
  const std::unique_ptr<Batch> batch = decoder.take();
  for (auto _ : state) {
    for (const Command& command : batch->commands) {
      const Route route = route_command(command.info, batch->args_of(command), 0, is_cluster);
      if (route.kind != Route::Kind::lane) std::abort();
      benchmark::DoNotOptimize(route.slot);
    }
  }
  report(state, batch->commands.size());
}
BENCHMARK_CAPTURE(route, standalone, false);
BENCHMARK_CAPTURE(route, cluster, true);

}  // namespace
