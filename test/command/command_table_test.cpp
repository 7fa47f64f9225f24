#include "keyferry/command/command_table.hpp"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

std::string lower(std::string text) {
  for (char& c : text)
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

std::string mixed(std::string text) {
  for (std::size_t i = 0; i < text.size(); i += 2)
    text[i] = lower(text.substr(i, 1))[0];
  return text;
}

TEST(CommandTable, FindsEveryRowInAnyLetterCase) {
  for (const CommandInfo& row : all_commands()) {
    const std::string name(row.name);

    EXPECT_EQ(find_command(name), &row) << name;
    EXPECT_EQ(find_command(lower(name)), &row) << lower(name);
    EXPECT_EQ(find_command(mixed(name)), &row) << mixed(name);
  }
}

TEST(CommandTable, HasNoNameTwice) {
  std::set<std::string_view> names;

  for (const CommandInfo& row : all_commands())
    EXPECT_TRUE(names.insert(row.name).second);

  EXPECT_GT(names.size(), 140U);
}

// Every name with one byte changed, dropped or added is another row's name or nobody's.
TEST(CommandTable, DoesNotFindNearMisses) {
  std::set<std::string> names;
  for (const CommandInfo& row : all_commands())
    names.emplace(row.name);
  std::set<std::string> misses;
  for (const std::string& name : names) {
    for (std::size_t i = 0; i < name.size(); ++i) {
      for (const int flip : {0x01, 0x40, 0x80}) {
        std::string changed = name;
        changed[i] = static_cast<char>(changed[i] ^ flip);
        misses.insert(changed);
      }
      misses.insert(name.substr(0, i) + name.substr(i + 1));
      misses.insert(name.substr(0, i) + name[i] + name.substr(i));
    }
    misses.insert(name + '\0');
    misses.insert(name + ' ');
  }
  for (const std::string& name : names)
    misses.erase(name);

  for (const std::string& miss : misses) {
    EXPECT_EQ(find_command(miss), nullptr) << testing::PrintToString(miss);
  }
}

// Folding letter case must not touch other bytes: '-' (0x2d) and 0x0d differ only in the bit that
// tells the cases.
TEST(CommandTable, FoldsLettersOnly) {
  EXPECT_NE(find_command("restore-asking"), nullptr);
  EXPECT_EQ(find_command("restore\x0d"
                         "asking"),
            nullptr);
  EXPECT_EQ(find_command("XAD\x24"), nullptr);  // "XADD" but for one bit
}

TEST(CommandTable, DoesNotFindEmptyOrEndlessNames) {
  EXPECT_EQ(find_command(""), nullptr);
  EXPECT_EQ(find_command(std::string(1 << 20, 'A')), nullptr);
  EXPECT_EQ(find_command("GEORADIUSBYNUMBER"), nullptr);  // 17 bytes, like GEORADIUSBYMEMBER
  EXPECT_EQ(find_command("GEORADIU_BYMEMBER"), nullptr);  // only the middle byte differs
}

TEST(CommandTable, KnowsHowEachCommandTravels) {
  struct Case {
    ByteView name;
    CommandKind kind;
  };
  const Case cases[] = {
      {"set", CommandKind::write},         {"pfcount", CommandKind::write},
      {"evalsha", CommandKind::write},     {"flushall", CommandKind::all_nodes},
      {"swapdb", CommandKind::all_nodes},  {"function", CommandKind::all_nodes},
      {"script", CommandKind::all_nodes},  {"publish", CommandKind::publish},
      {"spublish", CommandKind::spublish}, {"ping", CommandKind::control},
      {"replconf", CommandKind::control},  {"select", CommandKind::control},
      {"multi", CommandKind::control},     {"exec", CommandKind::control},
      {"cluster", CommandKind::never},     {"trimslots", CommandKind::never},
      {"migrate", CommandKind::never},
  };

  for (const Case& c : cases)
    EXPECT_EQ(find_command(c.name)->kind, c.kind) << c.name;
}

TEST(CommandTable, CutsOnlyWhatMeansTheSameInPieces) {
  std::set<std::string_view> cut;

  for (const CommandInfo& row : all_commands()) {
    if (row.split != SplitShape::no) cut.insert(row.name);
  }

  EXPECT_EQ(cut, (std::set<std::string_view>{"DEL", "MSET", "MSETNX", "UNLINK"}));
}

}  // namespace
}  // namespace keyferry
