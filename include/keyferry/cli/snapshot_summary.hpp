// What `keyferry inspect` says about a snapshot as a whole: keys, bytes and expiries by database
// and type, encodings, the biggest keys, what stands in front of the data. Pure; text comes out.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "keyferry/rdb/rdb_reader.hpp"

namespace keyferry {

// One key, once its value was read.
struct KeyFacts {
  ByteView key;
  std::int32_t db = 0;
  std::uint8_t type = 0;
  rdb::DataType data = rdb::DataType::string;
  const char* encoding = "";
  bool has_expiry = false;
  std::uint64_t bytes = 0;  // of the value in the snapshot
  std::uint64_t elements = 0;
};

class SnapshotSummary {
 public:
  void add_aux(ByteView name, ByteView text) { aux_.emplace_back(name, text); }
  void add_function() { ++functions_; }
  void add_key(const KeyFacts& key);
  void end(bool checksum_disabled) { checksum_ = checksum_disabled ? "not computed" : "right"; }

  // The whole report. `reader` has read the snapshot.
  std::string text(const rdb::RdbReader& reader, std::uint64_t surplus) const;

 private:
  static constexpr std::size_t biggest_count = 10;
  struct Row {
    std::uint64_t keys = 0;
    std::uint64_t with_expiry = 0;
    std::uint64_t elements = 0;
    std::uint64_t bytes = 0;
    void add(const KeyFacts& key);
  };
  using Types = std::array<Row, 8>;
  void keep_if_big(const KeyFacts& key);
  std::string head(const rdb::RdbReader& reader, std::uint64_t surplus) const;

  std::vector<std::pair<std::string, std::string>> aux_;
  std::uint64_t functions_ = 0;
  std::map<std::int32_t, Types> databases_;
  std::int32_t current_db_ = -1;
  Types* current_ = nullptr;
  // By type and encoding (a literal of the type table, or one of the string encodings).
  using Encoding = std::pair<std::uint8_t, const char*>;
  std::map<Encoding, Row> encodings_;
  Encoding last_encoding_{0xff, nullptr};
  Row* last_encoding_row_ = nullptr;
  struct BigKey {
    KeyFacts facts;
    std::string key;
  };
  std::vector<BigKey> biggest_;  // a heap, the smallest in front
  const char* checksum_ = "not reached";
};

}  // namespace keyferry
