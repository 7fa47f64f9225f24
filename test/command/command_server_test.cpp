// Compares the command table with what real servers say of their own commands: Redis 7.0.15 as
// installed, and every other release that can be had here (support/server.hpp).
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "keyferry/command/command_table.hpp"
#include "keyferry/command/keys.hpp"
#include "support/server.hpp"

namespace keyferry {
namespace {

using test::Args;
using test::Reply;

// Commands of modules, built in since Redis 8: learnt from the target.
bool is_of_a_module(const std::string& name) {
  return name.find('.') != std::string::npos;
}

bool has_flag(const Reply& row, std::string_view flag) {
  for (const Reply& item : row.items[2].items) {
    if (item.text == flag) return true;
  }
  return false;
}

// A command of a COMMAND reply; of a container the first subcommand that writes stands for all.
struct ServerCommand {
  std::string name;
  bool is_movable = false;
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::int64_t step = 0;
};

ServerCommand command_of(const Reply& row, const std::string& name) {
  return {name, has_flag(row, "movablekeys"), row.items[3].integer, row.items[4].integer,
          row.items[5].integer};
}

std::vector<ServerCommand> write_commands(test::RespClient& client) {
  std::vector<ServerCommand> found;
  for (const Reply& row : client.must({"COMMAND"}).items) {
    if (has_flag(row, "write")) {
      found.push_back(command_of(row, row.items[0].text));
      continue;
    }
    if (row.items.size() < 10) continue;  // before 7.0 a container has no subcommands of its own
    for (const Reply& subcommand : row.items[9].items) {
      if (!has_flag(subcommand, "write")) continue;
      found.push_back(command_of(subcommand, row.items[0].text));
      break;
    }
  }
  return found;
}

// Write commands the table leaves out on purpose: a name it lacks stops a run or is skipped and
// counted, but is never guessed at.
const std::set<std::string> left_out = {
    "sflush",   // Redis 8, clusters only: flushes slots; what replicas see of it is not known
    "himport",  // Redis 8.10: needs a session; replicas see HSETC
};

// One invocation of each shape that first, last and step cannot tell, and of those worth a second
// look.
const std::map<std::string, std::vector<Args>> samples = {
    {"BLMPOP", {{"BLMPOP", "0", "2", "a", "b", "LEFT"}}},
    {"BLPOP", {{"BLPOP", "a", "b", "0"}}},
    {"BZMPOP", {{"BZMPOP", "0", "2", "a", "b", "MIN"}}},
    {"EVAL", {{"EVAL", "return 1", "2", "a", "b", "c"}}},
    {"EVALSHA", {{"EVALSHA", "ffff", "1", "a", "c"}}},
    {"FCALL", {{"FCALL", "f", "2", "a", "b", "c"}}},
    {"GEORADIUS",
     {{"GEORADIUS", "k", "15", "37", "200", "km"},
      {"GEORADIUS", "k", "15", "37", "200", "km", "COUNT", "3", "STORE", "d"},
      {"GEORADIUS", "k", "15", "37", "200", "km", "STOREDIST", "d"}}},
    {"GEORADIUSBYMEMBER",
     {{"GEORADIUSBYMEMBER", "k", "m", "200", "km"},
      {"GEORADIUSBYMEMBER", "k", "store", "200", "km", "ASC", "STORE", "d"}}},
    {"LMPOP", {{"LMPOP", "1", "a", "LEFT"}, {"LMPOP", "2", "a", "b", "LEFT"}}},
    {"MIGRATE",
     {{"MIGRATE", "h", "1", "k", "0", "9", "COPY"},
      {"MIGRATE", "h", "1", "", "0", "9", "REPLACE", "AUTH", "p", "KEYS", "a", "b"}}},
    {"MSET", {{"MSET", "a", "1", "b", "2"}}},
    {"MSETEX", {{"MSETEX", "2", "a", "1", "b", "2", "EX", "9"}}},
    {"SORT",
     {{"SORT", "k"},
      {"SORT", "k", "LIMIT", "0", "1", "ALPHA", "STORE", "d"},
      {"SORT", "k", "BY", "x", "GET", "y", "STORE", "d"},
      {"SORT", "k", "STORE", "d", "STORE", "e"}}},
    {"XGROUP", {{"XGROUP", "CREATE", "s", "g", "$"}, {"XGROUP", "SETID", "s", "g", "$"}}},
    {"XREADGROUP",
     {{"XREADGROUP", "GROUP", "g", "c", "STREAMS", "a", "b", ">", ">"},
      {"XREADGROUP", "GROUP", "STREAMS", "c", "COUNT", "2", "NOACK", "STREAMS", "a", ">"}}},
    {"ZDIFFSTORE", {{"ZDIFFSTORE", "d", "2", "a", "b"}}},
    {"ZINTERSTORE", {{"ZINTERSTORE", "d", "2", "a", "b", "WEIGHTS", "1", "2"}}},
    {"ZMPOP", {{"ZMPOP", "2", "a", "b", "MIN"}}},
    {"ZUNIONSTORE", {{"ZUNIONSTORE", "d", "1", "a"}}},
};

std::multiset<std::string> our_keys(const CommandInfo& info, const Args& sample) {
  const std::vector<ByteView> args(sample.begin(), sample.end());
  std::multiset<std::string> keys;
  for_each_key(info, args, [&](std::size_t at) { keys.insert(sample[at]); });
  return keys;
}

std::multiset<std::string> server_keys(test::RespClient& client, const Args& sample) {
  Args command = {"COMMAND", "GETKEYS"};
  command.insert(command.end(), sample.begin(), sample.end());
  std::multiset<std::string> keys;
  for (const Reply& key : client.must(command).items)
    keys.insert(key.text);
  return keys;
}

class CommandServer : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    test::ServerOptions options;
    if (GetParam() != "installed") options.release = test::release(GetParam());
    if (!options.release.unreachable.empty()) GTEST_SKIP() << options.release.unreachable;
    server_ = std::make_unique<test::RedisServer>(options);
    client_ = server_->client();
  }

  std::unique_ptr<test::RedisServer> server_;
  test::RespClient client_;
};

TEST_P(CommandServer, HasNoWriteCommandTheTableLacksOrPlacesElsewhere) {
  const std::vector<ServerCommand> commands = write_commands(client_);

  EXPECT_GT(commands.size(), 80U);
  for (const ServerCommand& command : commands) {
    if (left_out.contains(command.name) || is_of_a_module(command.name)) continue;
    if (command.name == "pfdebug" && command.first == 0) continue;  // Redis 6.0 hides its key
    const CommandInfo* info = find_command(command.name);
    ASSERT_NE(info, nullptr) << command.name;
    if (info->shape == KeyShape::range) {
      EXPECT_EQ(info->first, command.first) << command.name;
      EXPECT_EQ(info->last, command.last) << command.name;
      EXPECT_EQ(info->step, command.step) << command.name;
    } else if (info->shape == KeyShape::none) {
      EXPECT_EQ(command.first, 0) << command.name;
    } else {
      EXPECT_TRUE(samples.contains(std::string(info->name))) << command.name;
    }
    EXPECT_FALSE(command.is_movable && info->shape == KeyShape::range) << command.name;
  }
}

TEST_P(CommandServer, FindsTheSameKeysInSamples) {
  for (const auto& [name, invocations] : samples) {
    if (client_.must({"COMMAND", "INFO", name}).items[0].items.empty())
      continue;  // not in this release
    for (const Args& sample : invocations) {
      EXPECT_EQ(our_keys(*find_command(name), sample), server_keys(client_, sample))
          << testing::PrintToString(sample);
    }
  }
}

std::vector<std::string> releases() {
  std::vector<std::string> names = {"installed"};
  names.insert(names.end(), test::release_names().begin(), test::release_names().end());
  return names;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name)
    c = c == '-' || c == '.' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(Releases, CommandServer, testing::ValuesIn(releases()), test_name);

}  // namespace
}  // namespace keyferry
