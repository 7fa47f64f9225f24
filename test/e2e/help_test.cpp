// Help, manual and completions name the same commands and flags as the program.
#include <set>
#include <sstream>

#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

std::string output_of(const std::vector<std::string>& args, int expected_code = 0) {
  TempDir directory;
  ProcessOptions how;
  how.args = args;
  how.output_file = directory.file("output");
  Process process(how);
  EXPECT_EQ(process.wait(Millis{20000}), expected_code) << args.front();
  return read_file(how.output_file);
}

// Words behind two spaces under "Subcommands:".
std::vector<std::string> commands_in(const std::string& help) {
  std::vector<std::string> out;
  std::size_t at = help.find("Subcommands:\n");
  while (at != std::string::npos && help.compare(help.find('\n', at) + 1, 2, "  ") == 0) {
    at = help.find('\n', at) + 1;
    out.push_back(help.substr(at + 2, help.find(' ', at + 2) - at - 2));
  }
  return out;
}

// The --flags of the lines "  -h,--help   ..." and "  --flag VALUE   ...".
std::set<std::string> flags_in(const std::string& help) {
  std::set<std::string> out;
  std::istringstream lines(help.substr(0, help.find("Options for --set")));
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("  -", 0) != 0) continue;
    const std::size_t begin = line.find("--");
    out.insert(line.substr(begin, line.find(' ', begin) - begin));
  }
  return out;
}

struct Leaf {
  std::string command;  // "config show"
  std::set<std::string> flags;
};

std::vector<Leaf> leaves() {
  std::vector<Leaf> out;
  for (const std::string& name : commands_in(output_of({KEYFERRY_BINARY, "--help"}))) {
    const std::string help = output_of({KEYFERRY_BINARY, name, "--help"});
    const std::vector<std::string> below = commands_in(help);
    if (below.empty()) out.push_back({name, flags_in(help)});
    for (const std::string& leaf : below) {
      out.push_back(
          {name + " " + leaf, flags_in(output_of({KEYFERRY_BINARY, name, leaf, "--help"}))});
    }
  }
  return out;
}

std::string config_file(const std::string& path) {
  return read_file(std::string(KEYFERRY_SOURCE_DIR) + "/config/" + path);
}

TEST(Help, NamesEveryCommandWithExamples) {
  const std::string help = output_of({KEYFERRY_BINARY, "--help"});
  EXPECT_GE(commands_in(help).size(), 8u) << help;
  EXPECT_NE(help.find("Examples:"), std::string::npos);
  // Every option of the program is in the help of run.
  const std::string run = output_of({KEYFERRY_BINARY, "run", "--help"});
  std::istringstream names(output_of({KEYFERRY_BINARY, "config", "names"}));
  std::size_t count = 0;
  for (std::string name; std::getline(names, name); ++count)
    EXPECT_NE(run.find("\n  " + name + " ["), std::string::npos) << name;
  EXPECT_GT(count, 40u);
}

TEST(Man, NamesEveryCommandAndFlag) {
  std::string page = config_file("man/keyferry.1");
  for (std::size_t at = page.find("\\-"); at != std::string::npos; at = page.find("\\-"))
    page.erase(at, 1);
  for (const Leaf& leaf : leaves()) {
    EXPECT_NE(page.find("\n.B " + leaf.command + "\n"), std::string::npos) << leaf.command;
    for (const std::string& flag : leaf.flags) {
      const bool plain = page.find("\n.B " + flag + "\n") != std::string::npos;
      EXPECT_TRUE(plain || page.find("\n.BI " + flag + " ") != std::string::npos) << flag;
    }
  }
  const std::string shown = output_of(
      {"sh", "-c",
       "MANWIDTH=100 man --warnings -E UTF-8 -l " KEYFERRY_SOURCE_DIR "/config/man/keyferry.1"});
  EXPECT_NE(shown.find("EXIT STATUS"), std::string::npos) << shown.substr(0, 300);
  EXPECT_EQ(shown.find("warning:"), std::string::npos) << shown.substr(0, 300);
}

// What bash offers behind the words of `line`.
std::set<std::string> completions(const std::string& line) {
  const std::string script =
      "source " KEYFERRY_SOURCE_DIR
      "/config/completion/keyferry.bash\n"
      "COMP_WORDS=(" KEYFERRY_BINARY " " +
      line +
      " \"$1\")\n"
      "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_keyferry\nprintf '%s\\n' \"${COMPREPLY[@]}\"";
  std::set<std::string> out;
  for (const char* begun : {"", "--"}) {
    std::istringstream lines(output_of({"bash", "-c", script, "bash", begun}));
    for (std::string one; std::getline(lines, one);)
      out.insert(one);
  }
  return out;
}

TEST(Completion, OffersInBashWhatTheProgramTakes) {
  for (const Leaf& leaf : leaves()) {
    const std::string first = leaf.command.substr(0, leaf.command.find(' '));
    EXPECT_TRUE(completions("").contains(first)) << first;
    const std::set<std::string> offered = completions(leaf.command);
    for (const std::string& flag : leaf.flags)
      EXPECT_TRUE(offered.contains(flag)) << leaf.command << " " << flag;
    for (const std::string& one : offered) {
      EXPECT_TRUE(one.empty() || leaf.flags.contains(one)) << leaf.command << " " << one;
    }
  }
  EXPECT_TRUE(completions("run --set").contains("log.level="));
  EXPECT_TRUE(completions("run --stop-when").contains("lag-zero"));
}

TEST(Completion, IsGoodZshAndHoldsEveryFlag) {
  const std::string path = KEYFERRY_SOURCE_DIR "/config/completion/keyferry.zsh";
  EXPECT_EQ(output_of({"zsh", "-n", path}), "");
  EXPECT_EQ(output_of({"zsh", "-fc",
                       "autoload -U compinit && compinit -D && source " + path +
                           " && print $_comps[keyferry]"}),
            "_keyferry\n");
  const std::string text = config_file("completion/keyferry.zsh");
  for (const Leaf& leaf : leaves()) {
    const std::string first = leaf.command.substr(0, leaf.command.find(' '));
    EXPECT_NE(text.find("'" + first + ":"), std::string::npos) << first;
    for (const std::string& flag : leaf.flags)
      EXPECT_NE(text.find(flag + "["), std::string::npos) << leaf.command << " " << flag;
  }
}

}  // namespace
}  // namespace keyferry::test
