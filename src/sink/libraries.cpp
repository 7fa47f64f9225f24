#include "keyferry/sink/libraries.hpp"

#include <algorithm>
#include <utility>

#include "keyferry/base/checksum.hpp"

namespace keyferry {
namespace {

bool is_word(ByteView arg, ByteView upper) {
  return std::equal(arg.begin(), arg.end(), upper.begin(), upper.end(),
                    [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 32 : a) == b; });
}

}  // namespace

// The first line of a library (Redis 7.0 functions.c functionExtractLibMetaData).
ByteView library_name(ByteView code) {
  constexpr ByteView key = "name=";
  ByteView line = code.substr(0, code.find_first_of("\r\n"));
  while (!line.empty()) {
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    const ByteView word = line.substr(0, end);
    if (word.starts_with(key)) return word.substr(key.size());
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return {};
}

Libraries::Known Libraries::add(ByteView code) {
  const auto [at, is_new] = digests_.try_emplace(std::string(library_name(code)), crc64(0, code));
  if (is_new) return Known::no;
  return at->second == crc64(0, code) ? Known::same : Known::other;
}

bool Libraries::load(ByteView code) {
  std::uint64_t& known = digests_[std::string(library_name(code))];
  const std::uint64_t digest = crc64(0, code);
  return std::exchange(known, digest) != digest;
}

bool Libraries::take(std::span<const ByteView> args) {
  if (args.size() < 2) return true;
  if (is_word(args[1], "LOAD") && args.size() > 2) return load(args.back());
  if (is_word(args[1], "DELETE") && args.size() > 2) {
    const auto at = digests_.find(args[2]);
    if (at == digests_.end()) return false;
    digests_.erase(at);
    return true;
  }
  if (is_word(args[1], "FLUSH")) {
    const bool had_any = !digests_.empty();
    digests_.clear();
    return had_any;
  }
  return true;
}

}  // namespace keyferry
