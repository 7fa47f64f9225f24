// One pass over the keys of a source node: which database and cursor comes next, and how far it is.
// Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

class ScanPass {
 public:
  struct Database {
    std::int32_t db = 0;
    std::uint64_t keys = 0;  // when the pass begins: a hint
  };

  ScanPass() = default;  // nothing to do
  // `type`: only keys of it ("stream"); "" = all.
  explicit ScanPass(std::vector<Database> databases, std::string type = "")
      : databases_(std::move(databases)), type_(std::move(type)) {
    for (const Database& one : databases_)
      total_ += one.keys;
  }

  bool is_over() const { return at_ == databases_.size(); }
  // Of the next SCAN; only while not over.
  std::int32_t db() const { return databases_[at_].db; }
  const Bytes& cursor() const { return cursor_; }
  const std::string& type() const { return type_; }
  void on_page(ByteView next_cursor, std::uint64_t keys) {
    found_ += keys;
    cursor_.assign(next_cursor);
    if (next_cursor == "0") ++at_;
  }

  std::uint64_t found() const { return found_; }
  std::uint64_t total() const { return total_; }
  double percent() const {
    if (is_over()) return 100;
    if (total_ == 0) return 0;
    const double part = static_cast<double>(found_) / static_cast<double>(total_);
    return std::min(99.9, 100 * part);
  }

 private:
  std::vector<Database> databases_;
  std::string type_;
  std::size_t at_ = 0;
  Bytes cursor_ = "0";
  std::uint64_t found_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace keyferry
