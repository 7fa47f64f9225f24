#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include "keyferry/config/options.hpp"
#include "keyferry/config/yaml.hpp"

namespace keyferry {
namespace {

using Environment = std::map<std::string, std::string>;

class LoadOptions : public testing::Test {
 protected:
  void SetUp() override {
    const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = std::filesystem::temp_directory_path() /
           ("keyferry-load-" + std::to_string(getpid()) + "-" + info->name());
    std::filesystem::create_directories(dir_);
    flags_.source = "redis://127.0.0.1:1";
    flags_.target = "redis://127.0.0.1:2";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string write(const std::string& name, const std::string& text) {
    const std::string path = dir_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  void use_yaml(const std::string& text) { flags_.config_file = write("k.yaml", text); }

  // The text of the error with the directory cut out, "" when there is none.
  std::string problems() {
    const Result<Options> options = load_options(flags_, environment_);
    if (options) return {};
    EXPECT_TRUE(options.error().is(Errc::usage));
    std::string text = options.error().what;
    const std::string prefix = dir_.string() + "/";
    for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) {
      text.erase(at, prefix.size());
    }
    return text;
  }
  Options loaded() { return load_options(flags_, environment_).value(); }

  std::filesystem::path dir_;
  CommandLine flags_;
  Environment environment_;
};

TEST_F(LoadOptions, NeedsBothAddressesAndSaysHowToGiveThem) {
  flags_ = CommandLine();

  EXPECT_EQ(
      problems(),
      "the source is missing: give --source URI, KEYFERRY_SOURCE_URI or source.uri in the file\n"
      "the target is missing: give --target URI, KEYFERRY_TARGET_URI or target.uri in the file");
}

TEST_F(LoadOptions, TakesListsAndMaps) {
  use_yaml(
      "filter:\n  allow:\n    prefixes: ['app:', \"a b\", \"\\x01\"]\n    keys:\n    - one\n"
      "    - '2'\n  block: {types: hash, suffixes: ['k?']}\ndatabases:\n  map: {1: 0, 2: 3}\n"
      "transform: {key_prefix: {replace: {'a: ': \"[b]\"}}}\n");
  environment_["KEYFERRY_FILTER_BLOCK_KEYS"] = "[x, 'y, z']";
  flags_.set = {"filter.block.globs=k?*, all of it", "databases.prefix={1: 'db1:'}"};

  const Options options = loaded();
  EXPECT_EQ(options.filter.allow.prefixes, (std::vector<std::string>{"app:", "a b", "\x01"}));
  EXPECT_EQ(options.filter.allow.keys, (std::vector<std::string>{"one", "2"}));
  EXPECT_EQ(options.filter.block.types, std::vector<std::string>{"hash"});
  EXPECT_EQ(options.filter.block.suffixes, std::vector<std::string>{"k?"});
  EXPECT_EQ(options.filter.block.keys, (std::vector<std::string>{"x", "y, z"}));
  EXPECT_EQ(options.filter.block.globs, std::vector<std::string>{"k?*, all of it"});
  EXPECT_EQ(options.transform.databases.at("2"), "3");
  EXPECT_EQ(options.transform.database_prefix.at("1"), "db1:");
  EXPECT_EQ(options.transform.key_prefix_replace.at("a: "), "[b]");
}

TEST_F(LoadOptions, SaysWhatIsWrongWithLists) {
  use_yaml(
      "filter:\n  allow:\n    slots: [1, 9-3, 16384]\n    types: [hash, hsah]\n"
      "    keys: [a, [b]]\ndatabases: {map: [1]}\ntransform: {ttl: 5s}\n");

  EXPECT_EQ(problems(),
            "k.yaml:3: filter.allow.slots: '9-3': is no slot and no range of slots (0 to 16383)\n"
            "k.yaml:4: filter.allow.types: 'hsah': is none of "
            "string|list|set|zset|hash|stream|module|array\n"
            "k.yaml:5: filter.allow.keys: expected a list of single values\n"
            "k.yaml:6: databases.map: expected a map, like {a: b}\n"
            "k.yaml:7: transform.ttl: '5s' is neither keep nor none nor like +90s, -500ms, +2h, "
            "+1d");
}

TEST_F(LoadOptions, StrongerLayersWin) {
  use_yaml("log: {level: error, format: json, file: yaml}\nstop: {when: snapshot}\n");
  EXPECT_EQ(loaded().log_level, "error");

  environment_["KEYFERRY_LOG_LEVEL"] = "warn";
  environment_["KEYFERRY_STOP_WHEN"] = "never";
  EXPECT_EQ(loaded().log_level, "warn");
  EXPECT_EQ(loaded().stop_when, StopWhen::never);

  flags_.set = {"log.level=debug"};
  flags_.stop_when = "lag-zero";
  flags_.log_format = "text";
  flags_.http = "127.0.0.1:9";
  EXPECT_EQ(loaded().log_level, "debug");
  EXPECT_EQ(loaded().stop_when, StopWhen::lag_zero);
  EXPECT_EQ(loaded().log_format, "text");
  EXPECT_EQ(loaded().http_listen, "127.0.0.1:9");
  EXPECT_EQ(loaded().log_file, "yaml");
  EXPECT_EQ(loaded().spool_dir, "");
}

TEST_F(LoadOptions, TakesAddressesFromTheEnvironment) {
  flags_ = CommandLine();
  environment_["KEYFERRY_SOURCE_URI"] = "redis://a:1";
  environment_["KEYFERRY_TARGET_URI"] = "redis://b:2";

  EXPECT_EQ(loaded().source.uri.hosts.at(0).host, "a");
  EXPECT_EQ(loaded().target.uri.hosts.at(0).host, "b");
}

TEST_F(LoadOptions, SetKeepsEverythingBehindTheFirstEqualsSign) {
  flags_.set = {"spool.dir=a=b", "log.file="};

  EXPECT_EQ(loaded().spool_dir, "a=b");
  EXPECT_EQ(loaded().log_file, "");
}

TEST_F(LoadOptions, ReportsAllProblemsAtOnceWithTheirPlaces) {
  use_yaml(
      "source:\n"
      "  uri: redis://h:notaport\n"
      "  topolgy: cluster\n"
      "\n"
      "limit:\n"
      "  memory_max_bytes: 1\n"
      "stop:\n"
      "  stable_for_ms: [1, 2]\n"
      "  when:\n"
      "  then: exit\n"
      "  then: idle\n"
      "log: debug\n"
      "sharding: {}\n");
  environment_["KEYFERRY_LOG_LEVEL"] = "loud";
  environment_["KEYFERRY_SOURCE_URL"] = "redis://h";
  flags_.source.clear();
  flags_.target.clear();
  flags_.set = {"log.levle=info", "log.level", "target.lanes_per_node=99"};
  flags_.stop_when = "tomorrow";

  EXPECT_EQ(
      problems(),
      "k.yaml:3: unknown option 'source.topolgy'; did you mean source.topology?\n"
      "k.yaml:5: unknown group 'limit'; did you mean limits?\n"
      "k.yaml:8: stop.stable_for_ms: expected one value, not a list or a map\n"
      "k.yaml:9: stop.when: has no value (write \"\" for an empty one)\n"
      "k.yaml:11: stop.then: given twice (first in line 10)\n"
      "k.yaml:12: log: expected options below it, like 'name: value'\n"
      "k.yaml:13: unknown group 'sharding'\n"
      "environment: unknown variable 'KEYFERRY_SOURCE_URL'; did you mean KEYFERRY_SOURCE_URI?\n"
      "--set: unknown option 'log.levle'; did you mean log.level?\n"
      "--set: write name=value, like --set log.level=debug\n"
      "k.yaml:2: source.uri: the port is not a number from 1 to 65535\n"
      "KEYFERRY_LOG_LEVEL: log.level: 'loud' is none of debug|info|warn|error\n"
      "--set: target.lanes_per_node: 99 is out of range (connections, 1 to 64)\n"
      "--stop-when: stop.when: 'tomorrow' is none of never|snapshot|lag-zero\n"
      "the target is missing: give --target URI, KEYFERRY_TARGET_URI or target.uri in the file");
}

TEST_F(LoadOptions, ReadsFilesWithoutSettings) {
  use_yaml("");
  EXPECT_EQ(problems(), "");
  use_yaml("# nothing\nlog:\n");
  EXPECT_EQ(problems(), "");
}

TEST_F(LoadOptions, NamesFilesThatAreNoYaml) {
  use_yaml("log:\n  level: [\n");
  EXPECT_EQ(problems().substr(0, 24), "k.yaml:3: not valid YAML");
  use_yaml("- a\n");
  EXPECT_EQ(problems(), "k.yaml:1: expected groups of options, like 'source:'");
  use_yaml("{[1]: 2, log: {? {a: 1} : 3}}");
  EXPECT_NE(problems().find("k.yaml:1: unknown group"), std::string::npos);
}

TEST_F(LoadOptions, IgnoresNothingBehindTheFirstDocument) {
  const std::string problem =
      ": what follows is not part of the first document (a stray character or '---')";
  use_yaml("log: {level: info}\n---\nlog: {level: debug}\n");
  EXPECT_EQ(problems(), "k.yaml:2" + problem);
  use_yaml("{log: {level: info}}\n\n, stop: {when: snapshot}\n");
  EXPECT_EQ(problems(), "k.yaml:3" + problem);
  use_yaml(", log: {level: debug}\n");
  EXPECT_EQ(problems(), "k.yaml:1" + problem);
  use_yaml("log: {level: info}\n...\n");
  EXPECT_EQ(problems(), "");
}

TEST_F(LoadOptions, NamesFilesThatCannotBeRead) {
  flags_.config_file = dir_ / "none.yaml";
  EXPECT_EQ(problems(), "none.yaml: cannot be opened: No such file or directory");
  flags_.config_file = dir_;
  EXPECT_NE(problems().find("cannot be read: Is a directory"), std::string::npos);
  use_yaml(std::string(1024 * 1024 + 1, '#'));
  EXPECT_EQ(problems(), "k.yaml: has more than 1048576 bytes");
}

TEST_F(LoadOptions, ReadsPasswordFilesAndCutsTheNewline) {
  use_yaml("source: {password_file: " + write("s", "from file\n") + "}\n");
  flags_.set = {"target.password_file=" + write("t", "x\r\n")};

  EXPECT_EQ(loaded().source.uri.password, "from file");
  EXPECT_EQ(loaded().target.uri.password, "x");
}

TEST_F(LoadOptions, RefusesUselessPasswordFiles) {
  flags_.set = {"source.password_file=" + write("empty", "\n")};
  EXPECT_EQ(problems(), "--set: source.password_file: the file is empty");
  flags_.set = {"source.password_file=" + write("lines", "a\nb\n")};
  EXPECT_EQ(problems(), "--set: source.password_file: the file has more than one line");
  flags_.set = {"source.password_file=" + write("large", std::string(4097, 'a'))};
  EXPECT_EQ(problems(), "--set: source.password_file: the file has more than 4096 bytes");
  flags_.set = {};
  use_yaml("target:\n  password_file: /nonexistent/hunter2\n");
  EXPECT_EQ(problems(),
            "k.yaml:2: target.password_file: the file cannot be opened: No such file or directory");
  use_yaml("target:\n  password_file: " + write("pw", "a") + "\n");
  flags_.target = "redis://:b@h";
  EXPECT_EQ(problems(),
            "k.yaml:2: target.password_file: the address holds a password as well; keep one");
}

TEST_F(LoadOptions, FallsBackToRedisCliAuthForEndsWithoutPassword) {
  environment_["REDISCLI_AUTH"] = "shared";
  flags_.source = "redis://ann@127.0.0.1:1";
  flags_.target = "redis://:own@127.0.0.1:2";
  EXPECT_EQ(loaded().source.uri.password, "shared");
  EXPECT_EQ(loaded().source.uri.user, "ann");
  EXPECT_EQ(loaded().target.uri.password, "own");

  flags_.set = {"source.password_file=" + write("pw", "file")};
  EXPECT_EQ(loaded().source.uri.password, "file");
}

TEST_F(LoadOptions, ReadsNestedGroups) {
  flags_.source = "rediss://a:1";
  use_yaml("source:\n  tls:\n    verify: ca\n    server_name: s\n");
  EXPECT_EQ(loaded().source.tls.verify, TlsVerify::ca);
  EXPECT_EQ(loaded().source.tls.server_name, "s");

  use_yaml("source:\n  tls:\n    verfy: ca\n");
  EXPECT_EQ(problems(),
            "k.yaml:3: unknown option 'source.tls.verfy'; did you mean source.tls.verify?");
  use_yaml("source:\n  tls: ca\n");
  EXPECT_EQ(problems(), "k.yaml:2: source.tls: expected options below it, like 'name: value'");
}

TEST_F(LoadOptions, RefusesTlsOptionsThatWouldNotBeLookedAt) {
  flags_.set = {"target.tls.ca_file=/ca.pem"};
  EXPECT_EQ(problems(),
            "--set: target.tls.ca_file: the address does not ask for TLS (write rediss:// or "
            "valkeys://)");
  flags_.target = "valkeys://h";
  EXPECT_EQ(problems(), "");
  flags_.set = {"target.tls.cert_file=/c.pem"};
  EXPECT_EQ(problems(), "--set: target.tls.cert_file: needs target.tls.key_file beside it");
}

TEST_F(LoadOptions, ServesHttpToOthersOnlyWithAToken) {
  flags_.http = "0.0.0.0:8484";
  EXPECT_NE(problems().find("--http: http.listen: an address that others can reach needs "
                            "http.token_file"),
            std::string::npos)
      << problems();
  flags_.set = {"http.token_file=" + write("token", "sesame\n")};
  EXPECT_EQ(loaded().http_token, "sesame");
}

TEST_F(LoadOptions, ExplainsValuesAndOriginsEvenWithProblems) {
  flags_.source = "redis://ann:hunter2@h:1";
  flags_.target.clear();
  use_yaml("log:\n  level: debug\n");
  environment_ = {{"KEYFERRY_STOP_WHEN", "snapshot"}, {"REDISCLI_AUTH", "hunter2"}};

  const Explanation out = explain_options(flags_, environment_);

  EXPECT_EQ(out.problems.rfind("the target is missing", 0), 0U) << out.problems;
  std::map<std::string, std::string> shown;
  for (const ExplainedOption& one : out.options)
    shown[one.name] = one.value + " <- " + one.origin;
  EXPECT_EQ(shown.size(), option_rows().size());
  EXPECT_EQ(shown["source.uri"], "redis://ann:***@h:1 <- --source");
  EXPECT_EQ(shown["log.level"], "debug <- " + (dir_ / "k.yaml").string() + ":2");
  EXPECT_EQ(shown["stop.when"], "snapshot <- KEYFERRY_STOP_WHEN");
  EXPECT_EQ(shown["stop.then"], "exit <- default");
}

TEST_F(LoadOptions, RefusesToCopyAServerOntoItself) {
  const char* const problem = "--target: target.uri: source and target are the same server";
  flags_.source = "redis://LocalHost:6379";
  flags_.target = "127.0.0.1:6379";
  EXPECT_EQ(problems(), problem);
  flags_.target = "redis://a:1,127.0.0.1";
  EXPECT_EQ(problems(), problem);
  flags_.source = flags_.target = "redis-sentinel://s/m";
  EXPECT_EQ(problems(), problem);
  flags_.target = "redis-sentinel://s/n";
  EXPECT_EQ(problems(), "");
  flags_.source = flags_.target = "unix:///run/r";
  EXPECT_EQ(problems(), problem);
  flags_.target = "unix:///run/t";
  EXPECT_EQ(problems(), "");
  flags_.source = "redis://a:1";
  flags_.target = "redis://b:1";
  EXPECT_EQ(problems(), "");
  flags_.target = "redis://a:2";
  EXPECT_EQ(problems(), "");
}

TEST_F(LoadOptions, LeavesVariablesOfTestsAndKubernetesAlone) {
  environment_ = {{"KEYFERRY_CORPUS", "x"},
                  {"KEYFERRY_TEST_LONG", "1"},
                  {"KEYFERRY_SERVICE_HOST", "10.0.0.9"},
                  {"KEYFERRY_SERVICE_PORT", "8484"},
                  {"KEYFERRY_SERVICE_PORT_HTTP", "8484"},
                  {"KEYFERRY_PORT", "tcp://10.0.0.9:8484"},
                  {"KEYFERRY_PORT_8484_TCP", "tcp://10.0.0.9:8484"},
                  {"KEYFERRY_PORT_8484_TCP_PORT", "8484"},
                  {"KEYFERRY_METRICS_SERVICE_HOST", "10.0.0.9"},
                  {"KEYFERRYX", "1"},
                  {"LANG", "C"}};
  EXPECT_EQ(problems(), "");

  environment_ = {{"KEYFERRY_PORT", "8484"}, {"KEYFERRY_HTTP_PORT", "8484"}};
  EXPECT_EQ(
      problems(),
      "environment: unknown variable 'KEYFERRY_HTTP_PORT'; did you mean KEYFERRY_HTTP_LISTEN?\n"
      "environment: unknown variable 'KEYFERRY_PORT'");
}

TEST_F(LoadOptions, RefusesWhatATargetFileDoesNotKnow) {
  flags_.target = "file:///tmp/out.rdb";
  EXPECT_EQ(problems(), "");

  flags_.set = {"filter.block.keys=[a]", "transform.decode=true", "limits.target_ops_per_s=5",
                "source.mode=auto"};
  const std::string found = problems();
  EXPECT_EQ(found.find("filter.block.keys"), std::string::npos) << found;
  EXPECT_NE(found.find("transform.decode: it has no effect on a target file yet"),
            std::string::npos)
      << found;
  EXPECT_NE(found.find("limits.target_ops_per_s: it has"), std::string::npos) << found;
  flags_.set = {};
  flags_.target = "file:///tmp/out.txt";
  EXPECT_NE(problems().find("a target file ends in .rdb, .resp or .jsonl"), std::string::npos);
}

TEST_F(LoadOptions, RefusesToEmptyATargetThatOthersFill) {
  flags_.set = {"source.shards=0/3", "target.before=flush"};
  EXPECT_EQ(problems(),
            "--set: target.before: with source.shards others fill the target as well: empty it "
            "before, and keep");
  flags_.set = {"source.shards=0/3", "target.before=must_be_empty"};
  EXPECT_NE(problems(), "");
  flags_.set = {"source.shards=0/1", "target.before=flush"};
  EXPECT_EQ(problems(), "");
  flags_.set = {"source.shards=3/3"};
  EXPECT_NE(problems().find("is not like 0/3"), std::string::npos) << problems();
}

TEST_F(LoadOptions, WantsBothHalvesOfAPause) {
  flags_.set = {"cutover.on_pause=true"};
  EXPECT_EQ(problems(), "--set: cutover.on_pause: needs cutover.on_unpause beside it");
  flags_.set = {"cutover.on_unpause=true"};
  EXPECT_EQ(problems(), "--set: cutover.on_unpause: needs cutover.on_pause beside it");
}

TEST_F(LoadOptions, NeverShowsASecret) {
  flags_.source = "redis://ann:hunter2@h:notaport";
  flags_.target = "file://:hunter2@h";
  flags_.http = "hunter2@h";
  flags_.set = {"redis://:hunter2=x@h", "source.uri:hunter2", "log.level=redis://:hunter2@h",
                "target.lanes_per_node=x:hunter2@h"};
  environment_ = {{"KEYFERRY_SOURCE_URI", "redis://:hunter2@"},
                  {"KEYFERRY_TARGET_URI", "nosuch://:hunter2@h"},
                  {"KEYFERRY_SOURCE_PASSWORD_FILE", "hunter2"},
                  {"KEYFERRY_SOURCE_PASSWORD", "hunter2"},
                  {"REDISCLI_AUTH", "hunter2"}};
  use_yaml(
      "redis://:hunter2@h: 1\n"
      "source: {redis://:hunter2@h: 1, uri: redis://:hunter2@h/x}\n"
      "target: redis://:hunter2@h\n");
  const std::string from_values = problems();
  EXPECT_EQ(from_values.find("hunter2"), std::string::npos) << from_values;
  EXPECT_EQ(std::count(from_values.begin(), from_values.end(), '\n'), 14) << from_values;

  for (const char* text :
       {"source: {uri: *hunter2}", "source: {uri: \"hunter2", "%hunter2", "!hunter2! a",
        "source: {uri: 'hunter2", "source: {uri: \"\\hunter2\"}", "a: &hunter2&x"}) {
    use_yaml(text);
    EXPECT_EQ(problems().find("hunter2"), std::string::npos) << problems();
  }
}

}  // namespace
}  // namespace keyferry
