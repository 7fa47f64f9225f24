// A set of keys described by names, prefixes, suffixes, patterns and slots, compiled so that asking
// costs little however many there are. Hides RE2. Internal to transform.
#pragma once

#include <bitset>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "keyferry/command/batch.hpp"
#include "keyferry/config/rules.hpp"

namespace re2 {
class RE2;
}

namespace keyferry {

// Prefixes none of which begins another: then at most one can fit a text, the greatest that does
// not come behind it.
class PrefixSet {
 public:
  PrefixSet() = default;
  explicit PrefixSet(std::vector<Bytes> prefixes);

  bool empty() const { return prefixes_.empty(); }
  bool matches(ByteView text) const;

 private:
  std::vector<std::uint64_t> heads_;  // first eight bytes of each, as a number that sorts alike
  std::vector<Bytes> prefixes_;
};

class NameSet {
 public:
  NameSet();
  ~NameSet();
  NameSet(NameSet&&) noexcept;
  NameSet& operator=(NameSet&&) noexcept;

  // `group`: "filter.allow", for the lines that go to `problems`.
  static NameSet compile(const FilterRules& rules, const std::string& group,
                         std::vector<std::string>& problems);

  bool empty() const { return is_empty_; }
  bool matches(ByteView key) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(ByteView name) const { return std::hash<ByteView>{}(name); }
  };
  bool matches_rest(ByteView key) const;

  std::unordered_set<Bytes, Hash, std::equal_to<>> exact_;
  PrefixSet prefixes_;
  PrefixSet suffixes_;                  // written backwards
  std::unique_ptr<re2::RE2> patterns_;  // globs and expressions in one
  std::unique_ptr<std::bitset<slot_count>> slots_;
  bool is_empty_ = true;
};

// A glob as Redis reads it (util.c stringmatchlen: * ? [a-z] [^a] and \ before any of them) as a
// regular expression over bytes.
std::string regex_of_glob(ByteView glob);

}  // namespace keyferry
