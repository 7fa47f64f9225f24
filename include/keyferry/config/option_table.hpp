// The one table of options: name, how to set it from text, how to show it, what it means. YAML,
// environment, flags,
// --help and the test of config/keyferry.yaml all walk it, so a new option is one field and one
// row. Internal to config; everybody else takes `Options` and `option_rows()`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "keyferry/config/options.hpp"

namespace keyferry {

struct OptionDef {
  std::string name;   // group.option
  std::string what;   // one sentence
  std::string range;  // unit and range, or the choices
  // Sets the option; returns what is wrong with the text, or "". Never repeats a text that may hold
  // a password.
  std::function<std::string(Options&, const std::string&)> set;
  std::function<std::string(const Options&)> show;
  // Its value is a list or a map; as text in YAML's flow form: [a, b], {a: b}.
  bool is_structured = false;
};

const std::vector<OptionDef>& option_table();

// Those of ends that are files (file_options.cpp), appended to the table.
void add_file_options(std::vector<OptionDef>& table);
// The comparison of both ends (verify_options.cpp).
void add_verify_options(std::vector<OptionDef>& table);

// Null when there is no such option.
const OptionDef* find_option(const std::string& name);

std::vector<std::string> option_names();

}  // namespace keyferry
