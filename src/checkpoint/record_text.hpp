// How the texts of records are taken apart: words "name=value". Included by checkpoint/*.cpp only.
#pragma once

#include <algorithm>
#include <charconv>

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/number.hpp"
#include "keyferry/command/batch.hpp"

namespace keyferry::record_text {

inline constexpr ByteView magic = "keyferry1";
inline constexpr std::size_t replid_size = 40;

// Takes the next word off `text`; empty at the end.
inline ByteView next_word(ByteView& text) {
  const std::size_t space = std::min(text.find(' '), text.size());
  const ByteView word = text.substr(0, space);
  text.remove_prefix(std::min(space + 1, text.size()));
  return word;
}

// The value of "name=value", empty when the word is another one.
inline ByteView value_of(ByteView word, ByteView name) {
  return word.starts_with(name) && word.size() > name.size() && word[name.size()] == '='
             ? word.substr(name.size() + 1)
             : ByteView();
}

template <class Number>
bool read_hex_number(ByteView text, Number& out) {
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return bad == std::errc() && end == text.data() + text.size();
}

inline bool is_replid(ByteView text) {
  return text.size() == replid_size && text.find_first_not_of("0123456789abcdef") == ByteView::npos;
}

// "replid:offset".
inline bool read_history(ByteView word, std::string& replid, Offset& offset) {
  if (word.size() <= replid_size || word[replid_size] != ':') return false;
  if (!is_replid(word.substr(0, replid_size))) return false;
  replid = word.substr(0, replid_size);
  return read_number(word.substr(replid_size + 1), offset);
}

}  // namespace keyferry::record_text
