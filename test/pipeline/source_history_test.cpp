#include <gtest/gtest.h>

#include "keyferry/pipeline/observer.hpp"

namespace keyferry {
namespace {

const std::string ours(40, 'a');
const std::string theirs(40, 'b');

ReplicationPosition at(const std::string& replid, Offset offset) {
  ReplicationPosition position;
  position.replid = replid;
  position.offset = offset;
  return position;
}

SourceHistory promoted_at(Offset offset) {
  return read_history("role:master\r\nmaster_replid:" + theirs + "\r\nmaster_replid2:" + ours +
                      "\r\nmaster_repl_offset:5000\r\nsecond_repl_offset:" +
                      std::to_string(offset + 1) + "\r\nrepl_backlog_size:1048576\r\n");
}

TEST(SourceHistory, KnowsWhereItLeftAnotherOne) {
  EXPECT_EQ(promoted_at(100).fork_below(at(ours, 101)), 100);
  EXPECT_EQ(promoted_at(100).fork_below(at(ours, 5000)), 100);
}

TEST(SourceHistory, HasNoForkBelowWhatItHolds) {
  EXPECT_FALSE(promoted_at(100).fork_below(at(ours, 100)));
  EXPECT_FALSE(promoted_at(100).fork_below(at(theirs, 4000)));
  EXPECT_FALSE(promoted_at(100).fork_below(at(theirs, 6000)));
}

TEST(SourceHistory, KnowsNothingOfAThirdOne) {
  EXPECT_FALSE(promoted_at(100).fork_below(at(std::string(40, 'c'), 101)));
  const SourceHistory first =
      read_history("master_replid:" + theirs + "\r\nmaster_replid2:" + std::string(40, '0') +
                   "\r\nmaster_repl_offset:50\r\nsecond_repl_offset:-1\r\n");
  EXPECT_FALSE(first.fork_below(at(ours, 1)));
}

}  // namespace
}  // namespace keyferry
