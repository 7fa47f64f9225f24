// `keyferry config`: what it prints about a file, and what it makes of one of RedisShake.
#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

struct Answer {
  int code = -1;
  std::string text;
};

Answer ask(const std::vector<std::string>& args) {
  TempDir directory;
  ProcessOptions how;
  how.args = args;
  how.output_file = directory.file("output");
  Process process(how);
  const auto code = process.wait(Millis{20000});
  return {code.value_or(-1), read_file(how.output_file)};
}

const std::string shake = KEYFERRY_TEST_DATA "/shake/";

TEST(ConfigImport, MakesAFileThatTheProgramTakes) {
  const TempDir directory;
  const Answer made = ask({KEYFERRY_BINARY, "config", "import", shake + "v4_sync.toml"});
  ASSERT_EQ(made.code, 0) << made.text;
  EXPECT_NE(made.text.find("#   advanced.pipeline_count_limit: "), std::string::npos) << made.text;
  write_file(directory.file("ours.yaml"), made.text);

  const Answer shown =
      ask({KEYFERRY_BINARY, "config", "show", "--config", directory.file("ours.yaml")});

  EXPECT_EQ(shown.code, 0) << shown.text;
  EXPECT_NE(shown.text.find("redis://10.0.0.1:6379"), std::string::npos) << shown.text;
}

TEST(ConfigImport, EndsWithOneWhenDataWouldDiffer) {
  const TempDir directory;
  write_file(directory.file("shake.toml"),
             read_file(shake + "v3_sync.toml") + "[filter]\nfunction = \"x\"\n");

  const Answer made = ask({KEYFERRY_BINARY, "config", "import", directory.file("shake.toml")});

  EXPECT_EQ(made.code, 1);
  EXPECT_NE(made.text.find("# NOT CARRIED OVER"), std::string::npos) << made.text;
  EXPECT_NE(made.text.find("#   filter.function: "), std::string::npos) << made.text;
}

TEST(ConfigImport, EndsWithTwoWhenItIsNoFileOfRedisShake) {
  EXPECT_EQ(ask({KEYFERRY_BINARY, "config", "import", "/nowhere.toml"}).code, 2);
  EXPECT_EQ(
      ask({KEYFERRY_BINARY, "config", "import", KEYFERRY_SOURCE_DIR "/config/keyferry.yaml"}).code,
      2);
}

TEST(ConfigShow, NamesWhereValuesComeFromAndHidesSecrets) {
  const TempDir directory;
  write_file(directory.file("ours.yaml"),
             "source: {uri: 'redis://app:hunter2@10.0.0.1'}\ntarget: {uri: '10.0.0.2'}\n");

  const Answer shown = ask({KEYFERRY_BINARY, "config", "show", "--config",
                            directory.file("ours.yaml"), "--set", "log.level=warn"});

  EXPECT_EQ(shown.code, 0);
  EXPECT_EQ(shown.text.find("hunter2"), std::string::npos) << shown.text;
  EXPECT_NE(shown.text.find("redis://app:***@10.0.0.1:6379"), std::string::npos) << shown.text;
  EXPECT_NE(shown.text.find("ours.yaml:1"), std::string::npos) << shown.text;
  EXPECT_NE(shown.text.find("--set"), std::string::npos) << shown.text;
}

}  // namespace
}  // namespace keyferry::test
