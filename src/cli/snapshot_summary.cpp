#include "keyferry/cli/snapshot_summary.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace keyferry {
namespace {

constexpr auto is_bigger = [](const auto& a, const auto& b) {
  return a.facts.bytes > b.facts.bytes;
};

std::string count_line(const char* what, std::uint64_t count) {
  return count == 0 ? std::string() : fmt::format("{}: {}\n", what, count);
}

}  // namespace

void SnapshotSummary::Row::add(const KeyFacts& key) {
  ++keys;
  if (key.has_expiry) ++with_expiry;
  elements += key.elements;
  bytes += key.bytes;
}

void SnapshotSummary::add_key(const KeyFacts& key) {
  if (current_ == nullptr || key.db != current_db_) {
    current_db_ = key.db;
    current_ = &databases_[key.db];
  }
  (*current_)[static_cast<std::size_t>(key.data)].add(key);
  const Encoding encoding{key.type, key.encoding};
  if (encoding != last_encoding_) {
    last_encoding_ = encoding;
    last_encoding_row_ = &encodings_[encoding];
  }
  last_encoding_row_->add(key);
  keep_if_big(key);
}

void SnapshotSummary::keep_if_big(const KeyFacts& key) {
  if (biggest_.size() == biggest_count) {
    if (key.bytes <= biggest_.front().facts.bytes) return;
    std::pop_heap(biggest_.begin(), biggest_.end(), is_bigger);
    biggest_.pop_back();
  }
  biggest_.push_back({key, std::string(key.key)});
  std::push_heap(biggest_.begin(), biggest_.end(), is_bigger);
}

std::string SnapshotSummary::head(const rdb::RdbReader& reader, std::uint64_t surplus) const {
  const rdb::Dialect dialect = reader.dialect();
  std::string out = fmt::format("{} RDB version {}, {} bytes, checksum {}\n",
                                dialect.family == rdb::Family::valkey ? "Valkey" : "Redis",
                                dialect.version, reader.offset(), checksum_);
  for (const auto& [name, text] : aux_)
    out += fmt::format("  {} = {}\n", escaped(name), escaped(text));
  out += count_line("function libraries", functions_);
  out += count_line("hash templates", reader.templates().size());
  out += count_line("module data outside of keys", reader.module_aux_skipped());
  out += count_line("keys with module metadata", reader.keys_with_meta());
  out += count_line("slot imports under way", reader.slot_imports());
  out += count_line("keys without elements, skipped", reader.empty_keys_skipped());
  out += count_line("bytes behind the snapshot", surplus);
  return out;
}

std::string SnapshotSummary::text(const rdb::RdbReader& reader, std::uint64_t surplus) const {
  std::string out = head(reader, surplus);
  constexpr const char* line = "{:>5}  {:<28} {:>12} {:>12} {:>14} {:>16}\n";
  out += '\n';
  out += fmt::format(line, "db", "type", "keys", "with expiry", "elements", "bytes");
  Row sum;
  for (const auto& [db, types] : databases_) {
    for (std::size_t i = 0; i < types.size(); ++i) {
      const Row& row = types.at(i);
      if (row.keys == 0) continue;
      out += fmt::format(line, db, rdb::data_type_name(static_cast<rdb::DataType>(i)), row.keys,
                         row.with_expiry, row.elements, row.bytes);
      sum.keys += row.keys;
      sum.with_expiry += row.with_expiry;
      sum.elements += row.elements;
      sum.bytes += row.bytes;
    }
  }
  out += fmt::format(line, "all", "", sum.keys, sum.with_expiry, sum.elements, sum.bytes);
  out += '\n';
  out += fmt::format(line, "type", "encoding", "keys", "with expiry", "elements", "bytes");
  for (const auto& [which, row] : encodings_) {
    const std::string name = fmt::format(
        "{} {}", rdb::data_type_name(rdb::value_type(which.first, reader.dialect()).data),
        which.second);
    out += fmt::format(line, which.first, name, row.keys, row.with_expiry, row.elements, row.bytes);
  }
  std::vector<BigKey> biggest = biggest_;
  std::sort(biggest.begin(), biggest.end(), is_bigger);
  if (!biggest.empty()) out += "\nbiggest keys\n";
  for (const auto& [key, name] : biggest) {
    out += fmt::format("{:>5}  {:<28} {:>12} bytes {:>12} elements  \"{}\"\n", key.db,
                       fmt::format("{} {}", rdb::data_type_name(key.data), key.encoding), key.bytes,
                       key.elements, escaped(name));
  }
  return out;
}

}  // namespace keyferry
