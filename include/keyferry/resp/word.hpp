// Words of commands, whose letters may be of either case.
#pragma once

#include <algorithm>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

// `arg` is `word` (upper case) in any letter case.
inline bool is_word(ByteView arg, ByteView word) {
  return std::equal(arg.begin(), arg.end(), word.begin(), word.end(),
                    [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 'a' + 'A' : a) == b; });
}

}  // namespace keyferry
