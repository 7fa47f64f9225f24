#include "keyferry/resp/command_parser.hpp"

#include <memory>

#include <gtest/gtest.h>

#include "keyferry/resp/resp.hpp"
#include "support/split.hpp"

namespace keyferry {
namespace {

using Status = CommandParse::Status;
using namespace std::string_literals;

// A copy with nothing behind it, so that a sanitizer sees every read past the end.
struct Exact {
  explicit Exact(ByteView bytes) : data(new char[bytes.size()]), size(bytes.size()) {
    bytes.copy(data.get(), bytes.size());
  }
  ByteView view() const { return {data.get(), size}; }
  std::unique_ptr<char[]> data;
  std::size_t size;
};

CommandParse parse(ByteView bytes, std::vector<ByteView>& args,
                   CommandProgress* progress = nullptr) {
  const Exact exact(bytes);
  const std::size_t before = args.size();
  const CommandParse parsed = progress == nullptr ? parse_command(exact.view(), args)
                                                  : parse_command(exact.view(), args, *progress);
  for (std::size_t i = before; i < args.size(); ++i) {
    const auto at = static_cast<std::size_t>(args[i].data() - exact.data.get());
    args[i] = bytes.substr(at, args[i].size());
  }
  return parsed;
}

CommandParse parse(ByteView bytes) {
  std::vector<ByteView> args;
  return parse(bytes, args);
}

TEST(CommandParser, FindsArgumentsInPlace) {
  const Bytes wire = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n";
  std::vector<ByteView> args;

  const CommandParse parsed = parse_command(wire, args);

  EXPECT_EQ(parsed.status, Status::command);
  EXPECT_EQ(parsed.size, wire.find("*1"));
  EXPECT_EQ(args, (std::vector<ByteView>{"SET", "k", ""}));
  EXPECT_EQ(args[1].data(), wire.data() + wire.find("k"));
}

TEST(CommandParser, AppendsBehindTheArgumentsThatAreThere) {
  std::vector<ByteView> args{"before"};

  parse_command("*1\r\n$4\r\nPING\r\n", args);

  EXPECT_EQ(args, (std::vector<ByteView>{"before", "PING"}));
}

TEST(CommandParser, IsBinarySafe) {
  const Bytes value = "\r\n$5\r\n*1\r\n\0\xff"s;
  std::vector<ByteView> args;

  const CommandParse parsed = parse_command(make_command({"SET", "k", value}), args);

  EXPECT_EQ(parsed.status, Status::command);
  ASSERT_EQ(args.size(), 3u);
  EXPECT_EQ(args[2].size(), value.size());
}

// The grown prefix is offered again after each piece, as the stream decoder does it, each time at
// another address.
void expect_commands_for_every_split(bool keeps_progress) {
  const std::vector<std::vector<ByteView>> expected{
      {"SET", "key", "some\r\nvalue"}, {"PING"}, {"MSET", "a", "", "b", "2"}};
  Bytes wire;
  for (const auto& args : expected)
    append_command(wire, args);

  test::for_each_split(wire, [&](const std::vector<ByteView>& pieces) {
    std::vector<std::vector<ByteView>> found;
    CommandProgress progress;
    std::size_t start = 0;
    std::size_t delivered = 0;
    for (const ByteView piece : pieces) {
      delivered += piece.size();
      while (true) {
        const ByteView rest = ByteView(wire).substr(start, delivered - start);
        std::vector<ByteView> args{"before"};
        const CommandParse parsed = parse(rest, args, keeps_progress ? &progress : nullptr);
        EXPECT_EQ(args.front(), "before");
        if (parsed.status == Status::need_more) {
          ASSERT_GT(parsed.size, rest.size()) << "asks for no more than it has";
          ASSERT_EQ(args.size(), 1u);
          break;
        }
        ASSERT_EQ(parsed.status, Status::command);
        ASSERT_EQ(progress.at, 0u);
        found.emplace_back(args.begin() + 1, args.end());
        start += parsed.size;
      }
    }
    EXPECT_EQ(found, expected);
    EXPECT_EQ(start, wire.size());
  });
}

TEST(CommandParser, GivesTheSameCommandsForEverySplit) {
  expect_commands_for_every_split(false);
}

TEST(CommandParser, GoesOnWhereItStoppedForEverySplit) {
  expect_commands_for_every_split(true);
}

TEST(CommandParser, ForgetsItsProgressWhenTheRestIsDamaged) {
  CommandProgress progress;
  std::vector<ByteView> args;
  const Bytes begin = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n";

  EXPECT_EQ(parse_command(begin, args, progress).status, Status::need_more);
  EXPECT_EQ(progress.args.size(), 2u);
  const CommandParse parsed = parse_command(begin + "oops", args, progress);

  EXPECT_EQ(parsed.status, Status::corrupt);
  EXPECT_EQ(parsed.size, begin.size());
  EXPECT_EQ(progress.at, 0u);
  EXPECT_TRUE(progress.args.empty());
  EXPECT_TRUE(args.empty());
}

TEST(CommandParser, NeverAsksForMoreThanTheCommandHas) {
  const Bytes wire = make_command({"SET", "key", "0123456789012"});

  for (std::size_t n = 0; n < wire.size(); ++n) {
    const CommandParse parsed = parse(ByteView(wire).substr(0, n));
    ASSERT_EQ(parsed.status, Status::need_more) << n;
    EXPECT_LE(parsed.size, wire.size()) << n;
  }
}

TEST(CommandParser, SaysExactlyHowMuchAKnownBulkNeeds) {
  const Bytes head = "*2\r\n$3\r\nGET\r\n$1000000\r\n";

  const CommandParse parsed = parse(head + "abc");

  EXPECT_EQ(parsed.status, Status::need_more);
  EXPECT_EQ(parsed.size, head.size() + 1000000 + 2);
}

TEST(CommandParser, SaysHowMuchAHeaderNeedsAtLeast) {
  const struct {
    ByteView bytes;
    std::size_t needed;
  } rows[] = {
      {"", 4},        {"*", 3},        {"*1", 4},         {"*1\r", 4},          {"*1\r\n", 8},
      {"*1\r\n$", 7}, {"*1\r\n$4", 8}, {"*1\r\n$4\r", 8}, {"*1\r\n$4\r\n", 14}, {"*12\r\n", 9},
  };
  for (const auto& row : rows) {
    const CommandParse parsed = parse(row.bytes);
    EXPECT_EQ(parsed.status, Status::need_more) << escaped(row.bytes);
    EXPECT_EQ(parsed.size, row.needed) << escaped(row.bytes);
  }
}

TEST(CommandParser, NamesWhereTheDamageIs) {
  const struct {
    ByteView bytes;
    std::size_t at;
  } rows[] = {
      {"PING\r\n", 0},              // inline
      {"\n", 0},                    // a keep-alive has no place in the stream
      {"$4\r\nPING\r\n", 0},        // a reply
      {"*0\r\n", 1},                // nothing to run
      {"*-1\r\n", 1},               //
      {"*x\r\n", 1},                //
      {"*\r\n", 1},                 //
      {"*1\n$4\r\n", 2},            // LF alone
      {"*1\rx", 3},                 //
      {"*1\r\n*1\r\n", 4},          // an array in an array
      {"*1\r\n$-1\r\n", 5},         // a null argument
      {"*1\r\n$4\r\nPINGxx", 12},   // bulk longer than announced
      {"*1\r\n$4\r\nPING\rx", 12},  //
      {"*2\r\n$4\r\nPING\r\n+OK\r\n", 14},
  };
  for (const auto& row : rows) {
    std::vector<ByteView> args{"kept"};
    const CommandParse parsed = parse_command(row.bytes, args);
    EXPECT_EQ(parsed.status, Status::corrupt) << escaped(row.bytes);
    EXPECT_EQ(parsed.size, row.at) << escaped(row.bytes);
    EXPECT_STRNE(parsed.problem, "") << escaped(row.bytes);
    EXPECT_EQ(args, (std::vector<ByteView>{"kept"}));
  }
}

TEST(CommandParser, KeepsToItsLimits) {
  const struct {
    Bytes bytes;
    Status status;
  } rows[] = {
      {"*" + std::to_string(max_command_args) + "\r\n", Status::need_more},
      {"*" + std::to_string(max_command_args + 1) + "\r\n", Status::corrupt},
      {"*1\r\n$" + std::to_string(max_argument_bytes) + "\r\n", Status::need_more},
      {"*1\r\n$" + std::to_string(max_argument_bytes + 1) + "\r\n", Status::corrupt},
      {"*99999999999999999999999999\r\n", Status::corrupt},
      {"*1\r\n$18446744073709551617\r\n", Status::corrupt},
      {"*111111111111111", Status::corrupt},  // too long for a header: no more need be read
  };
  for (const auto& row : rows) {
    EXPECT_EQ(parse(row.bytes).status, row.status) << row.bytes;
  }
}

}  // namespace
}  // namespace keyferry
