#include "keyferry/cli/config_import.hpp"

#include <fmt/format.h>

#include "keyferry/cli/cli.hpp"
#include "keyferry/config/secret.hpp"
#include "keyferry/config/shake.hpp"

namespace keyferry {
namespace {

constexpr std::size_t config_max_bytes = std::size_t{64} * 1024;

void print_comment(const char* title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  fmt::print("# {}\n", title);
  for (const std::string& line : lines)
    fmt::print("#   {}\n", line);
}

int refuse(const std::string& file, const Error& error) {
  print_problems(file + ": " + error.what);
  return exit_code(error);
}

}  // namespace

int config_import_command(const std::string& file) {
  const Result<std::string> text =
      read_whole_file(file == "-" ? "/dev/stdin" : file, config_max_bytes);
  if (!text) return refuse(file, text.error());
  const Result<ShakeImport> got = import_shake(*text);
  if (!got) return refuse(file, got.error());
  fmt::print(
      "# Made from a configuration of RedisShake; keyferry check --config tells whether it is "
      "whole.\n");
  print_comment("NOT CARRIED OVER, though it changes which data arrives:", got->missing);
  print_comment("Left for you to do:", got->to_do);
  print_comment("Not needed here:", got->not_needed);
  fmt::print("{}", got->yaml);
  if (got->missing.empty()) return 0;
  print_problems(fmt::format("{} of its settings have no equivalent; they are named at the top",
                             got->missing.size()));
  return exit_code(Error(Errc::data_refused, ""));
}

}  // namespace keyferry
