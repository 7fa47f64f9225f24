// One value of 2 GiB of each kind (BIG_VALUE_MB says another size) through a link whose
// memory budget is 64 MiB: peak resident size printed, and within the budget plus 64 MiB. The
// snapshot comes from a scripted master, the target swallows it: no server must hold such a value.
#include <cstdlib>

#include "e2e/link.hpp"
#include "rdb/packed_builder.hpp"
#include "support/fake_master.hpp"
#include "support/swallowing_target.hpp"

namespace keyferry::test {
namespace {

namespace rdb_test = keyferry::rdb::test;

constexpr std::uint64_t mebibyte = 1024 * 1024;
constexpr std::int64_t budget_mib = 64;

struct BigValue {
  const char* name;
  int type;
  std::uint64_t most_mib;  // strings end at 512 MiB
  // What stands between the key and the pieces, for so many pieces.
  std::string (*head)(std::uint64_t pieces);
  std::string (*piece)(std::uint64_t index);
  std::string tail;  // behind the pieces
  std::uint64_t decoded_per_piece;
};

std::string text(std::uint64_t index, std::size_t size) {
  std::string out = std::to_string(1000000000 + index);
  out.resize(size, static_cast<char>('a' + index % 26));
  return out;
}

// Always the five-byte form, so that all pieces have one size.
std::string wide_length(std::uint64_t value) {
  return rdb_test::raw("\x81") + rdb_test::big_endian(value, 8);
}

std::string one_element(std::uint64_t index) {
  return rdb_test::string(text(index, 1000));
}

std::string stream_piece(std::uint64_t index) {
  using rdb_test::lp_number;
  using rdb_test::lp_text;
  std::vector<Bytes> entries = {lp_number(2), lp_number(0), lp_number(1), lp_text("f"),
                                lp_number(0)};
  for (int i = 0; i < 2; ++i) {
    for (const auto& part :
         {lp_number(2), lp_number(0), lp_number(i), lp_text(text(index, 3000)), lp_number(4)})
      entries.push_back(part);
  }
  return rdb_test::stream_node(1000 + index, 1, entries);
}

// Length, last id, first id, largest deleted id, entries added, groups.
std::string stream_tail() {
  std::string out;
  for (int i = 0; i < 9; ++i)
    out += rdb_test::length(i == 1 ? 4000000000U : 0);
  return out;
}

const BigValue values[] = {
    {"String", 0, 512, [](std::uint64_t n) { return wide_length(n * 1000); },
     [](std::uint64_t i) { return text(i, 1000); }, "", 1000},
    // One byte, then copies of the byte before: three bytes for 264.
    {"CompressedString", 0, 512,
     [](std::uint64_t n) {
       return rdb_test::raw("\xc3") + wide_length(n * 3 + 2) + wide_length(n * 264 + 1) +
              rdb_test::raw("\x00z");
     },
     [](std::uint64_t) { return rdb_test::raw("\xe0\xff\x00"); }, "", 264},
    {"List", 1, 1 << 20, [](std::uint64_t n) { return wide_length(n); }, one_element, "", 1000},
    {"PackedList", 18, 1 << 20, [](std::uint64_t n) { return wide_length(n); },
     [](std::uint64_t i) {
       return rdb_test::length(2) +
              rdb_test::string(rdb_test::listpack(
                  {rdb_test::lp_text(text(i, 4000)), rdb_test::lp_text(text(i, 4000))}));
     },
     "", 8000},
    {"Set", 2, 1 << 20, [](std::uint64_t n) { return wide_length(n); }, one_element, "", 1000},
    {"SortedSet", 5, 1 << 20, [](std::uint64_t n) { return wide_length(n); },
     [](std::uint64_t i) { return rdb_test::string(text(i, 100)) + std::string(8, '\x40'); }, "",
     100},
    {"Hash", 4, 1 << 20, [](std::uint64_t n) { return wide_length(n); },
     [](std::uint64_t i) { return rdb_test::string(text(i, 30)) + one_element(i); }, "", 1030},
    {"Stream", 19, 1 << 20, [](std::uint64_t n) { return wide_length(n); }, stream_piece,
     stream_tail(), 6000},
};

void PrintTo(const BigValue& value, std::ostream* out) {
  *out << value.name;
}

class BigValues : public testing::TestWithParam<BigValue> {};

TEST_P(BigValues, PassThroughASmallMemory) {
  const BigValue& value = GetParam();
  const char* wanted = std::getenv("BIG_VALUE_MB");
  const std::uint64_t mib =
      std::min<std::uint64_t>(value.most_mib, wanted != nullptr ? std::stoull(wanted) : 2048);
  FakeMasterOptions options;
  options.piece = value.piece;
  options.pieces = mib * mebibyte / value.decoded_per_piece;
  options.tail = value.tail + rdb_test::raw("\xff") + std::string(8, '\0');
  const std::string head = rdb_test::magic(10) + std::string(1, static_cast<char>(value.type)) +
                           rdb_test::string("big") + value.head(options.pieces);
  SwallowingTarget target;
  FakeMaster source(head, "", options);
  Keyferry link(KEYFERRY_BINARY);

  const auto began = std::chrono::steady_clock::now();
  link.run(source.uri(), target.uri(),
           {"--stop-when", "snapshot", "--set", "snapshot.restore_max_bytes=1MiB", "--set",
            "delivery.mode=at_least_once", "--set",
            "limits.memory_max_bytes=" + std::to_string(budget_mib) + "MiB"});
  ASSERT_EQ(link.wait_exit(Millis{900000}), 0) << link.output();
  const auto taken = std::chrono::steady_clock::now() - began;

  const std::int64_t peak_mib = link.usage().peak_rss_kib / 1024;
  std::printf("%s of %llu MiB: peak RSS %lld MiB, longest argument %llu bytes, %.1f s\n",
              value.name, static_cast<unsigned long long>(mib), static_cast<long long>(peak_mib),
              static_cast<unsigned long long>(target.longest_bytes()),
              std::chrono::duration<double>(taken).count());
  EXPECT_GE(target.payload_bytes(), options.pieces * value.decoded_per_piece);
  EXPECT_LT(peak_mib, budget_mib + 64);
}

INSTANTIATE_TEST_SUITE_P(OfEachKind, BigValues, testing::ValuesIn(values),
                         [](const auto& chosen) { return std::string(chosen.param.name); });

}  // namespace
}  // namespace keyferry::test
