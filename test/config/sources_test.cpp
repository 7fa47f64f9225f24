// `sources` in the file: entries as links of their own, and what cannot be asked of several.
#include "keyferry/config/sources.hpp"

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

namespace keyferry {
namespace {

class Sources : public testing::Test {
 protected:
  void SetUp() override {
    const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = std::filesystem::temp_directory_path() /
           ("keyferry-sources-" + std::to_string(getpid()) + "-" + info->name());
    std::filesystem::create_directories(dir_);
    flags_.config_file = dir_ / "k.yaml";
    flags_.target = "redis://127.0.0.1:2";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  void use_yaml(const std::string& text) { std::ofstream(dir_ / "k.yaml") << text; }

  // The problems with the folder cut out, "" when there are none.
  std::string problems() {
    const Result<Options> options = load_options(flags_, {});
    if (options) return {};
    std::string text = options.error().what;
    const std::string prefix = dir_.string() + "/";
    for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix))
      text.erase(at, prefix.size());
    return text;
  }
  std::string problems_with(const std::string& yaml) {
    use_yaml(yaml);
    return problems();
  }

  std::filesystem::path dir_;
  CommandLine flags_;
};

TEST_F(Sources, EachEntryHasWhatIsSaidForAllAndItsOwn) {
  std::ofstream(dir_ / "secret") << "sesame\n";
  use_yaml(
      "source: {connect_timeout_ms: 77, psync_command: SYNCHRONISE}\n"
      "filter: {block: {prefixes: [tmp]}}\n"
      "sources:\n"
      "  - uri: redis://a:1\n"
      "  - uri: redis://ann@b:2\n"
      "    name: shop\n"
      "    password_file: " +
      (dir_ / "secret").string() +
      "\n"
      "    connect_timeout_ms: 88\n"
      "    filter: {block: {prefixes: [x, y]}}\n"
      "    transform: {key_prefix: {add: 'shop:'}}\n"
      "delivery: {link: all}\n");

  const Result<Options> loaded = load_options(flags_, {});

  ASSERT_TRUE(loaded) << loaded.error().what;
  ASSERT_EQ(loaded->sources.size(), 2U);
  const Options& a = loaded->sources[0];
  const Options& b = loaded->sources[1];
  EXPECT_EQ(a.source.uri.hosts.front().host, "a");
  EXPECT_EQ(a.source.connect_timeout_ms, 77);
  EXPECT_EQ(b.source.connect_timeout_ms, 88);
  EXPECT_EQ(b.source_psync_command, "SYNCHRONISE");
  EXPECT_EQ(b.source.uri.password, "sesame");
  EXPECT_EQ(a.source.uri.password, "");
  EXPECT_EQ(a.filter.block.prefixes, (std::vector<std::string>{"tmp"}));
  EXPECT_EQ(b.filter.block.prefixes, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(a.transform.key_prefix_add, "");
  EXPECT_EQ(b.transform.key_prefix_add, "shop:");
  EXPECT_EQ(a.delivery_link, "all-a_1");
  EXPECT_EQ(b.delivery_link, "all-shop");
  EXPECT_EQ(a.target.uri.hosts.front().port, 2);
}

TEST_F(Sources, KeepTheirNamesInAnotherOrder) {
  use_yaml("sources: [{uri: 'redis://a:1'}, {uri: 'redis://[::1]:2'}]\n");
  const Options before = load_options(flags_, {}).value();
  use_yaml("sources: [{uri: 'redis://[::1]:2'}, {uri: 'redis://c:3'}, {uri: 'redis://a:1'}]\n");
  const Options after = load_options(flags_, {}).value();

  EXPECT_EQ(before.sources[0].delivery_link, "sources-a_1");
  EXPECT_EQ(before.sources[1].delivery_link, "sources-__1_2");
  EXPECT_EQ(after.sources[2].delivery_link, before.sources[0].delivery_link);
  EXPECT_EQ(after.sources[0].delivery_link, before.sources[1].delivery_link);
}

TEST_F(Sources, AnEmptyListIsNone) {
  EXPECT_EQ(problems_with("sources: []\n").rfind("the source is missing", 0), 0U) << problems();
  EXPECT_EQ(problems_with("sources: []\nsource: {uri: 'redis://a:1'}\n"), "");
}

TEST_F(Sources, SaysWhereAnEntryIsWrong) {
  EXPECT_EQ(problems_with("sources:\n  - uri: redis://a:1\n  - url: redis://b:2\n"),
            "k.yaml:3: unknown option 'source.url'; did you mean source.uri?\n"
            "k.yaml:3: sources, entry 2: source.uri: is missing");
  EXPECT_EQ(problems_with("sources:\n  - uri: redis://a:1\n  - {}\n"),
            "k.yaml:3: sources, entry 2: source.uri: is missing");
  EXPECT_EQ(problems_with("sources: {uri: 'redis://a:1'}\n").substr(0, 42),
            "k.yaml:1: sources: expected a list, like '");
  EXPECT_EQ(problems_with("sources: ['redis://a:1']\n"),
            "k.yaml:1: sources: expected options in each entry, like 'uri: redis://...'\n"
            "k.yaml:1: sources, entry 1: source.uri: is missing");
  EXPECT_EQ(problems_with("sources:\n  - uri: redis://a:1\n    mode: psync\n"),
            "k.yaml:3: source.mode: not for one of several sources");
  EXPECT_EQ(problems_with("sources:\n  - uri: redis://a:1\n    uri: redis://b:1\n"),
            "k.yaml:3: source.uri: given twice (first in line 2)");
  EXPECT_EQ(problems_with("sources:\n  - uri: redis://a:1\n    name: a-b\n"),
            "k.yaml:2: sources, entry 1: source.name: 1 to 64 letters, digits, '_' and '.' make a "
            "name");
  EXPECT_EQ(problems_with("sources:\n  - uri: redis://a:1\n    password_file: /nowhere\n")
                .rfind("k.yaml:3: source.password_file: the file cannot", 0),
            0U)
      << problems();
}

TEST_F(Sources, TakesNoOtherSourceBesides) {
  flags_.source = "redis://c:3";
  EXPECT_EQ(problems_with("sources: [{uri: 'redis://a:1'}]\n"),
            "--source: source.uri: there is a list of sources as well; keep one");
}

TEST_F(Sources, RefusesAServerTwice) {
  EXPECT_EQ(problems_with("sources:\n  - uri: redis://localhost:1\n  - uri: "
                          "redis://b:1,127.0.0.1:1\n    name: other\n"),
            "k.yaml:3: sources, entry 2: source.uri: the same server as that of entry 1");
  EXPECT_EQ(problems_with("sources:\n  - {uri: 'redis://a:1', name: x}\n  - {uri: 'redis://b:1', "
                          "name: x}\n"),
            "k.yaml:3: sources, entry 2: source.name: entry 1 has this name as well");
  EXPECT_EQ(problems_with("sources: [{uri: 'redis://127.0.0.1:2'}]\n"),
            "--target: target.uri: source and target are the same server");
  EXPECT_EQ(problems_with("sources: [{uri: 'redis-sentinel://s/a'}, {uri: "
                          "'redis-sentinel://s/b'}]\n"),
            "");
}

TEST_F(Sources, RefusesWhatSeveralCannotHave) {
  const std::string list = "sources: [{uri: 'redis://a:1'}, {uri: 'redis://b:1'}]\n";
  for (const char* setting : {"snapshot.mirror=true", "source.mode=scan", "source.shards=0/3",
                              "stop.verify=digest", "target.uri=file:///tmp/a.rdb"}) {
    flags_.set = {setting};
    const std::string name = std::string(setting).substr(0, std::string(setting).find('='));
    if (name == "target.uri") flags_.target.clear();
    EXPECT_EQ(problems_with(list).rfind("--set: " + name + ": ", 0), 0U) << problems();
  }
  flags_ = CommandLine();
  flags_.config_file = dir_ / "k.yaml";
  flags_.target = "redis://127.0.0.1:2";
  EXPECT_EQ(problems_with("sources: [{uri: 'file:///tmp/a.rdb'}]\n"),
            "k.yaml:1: sources, entry 1: source.uri: a file is not one of several sources");
  EXPECT_EQ(problems_with("sources: [{uri: 'redis://a:1', topology: cluster}]\n"),
            "k.yaml:1: sources, entry 1: source.topology: a cluster is not one of several sources");
}

TEST_F(Sources, AreExplainedWithTheirPlacesAndWithoutSecrets) {
  use_yaml(
      "sources:\n"
      "  - uri: redis://ann:hunter2@a:1\n"
      "    name: shop\n"
      "    transform: {key_prefix: {add: 'shop:'}}\n"
      "  - uri: redis://b:1\n");

  const Explanation out = explain_options(flags_, {});

  EXPECT_EQ(out.problems, "");
  std::map<std::string, std::string> shown;
  for (const ExplainedOption& one : out.options)
    shown[one.name] = one.value + " <- " + one.origin.substr(one.origin.rfind('/') + 1);
  EXPECT_EQ(shown["sources.1.uri"], "redis://ann:***@a:1 <- k.yaml:2");
  EXPECT_EQ(shown["sources.1.name"], "shop <- k.yaml:3");
  EXPECT_EQ(shown["sources.2.name"], "b_1 <- default");
  EXPECT_EQ(shown["sources.1.transform.key_prefix.add"], "shop: <- k.yaml:4");
}

}  // namespace
}  // namespace keyferry
