// config/keyferry.yaml is the manual of the options: it must hold each of them, with its default
// and description.
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "keyferry/config/option_table.hpp"

namespace keyferry {
namespace {

const std::string config_dir = KEYFERRY_SOURCE_DIR "/config/";

Result<Options> load_file(const std::string& path) {
  CommandLine flags;
  flags.config_file = config_dir + path;
  return load_options(flags, {});
}

// Option -> the comment lines right above it, joined by single spaces.
std::map<std::string, std::string> comments_of_sample() {
  std::map<std::string, std::string> comments;
  std::ifstream file(config_dir + "keyferry.yaml");
  std::string prefixes[2];  // "source.", "source.tls."
  std::string comment;
  for (std::string line; std::getline(file, line);) {
    const std::size_t start = line.find_first_not_of(' ');
    if (start == std::string::npos) {
      comment.clear();
    } else if (line[start] == '#') {
      comment += (comment.empty() ? "" : " ") + line.substr(start + 2);
    } else {
      const std::string name = line.substr(start, line.find(':') - start);
      const std::size_t depth = start / 2;
      const std::string full = (depth == 0 ? "" : prefixes[depth - 1]) + name;
      const bool is_group = line.back() == ':';
      if (is_group) prefixes[depth] = full + ".";
      if (!is_group) comments[full] = comment;
      comment.clear();
    }
  }
  return comments;
}

TEST(SampleFile, LoadsAsEveryDefault) {
  const Result<Options> options = load_file("keyferry.yaml");
  ASSERT_TRUE(options.has_value()) << options.error().what;

  for (const OptionDef& def : option_table()) {
    if (def.name == "source.uri" || def.name == "target.uri") continue;
    EXPECT_EQ(def.show(*options), def.show(Options())) << def.name;
  }
}

TEST(SampleFile, HoldsEachOptionWithExactlyItsDefaultText) {
  const YAML::Node sample = YAML::LoadFile(config_dir + "keyferry.yaml");

  for (const OptionRow& row : option_rows()) {
    YAML::Node value = sample;
    std::istringstream names(row.name);
    for (std::string name; std::getline(names, name, '.');) {
      ASSERT_TRUE(value.IsMap()) << row.name;
      const YAML::Node child = value[name];
      ASSERT_TRUE(child.IsDefined()) << row.name;
      value.reset(child);
    }
    if (row.name == "source.uri" || row.name == "target.uri") continue;  // there is no default
    const char* const empty = value.IsSequence() ? "[]" : "{}";
    const bool is_empty = !value.IsScalar() && value.size() == 0;
    EXPECT_EQ(is_empty ? empty : value.Scalar(), row.default_text) << row.name;
  }
}

TEST(SampleFile, DescribesEachOptionInTheWordsOfTheProgram) {
  std::map<std::string, std::string> comments = comments_of_sample();

  for (const OptionRow& row : option_rows())
    EXPECT_EQ(comments[row.name], row.what) << row.name;
}

TEST(ExampleFiles, StandaloneLoads) {
  const Result<Options> options = load_file("examples/standalone.yaml");

  ASSERT_TRUE(options.has_value()) << options.error().what;
  EXPECT_EQ(options->stop_when, StopWhen::lag_zero);
}

TEST(ExampleFiles, ClusterLoads) {
  const Result<Options> options = load_file("examples/cluster.yaml");

  ASSERT_TRUE(options.has_value()) << options.error().what;
  EXPECT_EQ(options->target.topology, Topology::cluster);
  EXPECT_EQ(options->target.uri.hosts.size(), 3U);
}

// Every scenario that has a file: a sentence that says what it is for, and a configuration that
// `run` would start with once its secrets are there.
TEST(ExampleFiles, AllLoadAndSayWhatTheyAreFor) {
  const std::string secret = testing::TempDir() + "keyferry_sample_test_secret";
  const std::string copy = testing::TempDir() + "keyferry_sample_test.yaml";
  std::ofstream(secret) << "sesame\n";
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(config_dir + "examples")) {
    std::ifstream file(entry.path());
    std::string line;
    std::string text;
    while (std::getline(file, line)) {
      const std::size_t colon = line.find("_file: ");
      const bool is_secret = colon != std::string::npos &&
                             line.find("dead_letter") == std::string::npos &&
                             line.find("ca_file") == std::string::npos;
      text += (is_secret ? line.substr(0, colon + 7) + secret : line) + "\n";
    }
    EXPECT_TRUE(text.starts_with("# ")) << entry.path();
    std::ofstream(copy) << text;
    CommandLine command_line;
    command_line.config_file = copy;

    const Result<Options> options = load_options(command_line, {});

    EXPECT_TRUE(options) << entry.path() << ": " << options.error().what;
    ++count;
  }
  EXPECT_GE(count, 7U);
  std::remove(secret.c_str());
  std::remove(copy.c_str());
}

}  // namespace
}  // namespace keyferry
