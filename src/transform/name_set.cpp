#include "name_set.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <re2/re2.h>

#include "keyferry/command/keys.hpp"

namespace keyferry {
namespace {

std::uint64_t head_of(ByteView text) {
  std::uint64_t head = 0;
  const std::size_t n = std::min<std::size_t>(text.size(), 8);
  for (std::size_t i = 0; i < n; ++i)
    head |= static_cast<std::uint64_t>(static_cast<unsigned char>(text[i])) << (56 - 8 * i);
  return head;
}

Bytes backwards(ByteView text) {
  return {text.rbegin(), text.rend()};
}

// Keys are bytes, not text.
RE2::Options byte_options() {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_dot_nl(true);
  options.set_log_errors(false);
  return options;
}

void append_literal(std::string& out, char c) {
  out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
}

// A bracket expression that starts behind '['; returns where it ends. An unclosed one reaches to
// the end, and a range may be written backwards, as in Redis.
std::size_t append_bracket(std::string& out, ByteView glob, std::size_t at) {
  const bool negated = at < glob.size() && glob[at] == '^';
  if (negated) ++at;
  std::string items;
  for (; at < glob.size() && glob[at] != ']'; ++at) {
    if (glob[at] == '\\' && at + 1 < glob.size()) {
      append_literal(items, glob[++at]);
    } else if (at + 2 < glob.size() && glob[at + 1] == '-') {
      const auto [low, high] = std::minmax(
          {static_cast<unsigned char>(glob[at]), static_cast<unsigned char>(glob[at + 2])});
      append_literal(items, static_cast<char>(low));
      items += '-';
      append_literal(items, static_cast<char>(high));
      at += 2;
    } else {
      append_literal(items, glob[at]);
    }
  }
  if (items.empty()) {
    out += negated ? "." : "[^\\x00-\\xff]";
  } else {
    out += (negated ? "[^" : "[") + items + "]";
  }
  return at;
}

}  // namespace

PrefixSet::PrefixSet(std::vector<Bytes> prefixes) {
  std::sort(prefixes.begin(), prefixes.end());
  for (Bytes& prefix : prefixes) {
    if (!prefixes_.empty() && prefix.starts_with(prefixes_.back())) continue;
    heads_.push_back(head_of(prefix));
    prefixes_.push_back(std::move(prefix));
  }
}

bool PrefixSet::matches(ByteView text) const {
  auto at = static_cast<std::size_t>(std::upper_bound(heads_.begin(), heads_.end(), head_of(text)) -
                                     heads_.begin());
  // Heads that are equal tell nothing about longer prefixes.
  while (at > 0) {
    --at;
    if (text.starts_with(prefixes_[at])) return true;
    if (prefixes_[at] <= text) return false;
  }
  return false;
}

NameSet::NameSet() = default;
NameSet::~NameSet() = default;
NameSet::NameSet(NameSet&&) noexcept = default;
NameSet& NameSet::operator=(NameSet&&) noexcept = default;

NameSet NameSet::compile(const FilterRules& rules, const std::string& group,
                         std::vector<std::string>& problems) {
  NameSet set;
  set.exact_.insert(rules.keys.begin(), rules.keys.end());
  set.prefixes_ = PrefixSet(rules.prefixes);
  std::vector<Bytes> reversed;
  for (const std::string& suffix : rules.suffixes)
    reversed.push_back(backwards(suffix));
  set.suffixes_ = PrefixSet(std::move(reversed));

  std::string all;
  const auto add = [&all](const std::string& pattern) {
    all += (all.empty() ? "(?:" : "|(?:") + pattern + ")";
  };
  for (const std::string& glob : rules.globs)
    add("\\A" + regex_of_glob(glob) + "\\z");
  for (const std::string& regex : rules.regexes) {
    const RE2 one(regex, byte_options());
    if (one.ok()) {
      add(regex);
    } else {
      problems.push_back(
          fmt::format("{}.regexes: '{}': {}", group, escaped(regex, 80), one.error()));
    }
  }
  if (!all.empty()) {
    set.patterns_ = std::make_unique<RE2>(all, byte_options());
    if (!set.patterns_->ok())
      problems.push_back(fmt::format("{}: the patterns together are too large: {}", group,
                                     set.patterns_->error()));
  }
  if (!rules.slots.empty()) set.slots_ = std::make_unique<std::bitset<slot_count>>();
  for (const std::string& text : rules.slots) {
    const SlotRange range = parse_slot_range(text).value_or(SlotRange());
    for (std::size_t slot = range.first; slot <= range.last; ++slot)
      set.slots_->set(slot);
  }
  set.is_empty_ = set.exact_.empty() && set.prefixes_.empty() && set.suffixes_.empty() &&
                  !set.patterns_ && !set.slots_;
  return set;
}

bool NameSet::matches(ByteView key) const {
  if (!prefixes_.empty() && prefixes_.matches(key)) return true;
  if (!exact_.empty() && exact_.contains(key)) return true;
  return matches_rest(key);
}

bool NameSet::matches_rest(ByteView key) const {
  if (!suffixes_.empty() && suffixes_.matches(backwards(key))) return true;
  if (slots_ && slots_->test(slot_of(key))) return true;
  return patterns_ && RE2::PartialMatch(re2::StringPiece(key.data(), key.size()), *patterns_);
}

std::string regex_of_glob(ByteView glob) {
  std::string out;
  for (std::size_t at = 0; at < glob.size(); ++at) {
    switch (glob[at]) {
      case '*':
        out += ".*";
        break;
      case '?':
        out += '.';
        break;
      case '[':
        at = append_bracket(out, glob, at + 1);
        break;
      case '\\':
        if (at + 1 < glob.size()) ++at;
        [[fallthrough]];
      default:
        append_literal(out, glob[at]);
    }
  }
  return out;
}

}  // namespace keyferry
