// How each kind of option is set from text and shown: whole number, size, choice, text, address,
// listener. Builders for the rows of option_table; internal to config.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "keyferry/config/option_table.hpp"

namespace keyferry {

template <class T>
using Access = std::function<T&(Options&)>;

struct ValueRange {
  std::int64_t min;
  std::int64_t max;
};
OptionDef integer_option(std::string name, Access<std::int64_t> access, ValueRange limits,
                         std::string unit, std::string what);
OptionDef size_option(std::string name, Access<std::int64_t> access, ValueRange limits,
                      std::string what);

enum class Empty { refused, allowed };
OptionDef text_option(std::string name, Access<std::string> access, Empty empty, std::string range,
                      std::string what);

OptionDef address_option(std::string name, EndOptions Options::*end, std::string what);

OptionDef listen_option(std::string name, Access<std::string> access, std::string what);

// What is wrong with one item of a list or a map, or "".
using ItemCheck = std::function<std::string(const std::string& item)>;

// [a, b]; a text that does not begin with '[' is one item.
OptionDef list_option(std::string name, Access<std::vector<std::string>> access, ItemCheck check,
                      std::string range, std::string what);

// {a: b}
OptionDef map_option(std::string name, Access<std::map<std::string, std::string>> access,
                     ItemCheck check_name, ItemCheck check_value, std::string range,
                     std::string what);

// A text that `check` must find nothing wrong with.
OptionDef checked_option(std::string name, Access<std::string> access, ItemCheck check,
                         std::string range, std::string what);

// A wrong value as it may be repeated: short, printable, and never anything that looks like an
// address.
std::string shown_value(const std::string& text);

// Choices are compared with '-' and '_' alike: lag-zero, must_be_empty.
bool same_choice(std::string_view a, std::string_view b);

template <class T>
struct Choice {
  const char* name;
  T value;
};

template <class T>
OptionDef choice_option(std::string name, Access<T> access, std::vector<Choice<T>> choices,
                        std::string what) {
  OptionDef def;
  def.name = std::move(name);
  def.what = std::move(what);
  for (const Choice<T>& one : choices)
    def.range += (def.range.empty() ? "" : "|") + std::string(one.name);
  def.set = [access, choices, range = def.range](Options& options, const std::string& text) {
    for (const Choice<T>& one : choices) {
      if (!same_choice(text, one.name)) continue;
      access(options) = one.value;
      return std::string();
    }
    return fmt::format("{} is none of {}", shown_value(text), range);
  };
  def.show = [access, choices](const Options& options) {
    Options copy = options;  // the accessor wants a changeable one
    for (const Choice<T>& one : choices) {
      if (one.value == access(copy)) return std::string(one.name);
    }
    return std::string();
  };
  return def;
}

}  // namespace keyferry
