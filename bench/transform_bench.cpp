// What the rules cost per command of the stream: ten prefixes, mapping, an identity script. Counter
// "s_per_command"; the batch is copied outside of the time that counts.
#include <cstdio>
#include <fstream>

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "keyferry/resp/resp.hpp"
#include "keyferry/source/stream_decoder.hpp"
#include "keyferry/transform/transform.hpp"

namespace {

using namespace keyferry;  // NOLINT: a program of its own

constexpr const char* script_name = "keyferry-bench-identity.lua";

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
  state.counters["s_per_command"] = Counter(all, Counter::kIsRate | Counter::kInvert);
}

Options ten_prefixes() {
  Options options;
  for (int i = 0; i < 5; ++i) {
    options.filter.allow.prefixes.push_back(fmt::format("k{}", i));
    options.filter.block.prefixes.push_back(fmt::format("key:9{}", i));
  }
  options.filter.allow.prefixes.push_back("key:");
  return options;
}

// The verdict alone.
void filter(benchmark::State& state) {
  SlabBudget budget;
  StreamDecoder decoder(budget);
  decoder.start(0, 0);
  const SlabRef slab = slab_of_sets(budget);
  if (decoder.feed(slab, slab->filled(), TimePoint())) std::abort();
  const std::unique_ptr<Batch> batch = decoder.take();
  const Filter filter = Filter::compile(ten_prefixes().filter).value();
  for (auto _ : state) {
    for (const Command& command : batch->commands) {
      const FilterVerdict verdict = filter.on_command(0, command.info, batch->args_of(command));
      if (!verdict.keeps()) std::abort();
    }
  }
  report(state, batch->commands.size());
}
BENCHMARK(filter);

// A whole batch, taken anew from the decoder each time.
void apply(benchmark::State& state, Options (*options)()) {
  Transform transform = Transform::compile(options()).value();
  std::remove(script_name);
  SlabBudget budget;
  const SlabRef slab = slab_of_sets(budget);
  StreamDecoder decoder(budget);
  decoder.start(0, 0);
  std::size_t commands = 0;
  for (auto _ : state) {
    state.PauseTiming();
    if (decoder.feed(slab, slab->filled(), TimePoint())) std::abort();
    std::unique_ptr<Batch> batch = decoder.take();
    state.ResumeTiming();
    transform.apply(*batch);
    commands = batch->commands.size();
    state.PauseTiming();
    batch.reset();
    state.ResumeTiming();
  }
  report(state, commands);
}

Options mapping() {
  Options options;
  options.transform.key_prefix_add = "app:";
  return options;
}

Options identity_script() {
  Options options;
  options.transform.script_file = script_name;
  std::ofstream(options.transform.script_file)
      << "function transform(db, argv, keys) return argv end\n";
  return options;
}

Options no_rule() {
  return Options();
}

BENCHMARK_CAPTURE(apply, no_rule, no_rule);
BENCHMARK_CAPTURE(apply, ten_prefixes, ten_prefixes);
BENCHMARK_CAPTURE(apply, key_prefix, mapping);
BENCHMARK_CAPTURE(apply, identity_script, identity_script);

}  // namespace
