// Small readers of command arguments, shared by the .cpp files of this folder.
#pragma once

#include <span>

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/number.hpp"
#include "keyferry/resp/word.hpp"

namespace keyferry {

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
