// A YAML text taken apart into settings: groups of options, one scalar each. Knows the names of
// groups and options, not what their values mean. Pure (the file is read by load); hides yaml-cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace keyferry {

// What an entry of `sources` is called; no option. Every entry begins with one that says "".
inline constexpr const char* source_name_setting = "source.name";

struct Setting {
  std::string name;    // "source.uri"
  std::string value;   // as written
  std::string origin;  // "keyferry.yaml:3", "KEYFERRY_SOURCE_URI", "--set": for messages
  // Of the n-th entry of `sources`; 0: of the link. `name` may be source_name_setting there.
  std::size_t source = 0;
};

// Appends to both; each problem is one line that starts with "<file>:<line>: ".
void read_yaml(const std::string& text, const std::string& file, std::vector<Setting>& settings,
               std::vector<std::string>& problems);

// "unknown option 'a.c'; did you mean a.b?". A name of unusual form is not repeated: it may be a
// misplaced value.
std::string unknown_name(std::string_view kind, const std::string& name,
                         const std::vector<std::string>& candidates);

}  // namespace keyferry
