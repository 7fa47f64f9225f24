// Values of 2 GiB through keyferry inspect: its memory must not grow with them. They are written
// into a pipe while they are read, so nothing lies on disk.

#include <cstdio>
#include <functional>
#include <thread>

#include <sys/stat.h>

#include "e2e/link.hpp"
#include "rdb/packed_builder.hpp"

namespace keyferry::test {
namespace {

using rdb::test::big_endian;
using rdb::test::length;
using rdb::test::lp_number;
using rdb::test::lp_text;
using rdb::test::raw;
using rdb::test::string;

constexpr std::uint64_t huge = std::uint64_t{2} << 30;
constexpr std::int64_t allowed_kib = 64 * 1024;

struct Huge {
  const char* name;
  int type;
  Bytes unit;              // repeated until `huge` bytes are reached
  Bytes behind;            // the units
  bool is_one = false;     // the units are one string, not counted elements
  bool counts_up = false;  // each unit begins with a length byte, then its number in eight
};

Bytes list_node() {
  const std::vector<Bytes> entries(300, lp_text("an element of 25 bytes..."));
  return length(2) + string(rdb::test::listpack(entries));
}

Bytes stream_node() {
  std::vector<Bytes> entries = {lp_number(100), lp_number(0), lp_number(1), lp_text("f"),
                                lp_number(0)};
  for (int i = 0; i < 100; ++i) {
    for (const Bytes& entry :
         {lp_number(2), lp_number(i), lp_number(0), lp_text("some value"), lp_number(4)})
      entries.push_back(entry);
  }
  return rdb::test::stream_node(1, 0, entries);
}

std::vector<Huge> huge_values() {
  const Bytes member = string("a member of 20 bytes");
  return {
      {"zset", 5, member + rdb::test::little_endian(0x3ff8000000000000, 8), ""},
      {"hash", 4, string("field") + member, ""},
      {"set", 2, member, ""},
      {"list", 18, list_node(), ""},
      {"stream", 15, stream_node(), length(1) + length(1) + length(0) + length(0), false, true},
      {"string", 0, Bytes(1 << 20, 'x'), "", true},
  };
}

void write_units(std::FILE* out, const Bytes& unit, std::uint64_t count, bool counts_up = false) {
  Bytes block;
  const std::uint64_t per_block = 1 + (1 << 20) / unit.size();
  for (std::uint64_t i = 0; i < per_block; ++i)
    block += unit;
  for (std::uint64_t first = 0; first < count; first += per_block) {
    const std::uint64_t here = std::min(per_block, count - first);
    for (std::uint64_t i = 0; counts_up && i < here; ++i)
      block.replace(i * unit.size() + 1, 8, rdb::test::big_endian(1 + first + i, 8));
    std::fwrite(block.data(), 1, unit.size() * here, out);
  }
}

void write_huge(const std::string& fifo, const Huge& value) {
  std::FILE* const out = std::fopen(fifo.c_str(), "w");
  const std::uint64_t limit = value.is_one ? huge / 4 : huge;
  const std::uint64_t units = limit / value.unit.size();
  const Bytes head = "REDIS0010" + Bytes(1, static_cast<char>(value.type)) + string("k") +
                     length(value.is_one ? limit : units);
  std::fwrite(head.data(), 1, head.size(), out);
  write_units(out, value.unit, units, value.counts_up);
  const Bytes tail = value.behind + raw("\xff") + Bytes(8, '\0');
  std::fwrite(tail.data(), 1, tail.size(), out);
  std::fclose(out);
}

// 512 MiB of one letter: copies of 264 bytes.
void write_compressed(const std::string& fifo) {
  constexpr std::uint64_t copies = (huge / 4) / 264;
  std::FILE* const out = std::fopen(fifo.c_str(), "w");
  const Bytes head = "REDIS0010" + raw("\x00") + string("k") + raw("\xc3") +
                     length(2 + 3 * copies) + length(1 + 264 * copies) + raw("\x00") + "z";
  std::fwrite(head.data(), 1, head.size(), out);
  write_units(out, raw("\xe0\xff\x00"), copies);
  const Bytes tail = raw("\xff") + Bytes(8, '\0');
  std::fwrite(tail.data(), 1, tail.size(), out);
  std::fclose(out);
}

void expect_little_memory(const char* name, const std::function<void(const std::string&)>& write) {
  TempDir folder;
  const std::string fifo = folder.file("snapshot");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  Keyferry program(KEYFERRY_BINARY);
  program.start({"inspect", fifo});

  std::thread writer([&] { write(fifo); });
  const auto code = program.wait_exit(Millis{300'000});
  writer.join();

  EXPECT_EQ(code.value_or(-1), 0) << program.output();
  const ProcessUsage usage = program.usage();
  std::printf("%s: peak RSS %.1f MiB, CPU %.1f s\n", name,
              static_cast<double>(usage.peak_rss_kib) / 1024, usage.cpu_s);
  EXPECT_LT(usage.peak_rss_kib, allowed_kib) << name;
}

TEST(InspectLong, HoldsNoHugeValueWhole) {
  for (const Huge& value : huge_values()) {
    expect_little_memory(value.name, [&](const std::string& fifo) { write_huge(fifo, value); });
  }
}

TEST(InspectLong, DecompressesAHugeStringInParts) {
  expect_little_memory("compressed string", write_compressed);
}

}  // namespace
}  // namespace keyferry::test
