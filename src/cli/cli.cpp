#include "keyferry/cli/cli.hpp"

#include <cctype>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "keyferry/cli/inspect.hpp"
#include "keyferry/config/option_value.hpp"

namespace keyferry {
namespace {

constexpr int usage_exit_code = 2;  // Errc::usage

constexpr const char* examples = R"(Examples:
  keyferry run --source redis://10.0.0.1 --target redis://10.0.0.2 --stop-when lag-zero
      copies everything, follows the source until nothing is missing, ends
  keyferry run --config keyferry.yaml
      the same from a file; config/keyferry.yaml shows every option
  REDISCLI_AUTH=... keyferry run --source redis://app@10.0.0.1 --target redis://app@10.0.0.2
      passwords stay out of the process list; password_file works as well
  keyferry run --help
      all options
  keyferry inspect dump.rdb
      what is in a snapshot; --json shows every key)";

std::string option_list() {
  std::string out = "Options for --set, the YAML file and the environment (a.b is KEYFERRY_A_B):\n";
  for (const OptionRow& row : option_rows()) {
    const std::string default_text = row.default_text.empty() ? "\"\"" : row.default_text;
    out += fmt::format("  {} [{}]\n      {}\n", row.name, default_text, row.what);
  }
  return out;
}

CLI::App* add_run(CLI::App& app, CommandLine& line) {
  CLI::App* run =
      app.add_subcommand("run", "Move data from the source to the target and follow changes");
  run->add_option("--config", line.config_file, "YAML file with options")->type_name("FILE");
  run->add_option("--source", line.source, "Where the data comes from (source.uri)")
      ->type_name("URI");
  run->add_option("--target", line.target, "Where the data goes to (target.uri)")->type_name("URI");
  run->add_option("--http", line.http, "Where status and metrics are served (http.listen)")
      ->type_name("HOST:PORT");
  run->add_option("--stop-when", line.stop_when, "never, snapshot or lag-zero (stop.when)")
      ->type_name("WHEN");
  run->add_flag("--standby", line.standby,
                "Wait while another instance runs this link, and take over when it is gone");
  run->add_flag("--restart", line.restart,
                "Copy everything again, whatever the target's record says");
  run->add_option("--log-format", line.log_format, "text or json (log.format)")->type_name("FORM");
  run->add_option("--set", line.set,
                  "Any option, e.g. --set target.lanes_per_node=8; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  run->allow_extras();
  run->footer(option_list);
  return run;
}

CLI::App* add_inspect(CLI::App& app, InspectLine& line) {
  CLI::App* inspect = app.add_subcommand("inspect", "Show what is in a snapshot");
  inspect->add_option("snapshot", line.what, "An RDB file, - for standard input, or a server")
      ->type_name("FILE|URI")
      ->required();
  inspect->add_flag("--json", line.json, "One JSON object per key instead of a summary");
  return inspect;
}

// The part of an argument that names an option: what follows may be an address with a password.
std::string option_part(const std::string& argument) {
  std::size_t end = 0;
  while (end < argument.size() && end < 40 &&
         (std::isalnum(static_cast<unsigned char>(argument[end])) != 0 || argument[end] == '-')) {
    ++end;
  }
  return argument.substr(0, end);
}

std::vector<std::string> option_names_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames())
      names.push_back("--" + name);
  }
  return names;
}

// One line for each argument that no option took. Plain ones are not repeated: they may hold a
// password.
std::string describe_extras(const CLI::App& command) {
  const std::vector<std::string> names = option_names_of(command);
  std::string problems;
  bool after_unknown_option = false;
  for (const std::string& argument : command.remaining()) {
    if (argument.rfind('-', 0) == 0) {
      const std::string name = option_part(argument);
      const std::string nearest = nearest_name(name, names);
      problems += "unknown option " + name +
                  (nearest.empty() ? "" : "; did you mean " + nearest + "?") + "\n";
      after_unknown_option = argument.find('=') == std::string::npos;
      continue;
    }
    // Most likely the value of the unknown option before it.
    if (!after_unknown_option)
      problems += "an argument belongs to no option (see keyferry run --help)\n";
    after_unknown_option = false;
  }
  return problems;
}

int usage_problem(const std::string& problem) {
  print_problems(problem);
  return usage_exit_code;
}

}  // namespace

void print_problems(const std::string& problems) {
  std::string_view rest = problems;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    fmt::print(stderr, "keyferry: {}\n", rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
}

int run_cli(int argc, char** argv) {
  CLI::App app("KeyFerry moves live Redis and Valkey data to another server or cluster.",
               "keyferry");
  CommandLine line;
  app.set_version_flag("--version", "keyferry " KEYFERRY_VERSION);
  app.footer(examples);
  app.allow_extras();
  const CLI::App* run = add_run(app, line);
  InspectLine inspect_line;
  const CLI::App* inspect = add_inspect(app, inspect_line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return usage_problem(error.what());
  }
  if (inspect->parsed()) return inspect_command(inspect_line);
  const std::string extras = describe_extras(*run);
  if (!extras.empty()) return usage_problem(extras);
  if (!app.remaining().empty()) {
    return usage_problem(
        "unknown command or misplaced option: write keyferry run OPTIONS (see keyferry --help)");
  }
  if (!run->parsed()) {
    return usage_problem(
        "give a command: keyferry run --source URI --target URI (see keyferry --help)");
  }
  return run_command(line);
}

}  // namespace keyferry
