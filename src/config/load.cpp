// Defaults < YAML < environment < flags: each layer becomes settings, all are applied in that
// order, and what spans several options is checked at the end. Every step adds to one list of
// problems instead of returning early.
#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "keyferry/config/file_format.hpp"
#include "keyferry/config/option_table.hpp"
#include "keyferry/config/options.hpp"
#include "keyferry/config/secret.hpp"
#include "keyferry/config/sources.hpp"
#include "keyferry/config/yaml.hpp"

namespace keyferry {
namespace {

using Environment = std::map<std::string, std::string>;

constexpr std::size_t config_max_bytes = std::size_t{1024} * 1024;

// "source.psync_command" -> "KEYFERRY_SOURCE_PSYNC_COMMAND".
std::string environment_name(const std::string& option) {
  std::string name = "KEYFERRY_";
  for (const char c : option) {
    name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

// Names that are no options: the tests' own, and those that Kubernetes gives every container of a
// namespace with a service called keyferry or keyferry-... (Kubernetes documentation, "Service":
// environment variables), like KEYFERRY_SERVICE_HOST=10.0.0.9, KEYFERRY_PORT=tcp://10.0.0.9:8484
// and KEYFERRY_PORT_8484_TCP_ADDR=10.0.0.9.
bool is_foreign(const std::string& name, const std::string& value) {
  if (name == "KEYFERRY_CORPUS" || name.rfind("KEYFERRY_TEST_", 0) == 0) return true;
  if (name.find("_SERVICE_HOST") != std::string::npos) return true;
  if (name.find("_SERVICE_PORT") != std::string::npos) return true;
  constexpr std::string_view port = "_PORT";
  const std::size_t at = name.find(port);
  if (at == std::string::npos) return false;
  const std::string_view after = std::string_view(name).substr(at + port.size());
  if (after.empty()) return value.find("://") != std::string::npos;
  return after.size() > 1 && after[0] == '_' && after[1] >= '0' && after[1] <= '9';
}

class Loader {
 public:
  Result<Options> load(const CommandLine& command_line, const Environment& environment) {
    collect(command_line, environment);
    if (problems_.empty()) return std::move(options_);
    return Error(Errc::usage, fmt::format("{}", fmt::join(problems_, "\n")));
  }

  Explanation explain(const CommandLine& command_line, const Environment& environment) {
    collect(command_line, environment);
    Explanation out;
    for (const OptionDef& def : option_table()) {
      const auto origin = origins_.find(def.name);
      out.options.push_back(
          {def.name, def.show(options_), origin == origins_.end() ? "default" : origin->second});
    }
    for (const Loader& one : of_sources_) {
      for (const Setting& setting : one.settings_)
        out.options.push_back(one.explain_of_source(setting));
    }
    out.problems = fmt::format("{}", fmt::join(problems_, "\n"));
    return out;
  }

 private:
  void collect(const CommandLine& command_line, const Environment& environment) {
    options_.standby = command_line.standby;
    options_.restart = command_line.restart;
    if (!command_line.config_file.empty()) collect_yaml(command_line.config_file);
    collect_environment(environment);
    collect_flags(command_line);
    for (const Setting& setting : settings_) {
      if (setting.source == 0) apply(setting);
    }

    const auto auth = environment.find("REDISCLI_AUTH");
    const std::string fallback = auth == environment.end() ? "" : auth->second;
    for (const Setting& setting : settings_)
      sources_ = std::max(sources_, setting.source);
    if (sources_ == 0 && !command_line.target_only) check_end("source", options_.source, fallback);
    if (!command_line.source_only) check_end("target", options_.target, fallback);
    check_ends_differ();
    load_sources(fallback);
    check_file_target();
    check_http();
    check_shards();
    check_cutover();
  }

  void collect_yaml(const std::string& path) {
    const Result<std::string> text = read_whole_file(path, config_max_bytes);
    if (!text) return problem(path, text.error().what);
    read_yaml(*text, path, settings_, problems_);
  }

  void collect_environment(const Environment& environment) {
    std::map<std::string, std::string> options;  // environment name -> option
    std::vector<std::string> names;
    for (const OptionDef& def : option_table()) {
      names.push_back(environment_name(def.name));
      options[names.back()] = def.name;
    }
    for (auto it = environment.lower_bound("KEYFERRY_"); it != environment.end(); ++it) {
      const auto& [name, value] = *it;
      if (name.rfind("KEYFERRY_", 0) != 0) break;
      const auto option = options.find(name);
      if (option != options.end()) {
        settings_.push_back({option->second, value, name});
      } else if (!is_foreign(name, value)) {
        problem("environment", unknown_name("variable", name, names));
      }
    }
  }

  void collect_flags(const CommandLine& command_line) {
    for (const std::string& text : command_line.set) {
      const std::size_t equals = text.find('=');
      const std::string name = text.substr(0, equals);
      if (equals == std::string::npos) {
        problem("--set", "write name=value, like --set log.level=debug");
      } else if (find_option(name) == nullptr) {
        problem("--set", unknown_name("option", name, option_names()));
      } else {
        settings_.push_back({name, text.substr(equals + 1), "--set"});
      }
    }
    const auto flag = [this](const std::string& value, const char* option, const char* name) {
      if (!value.empty()) settings_.push_back({option, value, name});
    };
    flag(command_line.source, "source.uri", "--source");
    flag(command_line.target, "target.uri", "--target");
    flag(command_line.http, "http.listen", "--http");
    flag(command_line.stop_when, "stop.when", "--stop-when");
    flag(command_line.log_format, "log.format", "--log-format");
  }

  void apply(const Setting& setting) {
    const OptionDef* def = find_option(setting.name);
    KEYFERRY_ASSERT(def != nullptr);
    origins_[setting.name] = setting.origin;
    const std::string wrong = def->set(options_, setting.value);
    if (!wrong.empty()) problem(setting.origin, setting.name + ": " + wrong);
  }

  // "sources.2.password_file": an entry says most of its options without "source.".
  ExplainedOption explain_of_source(const Setting& setting) const {
    const std::string name = setting.name.starts_with("source.")
                                 ? setting.name.substr(std::string_view("source.").size())
                                 : setting.name;
    const OptionDef* const def = find_option(setting.name);
    const auto origin = origins_.find(setting.name);
    return {fmt::format("sources.{}.{}", setting.source, name),
            def == nullptr ? options_.source_name : def->show(options_),
            origin == origins_.end() ? "default" : origin->second};
  }

  void check_end(const std::string& group, EndOptions& end, const std::string& fallback) {
    if (origins_.count(group + ".uri") == 0) {
      problems_.push_back(
          fmt::format("the {0} is missing: give --{0} URI, {1} or {0}.uri in the file", group,
                      environment_name(group + ".uri")));
    }
    check_access(group, end, fallback);
  }

  // The password from the file, else from the environment.
  void check_access(const std::string& group, EndOptions& end, const std::string& fallback) {
    check_tls(group, end);
    const std::string sentinel_name = group + ".sentinel.password_file";
    end.sentinel_password = secret_in(sentinel_name, end.sentinel_password_file);
    if (end.password_file.empty()) {
      if (end.uri.password.empty()) end.uri.password = fallback;
      return;
    }
    const std::string name = group + ".password_file";
    std::string password = secret_in(name, end.password_file);
    if (password.empty()) return;
    if (!end.uri.password.empty())
      return problem(place_of(name), "the address holds a password as well; keep one");
    end.uri.password = std::move(password);
  }

  // Half a key pair, or TLS options for an address without TLS, which would not be looked at.
  void check_tls(const std::string& group, const EndOptions& end) {
    if (end.tls.cert_file.empty() != end.tls.key_file.empty()) {
      const bool has_cert = !end.tls.cert_file.empty();
      problem(place_of(group + (has_cert ? ".tls.cert_file" : ".tls.key_file")),
              fmt::format("needs {}.tls.{} beside it", group, has_cert ? "key_file" : "cert_file"));
    }
    if (end.uri.tls || origins_.count(group + ".uri") == 0) return;
    for (const auto& [name, origin] : origins_) {
      // Empty values and defaults do no harm: a file that names every option has them.
      if (name.rfind(group + ".tls.", 0) != 0) continue;
      const OptionDef* def = find_option(name);
      if (def->show(options_) == def->show(Options())) continue;
      return problem(place_of(name),
                     "the address does not ask for TLS (write rediss:// or valkeys://)");
    }
  }

  // Each entry is a link of its own, on top of what is said for all.
  void load_sources(const std::string& fallback) {
    if (sources_ == 0) return;
    if (origins_.contains("source.uri"))
      problem(place_of("source.uri"), "there is a list of sources as well; keep one");
    for (std::size_t number = 1; number <= sources_; ++number) {
      Loader one;
      one.options_ = options_;
      one.options_.source.uri = Uri();
      one.options_.sources.clear();
      one.origins_ = origins_;
      one.origins_.erase("source.uri");
      one.load_source(settings_, number, fallback);
      problems_.insert(problems_.end(), one.problems_.begin(), one.problems_.end());
      options_.sources.push_back(one.options_);
      of_sources_.push_back(std::move(one));
    }
    for (const SourceProblem& found : judge_sources(options_)) {
      if (found.source == 0) {
        problem(place_of(found.option), found.what);
      } else {
        Loader& one = of_sources_[found.source - 1];
        problem(fmt::format("{}: sources, entry {}: {}", one.settings_.front().origin, found.source,
                            found.option),
                found.what);
      }
    }
  }

  // One of `sources`: what all have is there already.
  void load_source(const std::vector<Setting>& all, std::size_t number,
                   const std::string& fallback) {
    for (const Setting& setting : all) {
      if (setting.source != number) continue;
      const bool is_name = setting.name == source_name_setting;
      if (!is_name || settings_.empty()) settings_.push_back(setting);
      if (!is_name) apply(setting);
      if (!is_name || setting.value.empty()) continue;
      options_.source_name = setting.value;
      origins_[setting.name] = setting.origin;
    }
    check_access("source", options_.source, fallback);
    check_ends_differ();
    if (options_.source_name.empty()) options_.source_name = source_name_of(options_.source.uri);
    const std::string& link = options_.delivery_link;
    options_.delivery_link =
        (link.empty() ? std::string(several_link) : link) + "-" + options_.source_name;
  }

  void check_http() {
    options_.http_token = secret_in("http.token_file", options_.http_token_file);
    if (options_.http_listen.empty() || !options_.http_token_file.empty()) return;
    const Result<HostPort> listen = parse_listen(options_.http_listen);
    if (!listen || is_loopback(*listen)) return;
    problem(place_of("http.listen"),
            "an address that others can reach needs http.token_file (or use 127.0.0.1, [::1] or "
            "localhost)");
  }

  // Other instances write to the same target.
  void check_shards() {
    const std::optional<Shard> shard = parse_shard(options_.filter.shard);
    if (!shard || shard->of == 1 || options_.target_before == TargetBefore::keep) return;
    problem(place_of("target.before"),
            "with source.shards others fill the target as well: empty it before, and keep");
  }

  // What cannot be taken back would hold writes back for ever.
  void check_cutover() {
    if (options_.cutover_on_pause.empty() == options_.cutover_on_unpause.empty()) return;
    const bool has_pause = !options_.cutover_on_pause.empty();
    problem(place_of(has_pause ? "cutover.on_pause" : "cutover.on_unpause"),
            fmt::format("needs cutover.{} beside it", has_pause ? "on_unpause" : "on_pause"));
  }

  std::string place_of(const std::string& name) { return origins_[name] + ": " + name; }

  // The one line in the file that option `name` names; "" when there is none, or after a problem.
  std::string secret_in(const std::string& name, const std::string& path) {
    if (path.empty()) return {};
    Result<std::string> secret = read_secret(path);
    if (secret) return std::move(*secret);
    problem(place_of(name), "the file " + secret.error().what);
    return {};
  }

  void check_ends_differ() {
    const Uri& source = options_.source.uri;
    const Uri& target = options_.target.uri;
    if (is_same_server(source, target))
      problem(origins_["target.uri"], "target.uri: source and target are the same server");
  }

  void check_file_target() {
    const Uri& target = options_.target.uri;
    if (target.kind != Uri::Kind::file) return;
    if (file_format_of(target.path) == FileFormat::unknown) {
      return problem(origins_["target.uri"],
                     "target.uri: a target file ends in .rdb, .resp or .jsonl (and .gz or .zst "
                     "behind that), or in .manifest");
    }
    if (options_.snapshot_mirror) {
      problem(origins_["snapshot.mirror"], "snapshot.mirror: a target file holds nothing before");
    }
    // Refused rather than not looked at.
    for (const auto& [name, origin] : origins_) {
      constexpr std::array groups = {"transform.script_file", "transform.decode", "limits.target_",
                                     "limits.source_", "source.mode"};
      const bool is_of_server = std::any_of(
          groups.begin(), groups.end(), [&name](auto group) { return name.rfind(group, 0) == 0; });
      const OptionDef* def = find_option(name);
      if (!is_of_server || def->show(options_) == def->show(Options())) continue;
      problem(place_of(name), "it has no effect on a target file yet; load the file through it");
    }
  }

  void problem(const std::string& place, const std::string& what) {
    problems_.push_back(place + ": " + what);
  }

  Options options_;
  std::vector<Setting> settings_;               // in order of precedence, the strongest last
  std::map<std::string, std::string> origins_;  // option -> where its value came from
  std::vector<std::string> problems_;
  std::size_t sources_ = 0;         // entries of `sources`
  std::vector<Loader> of_sources_;  // what each said
};

}  // namespace

Result<Options> load_options(const CommandLine& command_line, const Environment& environment) {
  return Loader().load(command_line, environment);
}

Explanation explain_options(const CommandLine& command_line, const Environment& environment) {
  return Loader().explain(command_line, environment);
}

}  // namespace keyferry
