// How fast snapshots are decoded, per value type, and turned into commands. Counter "keys": keys
// per second.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "keyferry/base/checksum.hpp"
#include "keyferry/cli/inspection.hpp"
#include "keyferry/rdb/rdb_reader.hpp"
#include "keyferry/rdb/restore.hpp"
#include "rdb/builder.hpp"
#include "rdb/packed_builder.hpp"

namespace {

using namespace keyferry;       // NOLINT: a program of its own
using namespace keyferry::rdb;  // NOLINT

constexpr int keys_per_file = 20'000;

Bytes small_string() {
  return test::string("value-of-32-bytes-0123456789abcd");
}

Bytes hash_table() {
  Bytes value = test::length(20);
  for (int i = 0; i < 20; ++i) {
    value += test::string(fmt::format("field:{}", i)) + test::string("some value");
  }
  return value;
}

Bytes sorted_set() {
  Bytes value = test::length(20);
  for (int i = 0; i < 20; ++i) {
    value += test::string(fmt::format("member:{}", i)) + test::little_endian(42, 8);
  }
  return value;
}

Bytes quicklist() {
  const Bytes node = test::length(2) + test::string(Bytes(8000, 'x'));
  return test::length(3) + node + node + node;
}

struct Kind {
  int type;
  Bytes value;
};

Kind kind_of(std::int64_t index) {
  switch (index) {
    case 0:
      return {0, small_string()};
    case 1:
      return {0, test::int32(123456)};
    case 2:
      return {0, test::lzf('z', 200)};
    case 3:
      return {16, test::string(Bytes(100, 'l'))};
    case 4:
      return {4, hash_table()};
    case 5:
      return {5, sorted_set()};
    default:
      return {18, quicklist()};
  }
}

const char* const names[] = {"string_32",     "string_int",    "string_lzf",   "listpack_100",
                             "hash_20_pairs", "zset_20_pairs", "quicklist_24k"};

Bytes make_snapshot(std::int64_t index) {
  const Kind kind = kind_of(index);
  const int keys = index == 6 ? 500 : keys_per_file;
  Bytes body = test::raw("\xfe") + test::length(0);
  for (int i = 0; i < keys; ++i) {
    body += test::raw("\xfc") + test::little_endian(4102444800000, 8);
    body += test::record(kind.type, fmt::format("user:{:08}", i), kind.value);
  }
  return test::file(10, body);
}

// Reads the snapshot to its end; encode also appends the command of each key.
template <class OnKey>
std::int64_t read_all(ByteView bytes, OnKey on_key) {
  RdbReader reader;
  std::int64_t keys = 0;
  for (Event event; event.kind != Event::Kind::end;) {
    std::size_t consumed = 0;
    if (reader.next(bytes, event, consumed) != RdbReader::Status::event) std::abort();
    if (event.kind == Event::Kind::key) {
      ++keys;
      on_key(event);
    }
    bytes.remove_prefix(consumed);
  }
  return keys;
}

void report(benchmark::State& state, std::int64_t keys, std::size_t bytes) {
  using benchmark::Counter;
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  const auto all = static_cast<double>(state.iterations() * keys);
  state.counters["keys"] = Counter(all, Counter::kIsRate);
  state.counters["s_per_key"] = Counter(all, Counter::kIsRate | Counter::kInvert);
  state.SetLabel(names[state.range(0)]);
}

void decode(benchmark::State& state) {
  const Bytes bytes = make_snapshot(state.range(0));
  std::int64_t keys = 0;
  for (auto _ : state) {
    keys = read_all(bytes, [](const Event& event) { benchmark::DoNotOptimize(event.value); });
  }
  report(state, keys, bytes.size());
}
BENCHMARK(decode)->DenseRange(0, 6);

void encode(benchmark::State& state, bool use_set) {
  const Bytes bytes = make_snapshot(state.range(0));
  Bytes out;
  std::int64_t keys = 0;
  for (auto _ : state) {
    keys = read_all(bytes, [&](const Event& event) {
      if (out.size() > 65536) out.clear();
      append_restore(out, event, {Family::redis, 10}, {}, use_set);
    });
  }
  report(state, keys, bytes.size());
}
BENCHMARK_CAPTURE(encode, decode_and_set, true)->DenseRange(0, 1);
BENCHMARK_CAPTURE(encode, decode_and_restore, false)->DenseRange(0, 6);

// --- inspect: every element decoded

Bytes long_string() {
  return test::string(Bytes(1000, 's'));
}

// Ten fields: short texts, and a number each.
Bytes hash_listpack() {
  std::vector<Bytes> entries;
  for (int i = 0; i < 10; ++i) {
    entries.push_back(test::lp_text(fmt::format("field:{}", i)));
    entries.push_back(i % 2 == 0 ? test::lp_text("some value of a field")
                                 : test::lp_number(i * 1000));
  }
  return test::string(test::listpack(entries));
}

Bytes zset_listpack() {
  std::vector<Bytes> entries;
  for (int i = 0; i < 50; ++i) {
    entries.push_back(test::lp_text(fmt::format("member:{:06}", i)));
    entries.push_back(test::lp_number(i * 17));
  }
  return test::string(test::listpack(entries));
}

// Nodes of 8 KiB, as list-max-listpack-size -2 makes them.
Bytes list_of_listpacks() {
  std::vector<Bytes> entries;
  for (int i = 0; i < 300; ++i)
    entries.push_back(test::lp_text("an element of 25 bytes..."));
  const Bytes node = test::length(2) + test::string(test::listpack(entries));
  return test::length(3) + node + node + node;
}

Bytes stream_nodes() {
  std::vector<Bytes> entries = {test::lp_number(100),   test::lp_number(0),
                                test::lp_number(2),     test::lp_text("sensor"),
                                test::lp_text("value"), test::lp_number(0)};
  for (int i = 0; i < 100; ++i) {
    for (const std::int64_t number : {2, i, 0})
      entries.push_back(test::lp_number(number));
    entries.push_back(test::lp_text("kitchen-north"));
    entries.push_back(test::lp_number(20 + i));
    entries.push_back(test::lp_number(5));
  }
  const Bytes node = test::stream_node(1700000000000, 0, entries);
  return test::length(2) + node + node + test::length(200) + test::length(1) + test::length(0) +
         test::length(0);
}

Kind inspect_kind(std::int64_t index) {
  switch (index) {
    case 0:
      return {0, small_string()};
    case 1:
      return {0, long_string()};
    case 2:
      return {16, hash_listpack()};
    case 3:
      return {17, zset_listpack()};
    case 4:
      return {18, list_of_listpacks()};
    case 5:
      return {4, hash_table()};
    default:
      return {15, stream_nodes()};
  }
}

const char* const inspect_names[] = {"string_32",        "string_1000",   "hash_listpack_10",
                                     "zset_listpack_50", "quicklist_24k", "hash_20_pairs",
                                     "stream_200"};

// What `keyferry inspect` does with a file, without reading it.
void inspect(benchmark::State& state) {
  const Kind kind = inspect_kind(state.range(0));
  const std::size_t keys = std::size_t{16'000'000} / (kind.value.size() + 16);
  Bytes body;
  for (std::size_t i = 0; i < keys; ++i)
    body += test::record(kind.type, fmt::format("user:{:08}", i), kind.value);
  const Bytes bytes = test::file(10, body);
  std::FILE* const nowhere = std::fopen("/dev/null", "w");
  for (auto _ : state) {
    Inspection inspection(Inspection::Form::summary, nowhere);
    if (inspection.take(bytes) != bytes.size() || inspection.finish(0)) std::abort();
  }
  std::fclose(nowhere);
  using benchmark::Counter;
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
  state.counters["s_per_key"] =
      Counter(static_cast<double>(state.iterations()) * static_cast<double>(keys),
              Counter::kIsRate | Counter::kInvert);
  state.SetLabel(inspect_names[state.range(0)]);
}
BENCHMARK(inspect)->DenseRange(0, 6);

void checksum(benchmark::State& state) {
  const Bytes bytes(static_cast<std::size_t>(state.range(0)), 'c');
  std::uint64_t crc = 0;
  for (auto _ : state)
    crc = crc64(crc, bytes);
  benchmark::DoNotOptimize(crc);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum)->Arg(16)->Arg(60)->Arg(1000)->Arg(65536);

}  // namespace
