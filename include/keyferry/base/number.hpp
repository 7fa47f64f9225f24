// Numbers in the texts of servers and users: no spaces, no plus sign in front.
#pragma once

#include <charconv>
#include <cstdint>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

// The text as a whole is a number that fits; if not, `out` says nothing.
template <class Number>
bool read_number(ByteView text, Number& out) {
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out);
  return bad == std::errc() && end == text.data() + text.size();
}

// What the text begins with; 0 where that is no number.
template <class Number = std::int64_t>
Number leading_number(ByteView text) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace keyferry
