// ElementReader: arrays (Redis 8.8).
#include <bit>
#include <charconv>
#include <limits>

#include "keyferry/rdb/elements.hpp"

namespace keyferry::rdb {
namespace {

// What an array's element is (Redis 8.8, documentation).
enum ArrayTag : std::uint8_t { tag_text, tag_integer, tag_double, tag_short_text };

}  // namespace

bool ElementReader::step_array(Cursor& in, Element& element) {
  const std::uint64_t index = in.length();
  const bool ascends = !array_begun_ || index > array_index_;
  if (in.ok() && (!ascends || index == std::numeric_limits<std::uint64_t>::max())) {
    in.fail("the indexes of an array do not ascend");
  }
  read_array_value(in, element);
  if (!in.ok()) return false;
  element.kind = Element::Kind::array_item;
  element.index = array_index_ = index;
  array_begun_ = true;
  --left_;
  return true;
}

void ElementReader::read_array_value(Cursor& in, Element& element) {
  const std::uint64_t tag = in.length();
  if (!in.ok()) return;
  char* const begin = value_digits_;
  char* end = begin;
  switch (tag) {
    case tag_text:
    case tag_short_text:
      element.value = in.string(value_scratch_);
      return;
    case tag_integer:
      end = std::to_chars(begin, begin + sizeof value_digits_, in.number<std::int64_t>()).ptr;
      break;
    case tag_double:
      end = std::to_chars(begin, begin + sizeof value_digits_,
                          std::bit_cast<double>(in.number<std::uint64_t>()))
                .ptr;
      break;
    default:
      in.fail("an array's element is of unknown kind");
      break;
  }
  element.value = {begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace keyferry::rdb
