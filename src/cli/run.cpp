#include <string>

#include <unistd.h>

#include "keyferry/base/log.hpp"
#include "keyferry/cli/cli.hpp"
#include "keyferry/cli/run_link.hpp"

namespace keyferry {

std::map<std::string, std::string> environment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

namespace {

LogLevel log_level(const std::string& name) {
  if (name == "debug") return LogLevel::debug;
  if (name == "warn") return LogLevel::warn;
  if (name == "error") return LogLevel::error;
  return LogLevel::info;
}

}  // namespace

int run_command(const CommandLine& command_line) {
  const Result<Options> options = load_options(command_line, environment());
  if (!options) {
    print_problems(options.error().what);
    return exit_code(options.error());
  }
  if (!open_log(log_level(options->log_level), options->log_format, options->log_file)) {
    const Error error(Errc::usage, "log.file: " + options->log_file + " cannot be opened");
    print_problems(error.what);
    return exit_code(error);
  }
  return run_link(*options);
}

}  // namespace keyferry
