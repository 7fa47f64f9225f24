// Files of real servers against what those servers said about their content
// (test/data/rdb/README.md).
#include <algorithm>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "decode.hpp"
#include "support/split.hpp"

namespace keyferry::rdb {
namespace {

using test::decode;
using test::Reading;

// What TYPE answers for a value of each RDB type.
std::string type_name(std::uint8_t type) {
  switch (type) {
    case 0:
      return "string";
    case 1:
    case 10:
    case 14:
    case 18:
      return "list";
    case 2:
    case 11:
    case 20:
      return "set";
    case 3:
    case 5:
    case 12:
    case 17:
      return "zset";
    case 4:
    case 9:
    case 13:
    case 16:
      return "hash";
    case 7:
      return "module";
    case 15:
    case 19:
    case 21:
      return "stream";
    default:
      return "?";
  }
}

// Collects the facts that the .txt files hold.
class Facts {
 public:
  void add(const Event& event) {
    if (event.kind == Event::Kind::key) {
      ++types_[event.type];
      lines_.push_back(fmt::format("key {} {} {} {} \"{}\"", event.db, type_name(event.type),
                                   test::or_dash(event.expire_ms), test::rank_text(event),
                                   escaped(event.key, 10'000)));
    }
    if (event.kind == Event::Kind::function) ++functions_;
    if (event.kind == Event::Kind::end) {
      lines_.push_back(event.checksum_disabled ? "checksum off" : "checksum right");
    }
  }

  std::vector<std::string> sorted(const RdbReader& reader) {
    for (const auto& [type, count] : types_) {
      lines_.push_back(fmt::format("type {} x{}", type, count));
    }
    if (functions_ > 0) lines_.push_back(fmt::format("functions x{}", functions_));
    if (reader.module_aux_skipped() > 0) {
      lines_.push_back(fmt::format("module_aux x{}", reader.module_aux_skipped()));
    }
    lines_.push_back(fmt::format("version {}", reader.dialect().version));
    std::sort(lines_.begin(), lines_.end());
    return lines_;
  }

 private:
  std::vector<std::string> lines_;
  std::map<int, int> types_;
  int functions_ = 0;
};

std::vector<std::string> expected_facts(const std::string& name) {
  std::istringstream text(test::read_data(name + ".txt"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);)
    lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

class GoldenRdb : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenRdb, SaysWhatTheServerSaid) {
  const Bytes bytes = test::read_data(std::string(GetParam()) + ".rdb");
  const std::vector<ByteView> pieces{bytes};
  RdbReader reader;
  Facts facts;

  const Reading reading =
      decode<test::SharedBuffer>(pieces, reader, [&](const Event& event) { facts.add(event); });

  EXPECT_TRUE(reading.ended()) << reading.error;
  EXPECT_EQ(reading.consumed, bytes.size());
  EXPECT_EQ(facts.sorted(reader), expected_facts(GetParam()));
}

TEST_P(GoldenRdb, ReadsTheSameWhateverTheSplit) {
  const Bytes bytes = test::read_data(std::string(GetParam()) + ".rdb");
  const std::vector<ByteView> whole{bytes};
  const std::vector<std::string> lines = decode<test::SharedBuffer>(whole).lines;
  const bool is_small = bytes.size() < 1000;

  if (is_small) {
    keyferry::test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
      EXPECT_EQ(decode(pieces).lines, lines);
    });
    return;
  }
  for (const std::size_t size : {1U, 2U, 3U, 7U, 64U, 1000U, 16384U, 65536U}) {
    std::vector<ByteView> pieces;
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      pieces.push_back(ByteView(bytes).substr(at, size));
    }
    EXPECT_EQ(decode<test::SharedBuffer>(pieces).lines, lines) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenRdb,
                         ::testing::Values("full_v9", "full_v10", "full_v11", "empty_v10",
                                           "expired_key_v10", "list_plain_nodes_v10", "lru_v9",
                                           "lfu_v9", "nochecksum_v9", "module_tairstring_v9",
                                           "module_testrdb_v11", "module_aux_v11",
                                           "functions_only_v11", "cluster_v11"),
                         [](const auto& param) { return std::string(param.param); });

// One file for each type, encoding and the first version that has it. The .txt holds the keys and
// what the server said about their elements; of streams entries and groups.
class GoldenValue : public ::testing::TestWithParam<const char*> {};

bool is_expected(const std::string& line, bool has_owners) {
  for (const char* other : {"stream ", "pending ", "consumer ", "remembered "})
    if (line.starts_with(other)) return false;
  return has_owners || !(line.starts_with("owned ") || line.starts_with("nacked "));
}

TEST_P(GoldenValue, HasTheElementsThatTheServerNamed) {
  const Bytes bytes = test::read_data(std::string(GetParam()) + ".rdb");
  const std::vector<ByteView> pieces{bytes};
  const std::vector<std::string> expected = expected_facts(GetParam());
  const bool has_owners = std::any_of(expected.begin(), expected.end(),
                                      [](const auto& line) { return line.starts_with("owned "); });
  std::vector<std::string> facts;
  RdbReader reader(0);

  const Reading reading = decode<test::SharedBuffer>(pieces, reader, [&](const Event& event) {
    if (event.kind == Event::Kind::big_key) {
      facts.push_back(fmt::format("key {} \"{}\"", event.type, escaped(event.key, 1000)));
    }
    if (event.kind != Event::Kind::element) return;
    const std::string line = test::line_of(*event.element);
    if (is_expected(line, has_owners)) facts.push_back(line);
  });

  EXPECT_TRUE(reading.ended()) << reading.error;
  EXPECT_EQ(reading.consumed, bytes.size());
  std::sort(facts.begin(), facts.end());
  EXPECT_EQ(facts, expected);
}

TEST_P(GoldenValue, ReadsTheSameWhateverTheSplit) {
  const Bytes bytes = test::read_data(std::string(GetParam()) + ".rdb");
  if (bytes.size() > 1000) return;  // the larger ones are cut in the corpus and fuzz tests
  const std::vector<ByteView> whole{bytes};
  const std::vector<std::string> lines =
      test::decode_with_limit<test::SharedBuffer>(whole, 0).lines;

  keyferry::test::for_each_split(bytes, [&](const std::vector<ByteView>& pieces) {
    EXPECT_EQ(test::decode_with_limit(pieces, 0).lines, lines);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Files, GoldenValue,
    ::testing::Values("array_sparse_v14", "array_v14", "hash_2_v80_valkey",
                      "hash_listpack_ex_pre_ga_v12", "hash_listpack_ex_v13", "hash_listpack_v10",
                      "hash_metadata_pre_ga_v12", "hash_metadata_v13",
                      "hash_template_array_ref_v15", "hash_template_array_v15",
                      "hash_template_listpack_ref_v15", "hash_template_listpack_v15", "hash_v6",
                      "hash_ziplist_v6", "hash_zipmap_v2", "list_quicklist_2_v10",
                      "list_quicklist_v7", "list_v6", "list_ziplist_v6", "set_intset_v6",
                      "set_listpack_v11", "set_v6", "stream_listpacks_2_v10",
                      "stream_listpacks_3_v11", "stream_listpacks_4_v13", "stream_listpacks_5_v14",
                      "stream_listpacks_v9", "string_v6", "zset_2_v8", "zset_listpack_v10",
                      "zset_v6", "zset_ziplist_v6"),
    [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace keyferry::rdb
