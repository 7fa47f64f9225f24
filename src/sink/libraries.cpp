#include "keyferry/sink/libraries.hpp"

#include <algorithm>
#include <utility>

#include "keyferry/base/checksum.hpp"
#include "keyferry/resp/word.hpp"

namespace keyferry {
namespace {

constexpr char unnamed = '?';  // in no name

std::string key_of(ByteView code, std::uint64_t digest) {
  std::string name = library_name(code);
  return name.empty() ? unnamed + std::to_string(digest) : name;
}

}  // namespace

// Of the words of the first line, each of which may be quoted as a whole or in part, the one that
// begins with "name=", in either case; letters, digits and '_' (Redis 7.0 functions.c
// functionExtractLibMetaData, functionsVerifyName).
std::string library_name(ByteView code) {
  constexpr ByteView key = "NAME=";
  ByteView line = code.substr(0, code.find_first_of("\r\n"));
  while (!line.empty()) {
    const std::size_t end = std::min(line.find_first_of(" \t\v\f"), line.size());
    std::string word(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
    std::erase_if(word, [](char c) { return c == '"' || c == '\''; });
    if (word.size() < key.size() || !is_word(ByteView(word).substr(0, key.size()), key)) continue;
    const bool is_name = std::all_of(word.begin() + key.size(), word.end(), [](char c) {
      return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    });
    return is_name ? word.substr(key.size()) : std::string();
  }
  return {};
}

Libraries::Known Libraries::add(ByteView code) {
  const std::uint64_t digest = crc64(0, code);
  const auto [at, is_new] = digests_.try_emplace(key_of(code, digest), digest);
  if (is_new) return Known::no;
  return at->second == digest ? Known::same : Known::other;
}

bool Libraries::load(ByteView code) {
  const std::uint64_t digest = crc64(0, code);
  const auto [at, is_new] = digests_.try_emplace(key_of(code, digest), digest);
  return std::exchange(at->second, digest) != digest || is_new;
}

// One whose name is not understood may be meant.
bool Libraries::forget(ByteView name) {
  const auto count = std::erase_if(digests_, [name](const auto& one) {
    return one.first == name || one.first.front() == unnamed;
  });
  return count > 0;
}

bool Libraries::take(std::span<const ByteView> args) {
  if (args.size() < 2) return true;
  if (is_word(args[1], "LOAD") && args.size() > 2) return load(args.back());
  if (is_word(args[1], "DELETE") && args.size() > 2) return forget(args[2]);
  if (is_word(args[1], "FLUSH")) {
    const bool had_any = !digests_.empty();
    digests_.clear();
    return had_any;
  }
  return true;
}

}  // namespace keyferry
