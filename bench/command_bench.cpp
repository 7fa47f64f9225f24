// What one command of the stream costs before it is sent: its row in the table and the slot of its
// keys.
#include <array>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "keyferry/command/keys.hpp"

namespace keyferry {
namespace {

void find_one(benchmark::State& state, ByteView name) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(name);
    benchmark::DoNotOptimize(find_command(name));
  }
}
BENCHMARK_CAPTURE(find_one, set, ByteView("SET"));
BENCHMARK_CAPTURE(find_one, hset, ByteView("hset"));
BENCHMARK_CAPTURE(find_one, pexpireat, ByteView("PEXPIREAT"));
BENCHMARK_CAPTURE(find_one, georadiusbymember, ByteView("GEORADIUSBYMEMBER"));
BENCHMARK_CAPTURE(find_one, unknown, ByteView("JSON.SET"));

// Names in turn, so that no branch learns one by heart.
void find_mixed(benchmark::State& state) {
  constexpr std::array<ByteView, 8> names = {"SET", "hset",   "PEXPIREAT", "lpush",
                                             "DEL", "INCRBY", "ZADD",      "XADD"};
  std::size_t i = 0;
  std::uint32_t random = 1;
  for (auto _ : state) {
    random = random * 1664525 + 1013904223;
    i = random >> 29;
    benchmark::DoNotOptimize(find_command(names[i]));
  }
}
BENCHMARK(find_mixed);

void slots_of(benchmark::State& state, const std::vector<ByteView>& args) {
  const CommandInfo* info = find_command(args[0]);
  for (auto _ : state) {
    benchmark::DoNotOptimize(args.data());
    benchmark::DoNotOptimize(key_slots(*info, args));
  }
}
BENCHMARK_CAPTURE(slots_of, set_16_byte_key, std::vector<ByteView>{"SET", "key:000000001234", "v"});
BENCHMARK_CAPTURE(slots_of, set_hash_tag,
                  std::vector<ByteView>{"SET", "{user1000}.following", "v"});
BENCHMARK_CAPTURE(slots_of, mset_3,
                  std::vector<ByteView>{"MSET", "{a}key:1", "v", "{a}key:2", "v", "{a}key:3", "v"});
BENCHMARK_CAPTURE(slots_of, zunionstore_2,
                  std::vector<ByteView>{"ZUNIONSTORE", "{a}d", "2", "{a}x", "{a}y"});

// Standalone targets ask only this.
void own_key_of(benchmark::State& state) {
  const std::vector<ByteView> args = {"SET", "key:000000001234", "v"};
  const CommandInfo* info = find_command(args[0]);
  for (auto _ : state) {
    benchmark::DoNotOptimize(args.data());
    benchmark::DoNotOptimize(touches_own_key(*info, args));
  }
}
BENCHMARK(own_key_of);

}  // namespace
}  // namespace keyferry
