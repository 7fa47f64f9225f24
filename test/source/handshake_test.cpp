#include "keyferry/source/handshake.hpp"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "keyferry/resp/command_parser.hpp"
#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {
namespace {

struct Line {
  char kind = ' ';  // one of > < = @
  std::string text;
  int number = 0;
};

std::vector<Line> transcript(const std::string& name) {
  std::ifstream file(std::string(KEYFERRY_TEST_DATA "/transcripts/handshake_") + name + ".txt");
  EXPECT_TRUE(file) << name;
  std::vector<Line> out;
  std::string text;
  for (int number = 1; std::getline(file, text); ++number) {
    if (text.empty() || text[0] == '#') continue;
    out.push_back({text[0], text.size() > 2 ? text.substr(2) : "", number});
  }
  EXPECT_FALSE(out.empty()) << name;
  return out;
}

std::string words_of(const Bytes& wire) {
  std::vector<ByteView> args;
  EXPECT_EQ(parse_command(wire, args).size, wire.size());
  std::string out;
  for (const ByteView arg : args)
    out += (out.empty() ? "" : " ") + std::string(arg);
  return out;
}

std::string shown(const PsyncAnswer& answer) {
  using Kind = PsyncAnswer::Kind;
  switch (answer.kind) {
    case Kind::keep_alive:
      return "keep_alive";
    case Kind::full_sync:
      return "full_sync " + answer.position.replid + " " + std::to_string(answer.position.offset);
    case Kind::go_on:
      return answer.position.replid.empty() ? "go_on" : "go_on " + answer.position.replid;
    case Kind::retry:
      return "retry " + answer.reason;
    case Kind::refused:
      return "refused " + answer.reason;
    case Kind::corrupt:
      return "corrupt " + answer.reason;
  }
  return "?";
}

TEST(Handshake, GreetsAsTheTranscriptSays) {
  std::vector<Bytes> commands;
  std::size_t next = 0;
  std::string decision;
  for (const Line& line : transcript("greeting")) {
    SCOPED_TRACE("handshake_greeting.txt:" + std::to_string(line.number));
    if (line.kind == '@') {
      EXPECT_EQ(next, commands.size()) << "more would be sent than the transcript has";
      std::istringstream words(line.text);
      std::string word;
      std::uint16_t port = 0;
      words >> word >> port;
      ASSERT_EQ(word, "announce");
      commands = greeting(port);
      next = 0;
    } else if (line.kind == '>') {
      ASSERT_LT(next, commands.size());
      EXPECT_EQ(words_of(commands[next++]), line.text);
    } else if (line.kind == '<') {
      RespValue reply;
      Bytes bytes = line.text + "\r\n";
      if (bytes[0] == '$') bytes += "OK\r\n";
      ASSERT_EQ(parse_reply(bytes, reply).status, ReplyParse::Status::value);
      const Error error = judge_greeting(reply);
      decision =
          error ? (error.is(Errc::refused_by_peer) ? "refused " : "? ") + error.what : "fine";
    } else {
      EXPECT_EQ(decision, line.text);
    }
  }
  EXPECT_EQ(next, commands.size());
}

TEST(Handshake, JudgesTheAnswerToPsyncAsTheTranscriptSays) {
  std::optional<ReplicationPosition> resume;
  std::string command = "PSYNC";
  std::string decision;
  for (const Line& line : transcript("psync")) {
    SCOPED_TRACE("handshake_psync.txt:" + std::to_string(line.number));
    if (line.kind == '@') {
      std::istringstream words(line.text);
      std::string word;
      words >> word;
      if (word == "fresh") {
        resume.reset();
      } else if (word == "command") {
        words >> command;
      } else {
        ASSERT_EQ(word, "resume");
        resume.emplace();
        words >> resume->replid >> resume->offset;
      }
    } else if (line.kind == '>') {
      EXPECT_EQ(words_of(psync_request(command, resume)), line.text);
    } else if (line.kind == '<') {
      decision = shown(judge_psync(line.text));
    } else {
      EXPECT_EQ(decision, line.text);
    }
  }
}

TEST(Handshake, ReadsTheFrameOfTheSnapshotAsTheTranscriptSays) {
  std::string decision;
  for (const Line& line : transcript("frame")) {
    SCOPED_TRACE("handshake_frame.txt:" + std::to_string(line.number));
    if (line.kind == '<') {
      const auto frame = parse_snapshot_frame(line.text);
      if (!frame) {
        decision = frame.error().is(Errc::corrupt) ? "corrupt" : frame.error().what;
      } else if (!*frame) {
        decision = "keep_alive";
      } else if ((*frame)->length) {
        decision = "length " + std::to_string(*(*frame)->length);
      } else {
        decision = "mark " + (*frame)->mark;
      }
    } else {
      EXPECT_EQ(decision, line.text);
    }
  }
}

TEST(Handshake, EscapesAndCutsWhatAStrangerSends) {
  const PsyncAnswer answer = judge_psync("\x1b[31m" + Bytes(1000, 'x'));

  EXPECT_EQ(answer.kind, PsyncAnswer::Kind::corrupt);
  EXPECT_EQ(answer.reason.find('\x1b'), std::string::npos);
  EXPECT_LT(answer.reason.size(), 300u);
}

TEST(Handshake, AcknowledgesAnOffset) {
  EXPECT_EQ(ack_command(9223372036854775807),
            "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$19\r\n9223372036854775807\r\n");
}

}  // namespace
}  // namespace keyferry
