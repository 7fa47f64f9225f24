#include "keyferry/transform/transform.hpp"

#include <gtest/gtest.h>

#include "keyferry/resp/command_parser.hpp"
#include "keyferry/resp/resp.hpp"

namespace keyferry {
namespace {

// A stream put together by hand, and what a transform leaves of it.
class TransformTest : public testing::Test {
 protected:
  void compile() {
    Result<Transform> compiled = Transform::compile(options_);
    ASSERT_TRUE(compiled.has_value()) << compiled.error().what;
    transform_ = std::move(*compiled);
    transform_.on_doubt = [this](std::int32_t db, ByteView key) {
      doubts_ += std::to_string(db) + ":" + Bytes(key) + " ";
    };
    transform_.owns_target = [this] { return owns_target_; };
  }

  // "db name arg ..." per line; MULTI and EXEC make groups.
  void feed(const std::vector<std::string>& lines) {
    batch_ = std::make_unique<Batch>();
    bool in_group = false;
    for (const std::string& line : lines) {
      std::vector<ByteView> words;
      for (std::size_t at = 2; at <= line.size();) {
        const std::size_t end = std::min(line.find(' ', at), line.size());
        words.push_back(ByteView(line).substr(at, end - at));
        at = end + 1;
      }
      Command command;
      append_command(wires_.emplace_back(), words);
      command.wire = wires_.back();
      command.db = line[0] - '0';
      command.first_arg = static_cast<std::uint32_t>(batch_->args.size());
      parse_command(command.wire, batch_->args);
      command.arg_count = static_cast<std::uint32_t>(words.size());
      command.info = find_command(words[0]);
      command.end = ++offset_;
      if (words[0] == "MULTI") in_group = true;
      command.group = words[0] == "MULTI"  ? GroupMark::first
                      : words[0] == "EXEC" ? GroupMark::last
                      : in_group           ? GroupMark::inside
                                           : GroupMark::none;
      if (words[0] == "EXEC") in_group = false;
      batch_->commands.push_back(command);
    }
    transform_.apply(*batch_);
  }

  // The batch's commands, as they would be fed; refused ones begin with '!'.
  std::vector<std::string> left() {
    std::vector<std::string> lines;
    for (const Command& command : batch_->commands) {
      std::vector<ByteView> args;
      parse_command(command.wire, args);
      std::string line = command.refusal != nullptr ? "!" + std::string(command.refusal)
                                                    : std::to_string(command.db);
      for (const ByteView arg : args)
        line += " " + Bytes(arg);
      const auto seen = batch_->args_of(command);
      EXPECT_EQ(Bytes(seen[0]) + std::to_string(seen.size()),
                Bytes(args[0]) + std::to_string(args.size()));
      lines.push_back(line);
    }
    return lines;
  }
  std::vector<std::string> after(const std::vector<std::string>& lines) {
    feed(lines);
    return left();
  }
  std::uint64_t count(FilterReason reason) const {
    return transform_.counts()[static_cast<std::size_t>(reason)];
  }

  using Lines = std::vector<std::string>;
  Options options_;
  Transform transform_;
  std::unique_ptr<Batch> batch_;
  std::deque<Bytes> wires_;
  Offset offset_ = 0;
  std::string doubts_;
  bool owns_target_ = false;
};

TEST_F(TransformTest, DropsCutsAndCounts) {
  options_.filter.block.prefixes = {"no:"};
  compile();

  EXPECT_EQ(after({"0 SET a 1", "0 SET no:a 1", "0 DEL a no:a b", "0 RENAME no:x y"}),
            (Lines{"0 SET a 1", "0 DEL a b"}));
  EXPECT_EQ(transform_.filtered(), 2U);
  EXPECT_EQ(count(FilterReason::key), 1U);
  EXPECT_EQ(count(FilterReason::part), 1U);
  EXPECT_EQ(count(FilterReason::mixed), 1U);
  EXPECT_EQ(doubts_, "0:y ");
}

TEST_F(TransformTest, KeepsGroupsAndDropsEmptyOnes) {
  options_.filter.block.prefixes = {"no:"};
  compile();

  EXPECT_EQ(after({"0 MULTI", "0 SET no:a 1", "0 EXEC", "0 MULTI", "0 SET no:a 1", "0 SET b 1",
                   "0 EXEC"}),
            (Lines{"0 MULTI", "0 SET b 1", "0 EXEC"}));
  EXPECT_EQ(batch_->commands[1].group, GroupMark::inside);
}

TEST_F(TransformTest, RemembersWhatTheSourceSent) {
  options_.transform.databases = {{"1", "4"}};
  options_.transform.key_prefix_add = "p:";
  compile();
  feed({"1 MSET a 1 b 2", "0 PUBLISH c m"});

  EXPECT_EQ(left(), (Lines{"4 MSET p:a 1 p:b 2", "0 PUBLISH c m"}));
  const Command& mset = batch_->commands[0];
  ASSERT_NE(mset.origin, nullptr);
  EXPECT_EQ(mset.origin->db, 1);
  EXPECT_EQ(mset.origin->wire, make_command({"MSET", "a", "1", "b", "2"}));
  EXPECT_EQ(mset.end, 1);
}

TEST_F(TransformTest, MapsKeysWhereverTheyStand) {
  options_.transform.key_prefix_add = "p:";
  compile();

  EXPECT_EQ(
      after({"0 ZUNIONSTORE d 2 a b WEIGHTS 1 2", "0 XREADGROUP GROUP g c STREAMS s t > >",
             "0 SORT l STORE d", "0 EVAL s 1 k v", "0 BITOP AND d a b", "0 XGROUP CREATE s g 0",
             "0 SORT l BY w_* STORE d", "0 GEORADIUS g 0 0 1 m STORE d"}),
      (Lines{"0 ZUNIONSTORE p:d 2 p:a p:b WEIGHTS 1 2",
             "0 XREADGROUP GROUP g c STREAMS p:s p:t > >", "0 SORT p:l STORE p:d",
             "0 EVAL s 1 p:k v", "0 BITOP AND p:d p:a p:b", "0 XGROUP CREATE p:s g 0",
             "!key_pattern SORT l BY w_* STORE d", "0 GEORADIUS p:g 0 0 1 m STORE p:d"}));
}

TEST_F(TransformTest, LeavesOurRecordsToTheSink) {
  options_.transform.key_prefix_add = "p:";
  options_.filter.block.prefixes = {"keyferry:"};
  compile();

  EXPECT_EQ(after({"0 SET keyferry:{0}:x 1"}), Lines{"0 SET keyferry:{0}:x 1"});
}

TEST_F(TransformTest, MovesBetweenDatabasesBecomeWhatTheyMean) {
  options_.transform.databases = {{"1", "0"}, {"2", "5"}};
  options_.transform.database_prefix = {{"1", "db1:"}};
  options_.filter.block.databases = {"7"};
  compile();

  EXPECT_EQ(after({"0 MOVE a 1", "0 MOVE a 2", "0 MOVE a 7", "7 MOVE a 2", "1 MOVE a 2",
                   "0 COPY a b DB 2 REPLACE", "1 COPY a b", "0 COPY a b DB 1", "0 COPY a b DB 7",
                   "7 COPY a b DB 2"}),
            (Lines{"0 RENAME a db1:a", "0 MOVE a 5", "0 DEL a", "!move_to_another_name MOVE a 2",
                   "0 COPY a b DB 5 REPLACE", "0 COPY db1:a db1:b", "0 COPY a db1:b DB 0"}));
  EXPECT_EQ(doubts_, "2:a 2:b ");
}

TEST_F(TransformTest, MovesIntoTheSameDatabaseCollide) {
  options_.transform.databases = {{"1", "0"}};
  compile();

  EXPECT_EQ(after({"0 MOVE a 1", "0 COPY a a DB 1", "0 COPY a b DB 1"}),
            (Lines{"!collision MOVE a 1", "!collision COPY a a DB 1", "0 COPY a b DB 0"}));
}

TEST_F(TransformTest, NamesThatMeetCollide) {
  options_.transform.key_prefix_strip = "p:";
  compile();

  EXPECT_EQ(after({"0 RENAME p:a a", "0 RENAME p:a b"}),
            (Lines{"!collision RENAME p:a a", "0 RENAME a b"}));
}

TEST_F(TransformTest, SwapsAreMappedOrRefused) {
  options_.transform.databases = {{"1", "4"}, {"4", "1"}, {"2", "3"}};
  options_.transform.database_prefix = {{"9", "x"}};
  options_.filter.block.databases = {"7", "8"};
  compile();

  EXPECT_EQ(after({"0 SWAPDB 0 1", "0 SWAPDB 2 0", "0 SWAPDB 7 8", "0 SWAPDB 0 7", "0 SWAPDB 0 9"}),
            (Lines{"0 SWAPDB 0 4", "!swap_of_a_part SWAPDB 2 0", "!swap_of_a_part SWAPDB 0 7",
                   "!swap_of_a_part SWAPDB 0 9"}));
}

TEST_F(TransformTest, TypesThatDoNotTravelTakeTheirKeysAway) {
  options_.filter.block.types = {"string"};
  options_.transform.key_prefix_add = "p:";
  compile();

  EXPECT_EQ(after({"0 SET a 1", "0 MSET a 1 b 2", "0 INCR n", "0 BITOP AND d a b", "0 HSET h f v"}),
            (Lines{"0 DEL p:a", "0 DEL p:a p:b", "0 DEL p:d", "0 HSET p:h f v"}));
  EXPECT_EQ(count(FilterReason::type), 4U);
}

TEST_F(TransformTest, ValuesThatMoveAreCopiedAnewWhereTheirTypeMatters) {
  options_.filter.block.types = {"hash"};
  compile();

  EXPECT_EQ(after({"0 RENAME a b", "0 MOVE a 3", "0 COPY a b DB 2", "0 SORT l STORE d", "0 DEL a"}),
            Lines{"0 DEL a"});
  EXPECT_EQ(doubts_, "0:a 0:b 0:a 3:a 0:a 0:b 2:b 0:l 0:d ");
}

TEST_F(TransformTest, FlushesOnlyWhatIsTheLinks) {
  options_.transform.databases = {{"1", "0"}, {"2", "3"}, {"3", "2"}};
  options_.filter.block.databases = {"7"};
  compile();

  const Lines flushes = {"0 FLUSHALL", "0 FLUSHDB", "2 FLUSHDB", "7 FLUSHDB"};
  EXPECT_EQ(after(flushes),
            (Lines{"!flush_of_a_part FLUSHALL", "!flush_of_a_part FLUSHDB", "3 FLUSHDB"}));
  owns_target_ = true;
  EXPECT_EQ(after(flushes), (Lines{"0 FLUSHALL", "!flush_of_a_part FLUSHDB", "3 FLUSHDB"}));
}

TEST_F(TransformTest, FlushesOfSomeKeysNeedATargetOfOurOwn) {
  options_.filter.allow.prefixes = {"a"};
  compile();

  EXPECT_EQ(after({"0 FLUSHDB", "0 FLUSHALL"}),
            (Lines{"!flush_of_a_part FLUSHDB", "!flush_of_a_part FLUSHALL"}));
  owns_target_ = true;
  EXPECT_EQ(after({"2 FLUSHDB", "0 FLUSHALL ASYNC"}), (Lines{"2 FLUSHDB", "0 FLUSHALL ASYNC"}));
}

TEST_F(TransformTest, TakesExpiriesAway) {
  options_.transform.ttl = "none";
  compile();

  EXPECT_EQ(after({"0 SET a 1 PXAT 99 KEEPTTL", "0 SETEX a 5 v", "0 PEXPIREAT a 99", "0 PERSIST a",
                   "0 RESTORE a 99 p ABSTTL", "0 HPEXPIREAT h 5 FIELDS 1 f", "0 GETEX a PX 1",
                   "0 MSETEX 1 EX v EX 5"}),
            (Lines{"0 SET a 1 KEEPTTL", "0 SET a v", "0 RESTORE a 0 p ABSTTL",
                   "0 HPEXPIREAT h 5 FIELDS 1 f", "0 MSETEX 1 EX v"}));
  EXPECT_EQ(count(FilterReason::ttl), 3U);
}

TEST_F(TransformTest, ShiftsExpiries) {
  options_.transform.ttl = "+90s";
  compile();

  EXPECT_EQ(after({"0 SET a EX EXAT 10", "0 SETEX a 5 v", "0 PEXPIREAT a 100000", "0 EXPIRE a 1",
                   "0 PERSIST a", "0 RESTORE a 99000 p ABSTTL", "0 RESTORE a 0 p"}),
            (Lines{"0 SET a EX PXAT 100000", "0 PSETEX a 95000 v", "0 PEXPIREAT a 190000",
                   "0 PEXPIRE a 91000", "0 PERSIST a", "0 RESTORE a 189000 p ABSTTL",
                   "0 RESTORE a 0 p"}));
}

TEST_F(TransformTest, UnknownCommandsAreRefusedWhereKeysMatter) {
  options_.filter.block.databases = {"1"};
  compile();
  EXPECT_EQ(after({"0 NEW.CMD a", "1 NEW.CMD a"}), Lines{"0 NEW.CMD a"});

  options_.filter.block.prefixes = {"no:"};
  compile();
  EXPECT_EQ(after({"0 NEW.CMD a"}), Lines{"!keys_unknown NEW.CMD a"});
}

TEST_F(TransformTest, CopiesOfKeysFollowTheRules) {
  options_.transform.databases = {{"1", "4"}};
  options_.transform.key_prefix_add = "p:";
  options_.transform.ttl = "+1s";
  options_.filter.block.keys = {"gone"};
  options_.filter.block.types = {"hash"};
  compile();
  const Bytes string_payload("\x00 x", 3);
  const Bytes hash_payload("\x04 x", 3);
  std::int32_t db = 0;
  const auto made = [&](const char* key, std::optional<Bytes> payload) {
    return transform_.of_copy({1, key, std::move(payload), 5000}, db);
  };

  EXPECT_EQ(made("a", string_payload),
            std::vector<Bytes>{
                make_command({"RESTORE", "p:a", "6000", string_payload, "REPLACE", "ABSTTL"})});
  EXPECT_EQ(db, 4);
  EXPECT_EQ(made("a", std::nullopt), std::vector<Bytes>{make_command({"DEL", "p:a"})});
  EXPECT_EQ(made("a", hash_payload), std::vector<Bytes>{make_command({"DEL", "p:a"})});
  EXPECT_EQ(made("gone", string_payload), std::vector<Bytes>{});
}

TEST_F(TransformTest, RefusesMirrorWhereItCannotTellWhoseAKeyIs) {
  options_.transform.key_prefix_add = "p:";
  options_.snapshot_mirror = true;

  EXPECT_NE(Transform::compile(options_).error().what.find("snapshot.mirror"), std::string::npos);
}

}  // namespace
}  // namespace keyferry
