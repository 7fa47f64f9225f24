#include "keyferry/cluster/redirect.hpp"

#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::moved:
      return "moved";
    case Verdict::ask:
      return "ask";
    case Verdict::retry:
      return "retry";
    case Verdict::unreachable:
      return "unreachable";
    case Verdict::refused:
      return "refused";
  }
  return "?";
}

// A judgement as the transcript writes it.
std::string printed(const Judgement& judgement) {
  std::string line =
      std::string(verdict_name(judgement.verdict)) + " " + std::string(judgement.kind);
  if (judgement.verdict == Verdict::moved || judgement.verdict == Verdict::ask) {
    line += " " + std::to_string(judgement.slot) + " " + to_string(judgement.to);
  }
  if (judgement.refresh_map) line += " refresh";
  return line;
}

TEST(JudgeReply, FollowsTheTranscript) {
  std::ifstream file(KEYFERRY_TEST_DATA "/transcripts/redirect.txt");
  std::string line;
  std::string reply;
  int judged = 0;

  while (std::getline(file, line)) {
    if (line.starts_with("< -")) reply = line.substr(3);
    if (!line.starts_with("= ")) continue;
    EXPECT_EQ(printed(judge_reply(reply)), line.substr(2)) << reply;
    ++judged;
  }

  EXPECT_GT(judged, 60);
}

TEST(JudgeReply, IsOkWithoutAnError) {
  const Judgement judgement = judge_reply("");

  EXPECT_EQ(judgement.verdict, Verdict::ok);
  EXPECT_FALSE(judgement.refresh_map);
}

TEST(JudgeReply, ReadsTheHostOfARedirect) {
  EXPECT_EQ(judge_reply("MOVED 1 2001:db8::17:6379").to.host, "2001:db8::17");
  EXPECT_EQ(judge_reply("MOVED 1 [2001:db8::17]:6379").to.host, "2001:db8::17");
  EXPECT_EQ(judge_reply("MOVED 1 :6379").to, (Endpoint{"", 6379}));
}

TEST(JudgeReply, KeepsItsKindAfterTheTextIsGone) {
  std::string text = "ERR max number of clients reached";
  const Judgement judgement = judge_reply(text);

  text.assign(text.size(), 'x');

  EXPECT_EQ(judgement.kind, "MAXCLIENTS");
}

}  // namespace
}  // namespace keyferry
