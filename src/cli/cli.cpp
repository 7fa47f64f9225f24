#include "keyferry/cli/cli.hpp"

#include <cctype>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "keyferry/cli/check.hpp"
#include "keyferry/cli/client.hpp"
#include "keyferry/cli/config_import.hpp"
#include "keyferry/cli/config_show.hpp"
#include "keyferry/cli/forget.hpp"
#include "keyferry/cli/inspect.hpp"
#include "keyferry/cli/verify.hpp"
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
  keyferry check --config keyferry.yaml
      connects to both ends, names every problem, changes nothing
  keyferry verify --config keyferry.yaml --report differences.jsonl
      compares both ends, also while the link runs
  keyferry status --watch
      one screen about the link that runs here; drain, pause, resume and stop steer it
  keyferry cutover --pause-timeout 5s --verify sample
      hands over to the target: clients write there from then on
  keyferry config show --config keyferry.yaml
      every option, its value and where that comes from
  keyferry config import shake.toml > keyferry.yaml
      a configuration of RedisShake as ours; what has no equivalent is named
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

struct Subcommand {
  const CLI::App* app;
  std::function<int()> run;
};

// What the arguments are read into, and what to do with them then.
struct Arguments {
  CommandLine line;
  ClientOptions client;
  InspectLine inspect;
  VerifyLine verify;
  std::string import_file;
  bool undo_fence = false;
  std::vector<Subcommand> commands;
};

void add_link_options(CLI::App& command, CommandLine& line) {
  command.add_option("--config", line.config_file, "YAML file with options")->type_name("FILE");
  command.add_option("--source", line.source, "Where the data comes from (source.uri)")
      ->type_name("URI");
  command.add_option("--target", line.target, "Where the data goes to (target.uri)")
      ->type_name("URI");
  command.add_option("--http", line.http, "Where status and metrics are served (http.listen)")
      ->type_name("HOST:PORT");
  command.add_option("--stop-when", line.stop_when, "never, snapshot or lag-zero (stop.when)")
      ->type_name("WHEN");
  command.add_flag("--standby", line.standby,
                   "Wait while another instance runs this link, and take over when it is gone");
  command.add_flag("--restart", line.restart,
                   "Copy everything again, whatever the target's record says");
  command.add_option("--log-format", line.log_format, "text or json (log.format)")
      ->type_name("FORM");
  command
      .add_option("--set", line.set,
                  "Any option, e.g. --set target.lanes_per_node=8; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command.allow_extras();
}

void add_client_options(CLI::App& command, ClientOptions& client) {
  command
      .add_option("--http", client.http,
                  "Where it listens [KEYFERRY_HTTP_LISTEN, else 127.0.0.1:8484]")
      ->type_name("HOST:PORT");
  command
      .add_option("--token-file", client.token_file,
                  "File with its token [KEYFERRY_HTTP_TOKEN_FILE]")
      ->type_name("FILE");
  command.allow_extras();
}

void add_run(CLI::App& app, Arguments& to) {
  CLI::App* run =
      app.add_subcommand("run", "Move data from the source to the target and follow changes");
  add_link_options(*run, to.line);
  run->footer(option_list);
  to.commands.push_back({run, [&to] { return run_command(to.line); }});
}

void add_check(CLI::App& app, Arguments& to) {
  CLI::App* check = app.add_subcommand(
      "check", "Connect to both ends, name every problem and what to do; changes nothing");
  add_link_options(*check, to.line);
  check->add_flag("--json", to.client.json, "The findings as JSON");
  to.commands.push_back({check, [&to] { return check_command(to.line, to.client.json); }});
}

void add_verify(CLI::App& app, Arguments& to) {
  CLI::App* verify = app.add_subcommand(
      "verify", "Compare both ends, key by key, also while a link runs; repair what differs");
  add_link_options(*verify, to.line);
  verify->add_option("--level", to.verify.level, "exists, ttl, digest or full (verify.level)")
      ->type_name("LEVEL");
  verify->add_option("--sample", to.verify.sample, "Only a part of the keys (verify.sample)")
      ->type_name("PERCENT");
  verify->add_option("--report", to.verify.report_file, "Differences as JSON (verify.report_file)")
      ->type_name("FILE");
  verify->add_flag("--repair", to.verify.repair,
                   "Copy missing and different keys again (verify.repair)");
  verify->add_flag("--repair-extra", to.verify.repair_extra,
                   "Remove keys that the source does not have (verify.repair_extra)");
  verify->add_flag("--running", to.verify.running,
                   "Let the running keyferry do it, which repairs in order with its stream");
  verify
      ->add_option("--token-file", to.verify.token_file,
                   "File with its token [KEYFERRY_HTTP_TOKEN_FILE]")
      ->type_name("FILE");
  verify->add_flag("--json", to.verify.json, "Differences and the summary as JSON lines");
  to.commands.push_back({verify, [&to] { return verify_command(to.line, to.verify); }});
}

void add_clients(CLI::App& app, Arguments& to) {
  CLI::App* status = app.add_subcommand("status", "One screen about a running keyferry");
  add_client_options(*status, to.client);
  status->add_flag("--watch", to.client.watch, "Show it again each second");
  status->add_flag("--json", to.client.json, "The JSON of GET /status as it is");
  to.commands.push_back({status, [&to] { return status_command(to.client, environment()); }});

  const std::pair<const char*, const char*> verbs[] = {
      {"drain", "Ask a running keyferry to end when lag is zero"},
      {"pause", "Apply nothing more for now; what the source sends is kept"},
      {"resume", "Go on applying after pause"},
      {"stop", "Apply what has been received, then end"}};
  for (const auto& [name, what] : verbs) {
    CLI::App* verb = app.add_subcommand(name, what);
    add_client_options(*verb, to.client);
    to.commands.push_back({verb, [&to, path = std::string(name)] {
                             return control_command(path, to.client, environment());
                           }});
  }
}

void add_cutover(CLI::App& app, Arguments& to) {
  CLI::App* cutover = app.add_subcommand(
      "cutover", "Hand over to the target: hold back writes, catch up, fence the source, end");
  add_link_options(*cutover, to.line);
  cutover
      ->add_option("--token-file", to.client.token_file,
                   "File with its token [KEYFERRY_HTTP_TOKEN_FILE]")
      ->type_name("FILE");
  cutover
      ->add_option("--pause-timeout", to.client.pause_timeout,
                   "How long writes may be held back at most, like 10s (cutover.pause_timeout_ms)")
      ->type_name("TIME");
  cutover
      ->add_option("--verify", to.client.verify,
                   "sample: compare some keys of both ends while writes are held back")
      ->type_name("HOW");
  cutover->add_flag("--undo-fence", to.undo_fence,
                    "Only let the source take writes again; wants nothing but its address");
  to.commands.push_back({cutover, [&to] {
                           to.line.source_only = true;
                           if (to.undo_fence) return undo_fence_command(to.line);
                           to.client.http = to.line.http;
                           return cutover_command(to.client, environment());
                         }});
}

void add_config(CLI::App& app, Arguments& to) {
  CLI::App* config = app.add_subcommand("config", "Look at the configuration");
  CLI::App* show =
      config->add_subcommand("show", "Every option, its value and where that comes from");
  add_link_options(*show, to.line);
  to.commands.push_back({show, [&to] { return config_show_command(to.line, environment()); }});
  CLI::App* names = config->add_subcommand("names", "The names of all options, one a line");
  names->allow_extras();
  to.commands.push_back({names, [] {
                           for (const OptionRow& row : option_rows())
                             fmt::print("{}\n", row.name);
                           return 0;
                         }});
  CLI::App* import =
      config->add_subcommand("import", "Turn a configuration of RedisShake into ours");
  import->add_option("file", to.import_file, "Its TOML file, - for standard input")
      ->type_name("FILE.toml")
      ->required();
  to.commands.push_back({import, [&to] { return config_import_command(to.import_file); }});
  config->footer("keyferry config show --config FILE ...  takes the options of keyferry run");
}

void add_inspect(CLI::App& app, Arguments& to) {
  CLI::App* inspect = app.add_subcommand("inspect", "Show what is in a snapshot");
  inspect->add_option("snapshot", to.inspect.what, "An RDB file, - for standard input, or a server")
      ->type_name("FILE|URI")
      ->required();
  inspect->add_flag("--json", to.inspect.json, "One JSON object per key instead of a summary");
  to.commands.push_back({inspect, [&to] { return inspect_command(to.inspect); }});
}

void add_forget(CLI::App& app, Arguments& to) {
  CLI::App* forget = app.add_subcommand(
      "forget", "Remove from a target what links have recorded there; the next one starts over");
  add_link_options(*forget, to.line);
  to.commands.push_back({forget, [&to] {
                           to.line.target_only = true;
                           return forget_command(to.line);
                         }});
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
      problems += "an argument belongs to no option (see keyferry COMMAND --help)\n";
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
  app.set_version_flag("--version", "keyferry " KEYFERRY_VERSION);
  app.footer(examples);
  app.allow_extras();
  Arguments arguments;
  add_run(app, arguments);
  add_check(app, arguments);
  add_verify(app, arguments);
  add_clients(app, arguments);
  add_cutover(app, arguments);
  add_config(app, arguments);
  add_inspect(app, arguments);
  add_forget(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return usage_problem(error.what());
  }
  for (const Subcommand& command : arguments.commands) {
    if (!command.app->parsed()) continue;
    const std::string extras = describe_extras(*command.app);
    if (!extras.empty()) return usage_problem(extras);
  }
  if (!app.remaining().empty()) {
    return usage_problem(
        "unknown command or misplaced option: write keyferry COMMAND OPTIONS (see keyferry "
        "--help)");
  }
  for (const Subcommand& command : arguments.commands) {
    if (command.app->parsed()) return command.run();
  }
  return usage_problem(
      "give a command, like keyferry run --source URI --target URI (see keyferry --help)");
}

}  // namespace keyferry
