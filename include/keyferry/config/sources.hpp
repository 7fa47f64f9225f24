// Several sources of one link (`sources`): what an entry is called, and what cannot be asked of a
// link that has more than one. Pure; the loader makes the entries and says where problems are.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "keyferry/config/options.hpp"

namespace keyferry {

// What the link as a whole is called in the target's records where nothing else is said. It may not
// depend on the list: that changes.
inline constexpr const char* several_link = "sources";

// The name of an entry that was given none: its first address, with what no name holds as '_'.
std::string source_name_of(const Uri& uri);

struct SourceProblem {
  std::size_t source = 0;  // number of the entry, from 1; 0: of the link as a whole
  std::string option;
  std::string what;
};
// What is wrong with `options`.sources, whose entries have their names.
std::vector<SourceProblem> judge_sources(const Options& options);

// Whether two addresses are one server, as far as they show it.
bool is_same_server(const Uri& a, const Uri& b);

}  // namespace keyferry
