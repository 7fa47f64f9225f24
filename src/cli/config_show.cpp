#include "keyferry/cli/config_show.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "keyferry/cli/cli.hpp"

namespace keyferry {

int config_show_command(const CommandLine& command_line,
                        const std::map<std::string, std::string>& environment) {
  const Explanation explained = explain_options(command_line, environment);
  std::size_t name_width = 0;
  std::size_t value_width = 0;
  for (const ExplainedOption& one : explained.options) {
    name_width = std::max(name_width, one.name.size());
    value_width = std::max(value_width, std::min<std::size_t>(one.value.size(), 40));
  }
  for (const ExplainedOption& one : explained.options) {
    const std::string value = one.value.empty() ? "\"\"" : one.value;
    fmt::print("{:<{}}  {:<{}}  # {}\n", one.name, name_width, value, value_width, one.origin);
  }
  if (explained.problems.empty()) return 0;
  print_problems(explained.problems);
  return exit_code(Error(Errc::usage, ""));
}

}  // namespace keyferry
