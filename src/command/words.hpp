// Small readers of command arguments, shared by the .cpp files of this folder.
#pragma once

#include <span>

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/number.hpp"

namespace keyferry {

// `arg` is `word` (upper case) in any letter case.
inline bool is_word(ByteView arg, ByteView word) {
  if (arg.size() != word.size()) return false;
  for (std::size_t i = 0; i < arg.size(); ++i) {
    const char c = arg[i] >= 'a' && arg[i] <= 'z' ? static_cast<char>(arg[i] - 'a' + 'A') : arg[i];
    if (c != word[i]) return false;
  }
  return true;
}

inline bool is_one_of(ByteView arg, std::span<const ByteView> words) {
  for (ByteView word : words) {
    if (is_word(arg, word)) return true;
  }
  return false;
}

// The number of keys an argument announces; 0 when it is no number or more than `most`.
inline std::size_t number_of_keys(ByteView arg, std::size_t most) {
  std::size_t count = 0;
  return read_number(arg, count) && count <= most ? count : 0;
}

}  // namespace keyferry
