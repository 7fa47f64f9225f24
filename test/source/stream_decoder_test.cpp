#include "keyferry/source/stream_decoder.hpp"

#include <gtest/gtest.h>

#include "keyferry/resp/resp.hpp"
#include "support/split.hpp"

namespace keyferry {
namespace {

constexpr Offset start_offset = 1000;

// One decoded command with copies of everything it says.
struct Seen {
  std::vector<Bytes> args;
  std::int32_t db = 0;
  GroupMark group = GroupMark::none;
  Offset end = 0;
  Bytes wire;
  std::string_view name;  // of its row
  bool operator==(const Seen&) const = default;
};
void PrintTo(const Seen& seen, std::ostream* out) {
  for (const Bytes& arg : seen.args)
    *out << arg << ' ';
  *out << "db=" << seen.db << " group=" << static_cast<int>(seen.group) << " end=" << seen.end;
}

// Feeds pieces as a socket reader does and collects what comes out; checks what holds for every
// batch.
class Decoding {
 public:
  explicit Decoding(Offset offset = start_offset, std::int32_t db = 0) : decoder_(budget_) {
    decoder_.start(offset, db);
    last_end_ = offset;
  }

  Error feed(ByteView bytes) {
    if (!slab_ || slab_->tail_size() < bytes.size()) {
      slab_ = make_slab(budget_, std::max<std::size_t>(bytes.size(), 100));
    }
    return decoder_.feed(slab_, slab_->append(bytes), TimePoint());
  }

  // Takes over the next batch, if any.
  bool take() {
    const std::unique_ptr<Batch> batch = decoder_.take();
    if (!batch) return false;
    bool in_group = false;
    for (const Command& command : batch->commands) {
      EXPECT_EQ(in_group, command.group == GroupMark::inside || command.group == GroupMark::last);
      in_group = command.group == GroupMark::first || command.group == GroupMark::inside;
      Seen& seen = seen_.emplace_back();
      for (const ByteView arg : batch->args_of(command))
        seen.args.emplace_back(arg);
      seen.db = command.db;
      seen.group = command.group;
      seen.end = command.end;
      seen.wire = command.wire;
      seen.name = command.info != nullptr ? command.info->name : "";
      EXPECT_LE(command.end, batch->end);
    }
    EXPECT_FALSE(in_group) << "a group is cut";
    EXPECT_GT(batch->end, last_end_);
    last_end_ = batch->end;
    return true;
  }

  const std::vector<Seen>& seen() const { return seen_; }
  Offset last_end() const { return last_end_; }
  StreamDecoder& decoder() { return decoder_; }

 private:
  SlabBudget budget_;
  SlabRef slab_;
  StreamDecoder decoder_;
  std::vector<Seen> seen_;
  Offset last_end_;
};

// A stream with everything in it, and what must come out.
struct Stream {
  Bytes bytes;
  std::vector<Seen> expected;
  std::int32_t db = 0;
  bool in_group = false;

  Stream& eaten(std::initializer_list<ByteView> args) {
    append_command(bytes, args);
    return *this;
  }
  Stream& select(std::int32_t to) {
    db = to;
    return eaten({"SELECT", std::to_string(to)});
  }
  Stream& command(std::initializer_list<ByteView> args, std::string_view name,
                  GroupMark group = GroupMark::none) {
    Seen seen;
    seen.args.assign(args.begin(), args.end());
    seen.db = db;
    seen.group = in_group && group == GroupMark::none ? GroupMark::inside : group;
    seen.wire = make_command(args);
    seen.name = name;
    bytes += seen.wire;
    seen.end = start_offset + static_cast<Offset>(bytes.size());
    expected.push_back(std::move(seen));
    return *this;
  }
  Stream& multi() {
    command({"MULTI"}, "MULTI", GroupMark::first);
    in_group = true;
    return *this;
  }
  Stream& exec() {
    in_group = false;
    return command({"EXEC"}, "EXEC", GroupMark::last);
  }
};

Stream rich_stream() {
  Stream stream;
  stream.eaten({"PING"}).select(0).command({"SET", "k", "v"}, "SET");
  stream.multi().command({"INCR", "n"}, "INCR").command({"LPUSH", "l", ""}, "LPUSH").exec();
  stream.select(11).command({"set", "k", "\r\n$5\r\n*1\r\n"}, "SET");
  stream.multi().command({"DEL", "a", "b"}, "DEL").select(2).command({"DEL", "c"}, "DEL").exec();
  stream.multi().exec().multi().command({"MODULE.CMD", "x"}, "").eaten({"ping"}).exec();
  stream.eaten({"REPLCONF", "GETACK", "*"}).command({"Flushall"}, "FLUSHALL");
  stream.command({"SET", "long", Bytes(300, 'x')}, "SET").eaten({"REPLCONF", "ACK", "1"});
  stream.command({"SET", "k", "last"}, "SET").eaten({"PING"});
  return stream;
}

TEST(StreamDecoder, GivesTheSameForEverySplitWhenTakenAtOnce) {
  const Stream stream = rich_stream();
  test::for_each_split(stream.bytes, [&](const std::vector<ByteView>& pieces) {
    Decoding decoding;
    for (const ByteView piece : pieces) {
      ASSERT_FALSE(decoding.feed(piece));
      while (decoding.take()) {
      }
    }
    EXPECT_EQ(decoding.seen(), stream.expected);
    EXPECT_EQ(decoding.last_end(), start_offset + static_cast<Offset>(stream.bytes.size()));
    EXPECT_EQ(decoding.decoder().offset(), decoding.last_end());
  });
}

TEST(StreamDecoder, GivesTheSameForEverySplitWhenTakenNowAndThen) {
  const Stream stream = rich_stream();
  test::for_each_split(stream.bytes, [&](const std::vector<ByteView>& pieces) {
    Decoding decoding;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      ASSERT_FALSE(decoding.feed(pieces[i]));
      if (i % 7 == 0) decoding.take();
    }
    while (decoding.take()) {
    }
    EXPECT_EQ(decoding.seen(), stream.expected);
    EXPECT_EQ(decoding.last_end(), start_offset + static_cast<Offset>(stream.bytes.size()));
  });
}

TEST(StreamDecoder, HoldsBackAnOpenGroupButNotWhatIsBeforeIt) {
  Decoding decoding;
  const Bytes before = make_command({"SET", "a", "1"});

  ASSERT_FALSE(decoding.feed(before + make_command({"MULTI"}) + make_command({"INCR", "n"})));
  EXPECT_TRUE(decoding.take());
  EXPECT_FALSE(decoding.take());

  EXPECT_EQ(decoding.seen().size(), 1u);
  EXPECT_EQ(decoding.last_end(), start_offset + static_cast<Offset>(before.size()));
  ASSERT_FALSE(decoding.feed(make_command({"EXEC"})));
  EXPECT_TRUE(decoding.take());
  EXPECT_EQ(decoding.seen().size(), 4u);
}

TEST(StreamDecoder, PutsTheCommandsOfAGroupSideBySideWhenTheyCameThatWay) {
  SlabBudget budget;
  StreamDecoder decoder(budget);
  decoder.start(0, 0);
  const SlabRef slab = make_slab(budget);
  const Bytes group =
      make_command({"MULTI"}) + make_command({"INCR", "n"}) + make_command({"EXEC"});

  ASSERT_FALSE(decoder.feed(slab, slab->append(group), TimePoint()));
  const auto batch = decoder.take();

  ASSERT_EQ(batch->commands.size(), 3u);
  EXPECT_EQ(batch->commands[0].wire.data(), slab->filled().data()) << "nothing is copied";
  EXPECT_EQ(batch->commands[2].wire.data() + batch->commands[2].wire.size(),
            slab->filled().data() + group.size());
}

TEST(StreamDecoder, KeepsTheSlabsOfABatchAlive) {
  SlabBudget budget;
  std::unique_ptr<Batch> batch;
  {
    StreamDecoder decoder(budget);
    decoder.start(0, 0);
    const Bytes wire = make_command({"SET", "k", "value"}) + make_command({"DEL", "other"});
    for (std::size_t i = 0; i < wire.size(); ++i) {
      const SlabRef slab = make_slab(budget, 16);
      ASSERT_FALSE(decoder.feed(slab, slab->append(ByteView(wire).substr(i, 1)), TimePoint()));
    }
    batch = decoder.take();
  }

  ASSERT_EQ(batch->commands.size(), 2u);
  EXPECT_EQ(batch->args_of(batch->commands[0])[2], "value");
  EXPECT_EQ(batch->args_of(batch->commands[1])[1], "other");
  batch.reset();
  EXPECT_EQ(budget.used_bytes, 0u) << "and no longer than that";
}

TEST(StreamDecoder, CountsWhatItEatsInTheOffset) {
  Decoding decoding;
  const Bytes eaten = make_command({"PING"}) + make_command({"REPLCONF", "ACK", "1"}) +
                      make_command({"SELECT", "3"});

  ASSERT_FALSE(decoding.feed(eaten));

  EXPECT_TRUE(decoding.take()) << "a batch without commands carries the offset on";
  EXPECT_TRUE(decoding.seen().empty());
  EXPECT_EQ(decoding.last_end(), start_offset + static_cast<Offset>(eaten.size()));
  EXPECT_FALSE(decoding.take());
}

TEST(StreamDecoder, TellsWhereTheStreamStoodBehindAGetack) {
  Decoding decoding;
  const Bytes getack = make_command({"replconf", "getack", "*"});
  Offset end = 0;

  ASSERT_FALSE(decoding.feed(getack + make_command({"SET", "k", "v"})));

  EXPECT_TRUE(decoding.decoder().take_getack(end));
  EXPECT_EQ(end, start_offset + static_cast<Offset>(getack.size()));
  EXPECT_FALSE(decoding.decoder().take_getack(end)) << "each is told once";
}

TEST(StreamDecoder, BeginsInTheDatabaseItIsTold) {
  Decoding decoding(0, 5);

  ASSERT_FALSE(decoding.feed(make_command({"SET", "k", "v"})));
  decoding.take();

  EXPECT_EQ(decoding.seen().front().db, 5);
}

TEST(StreamDecoder, ForgetsEverythingAtStart) {
  Decoding decoding;
  ASSERT_FALSE(decoding.feed(make_command({"SELECT", "9"}) + make_command({"MULTI"}) +
                             make_command({"REPLCONF", "GETACK", "*"}) + "*2\r\n$3\r\nGE"));

  decoding.decoder().start(5000, 0);
  ASSERT_FALSE(decoding.feed(make_command({"DEL", "k"})));
  decoding.take();

  Offset end = 0;
  EXPECT_FALSE(decoding.decoder().take_getack(end));
  ASSERT_EQ(decoding.seen().size(), 1u);
  EXPECT_EQ(decoding.seen().front().db, 0);
  EXPECT_EQ(decoding.seen().front().group, GroupMark::none);
  EXPECT_EQ(decoding.seen().front().end, 5000 + 20);
}

TEST(StreamDecoder, RefusesWhatNoMasterSendsAndSaysWhere) {
  const Bytes good = make_command({"SET", "k", "v"});
  const struct {
    Bytes bad;
    const char* words;
  } rows[] = {
      {make_command({"EXEC"}), "EXEC without MULTI"},
      {make_command({"MULTI"}) + make_command({"MULTI"}), "MULTI inside MULTI"},
      {make_command({"SELECT"}), "SELECT without a database"},
      {make_command({"SELECT", "x"}), "SELECT without a database"},
      {make_command({"SELECT", "-1"}), "SELECT without a database"},
      {make_command({"SELECT", "1", "2"}), "SELECT without a database"},
      {make_command({"SELECT", "99999999999"}), "SELECT without a database"},
      {"PING\r\n", "does not begin with *<count>, but \"PING\\x0d\\x0a\""},
      {"\r\n", "does not begin with *<count>"},
      {"+OK\r\n", "does not begin with *<count>"},
      {"*0\r\n", "without arguments"},
      {"*1\r\n:1\r\n", "does not begin with $<length>"},
      {"*1\r\n$1\r\nabc", "does not end with CRLF"},
      {Bytes(100, '\0'), "does not begin with *<count>"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(escaped(row.bad));
    test::for_each_split(good + row.bad, [&](const std::vector<ByteView>& pieces) {
      Decoding decoding;
      Error error;
      for (const ByteView piece : pieces) {
        if (!error) error = decoding.feed(piece);
      }
      EXPECT_TRUE(error.is(Errc::corrupt));
      EXPECT_NE(error.what.find("replication stream at offset 10"), std::string::npos)
          << error.what;
      if (pieces.size() == 1) {
        EXPECT_NE(error.what.find(row.words), std::string::npos) << error.what;
      }
    });
  }
}

// Read from its start at each piece this would take minutes.
TEST(StreamDecoder, ReadsACommandOfVeryManyArgumentsOnce) {
  constexpr std::size_t elements = 300000;
  Bytes wire;
  append_array_header(wire, elements + 2);
  append_bulk(wire, "RPUSH");
  append_bulk(wire, "list");
  for (std::size_t i = 0; i < elements; ++i)
    append_bulk(wire, std::to_string(i));
  Decoding decoding;

  for (std::size_t at = 0; at < wire.size(); at += 3000) {
    ASSERT_FALSE(decoding.feed(ByteView(wire).substr(at, 3000)));
    decoding.take();
  }

  ASSERT_EQ(decoding.seen().size(), 1u);
  EXPECT_EQ(decoding.seen()[0].args.size(), elements + 2);
  EXPECT_EQ(decoding.seen()[0].args.back(), std::to_string(elements - 1));
  EXPECT_EQ(decoding.seen()[0].wire.size(), wire.size());
}

TEST(StreamDecoder, LetsGoOfWhatItWasFedOnceItIsTaken) {
  SlabBudget budget;
  StreamDecoder decoder(budget);
  decoder.start(0, 0);
  std::size_t most = 0;

  for (int i = 0; i < 1000; ++i) {
    const SlabRef slab = make_slab(budget, 4096);
    const Bytes wire = make_command({"SET", "k", Bytes(3000, 'x')});
    ASSERT_FALSE(decoder.feed(slab, slab->append(wire), TimePoint()));
    decoder.take();
    most = std::max(most, budget.used_bytes);
  }

  EXPECT_LE(most, 64u * 1024);
}

// --- append-only files

Bytes annotated() {
  return "#TS:100\r\n" + make_command({"SELECT", "3"}) + make_command({"SET", "a", "1"}) +
         "# a word for people\n" + make_command({"MULTI"}) + make_command({"INCR", "n"}) +
         "#TS:200\r\n" + make_command({"INCR", "n"}) + make_command({"EXEC"}) + "#TS:300\r\n" +
         make_command({"SET", "b", "2"});
}

TEST(StreamDecoder, PassesOverAnnotationsForEverySplit) {
  test::for_each_split(annotated(), [](const std::vector<ByteView>& pieces) {
    Decoding decoding;
    decoding.decoder().read_annotations(std::nullopt);
    for (const ByteView piece : pieces)
      ASSERT_FALSE(decoding.feed(piece));
    while (decoding.take()) {
    }

    ASSERT_EQ(decoding.seen().size(), 6u);
    EXPECT_EQ(decoding.seen()[0].db, 3);
    EXPECT_EQ(decoding.decoder().offset(), start_offset + static_cast<Offset>(annotated().size()));
    EXPECT_FALSE(decoding.decoder().is_torn());
    EXPECT_FALSE(decoding.decoder().has_ended());
  });
}

TEST(StreamDecoder, EndsAtTheFirstAnnotationBehindTheMoment) {
  struct Case {
    std::int64_t until;
    std::size_t commands;  // with MULTI and EXEC
  };
  for (const Case& one : {Case{99, 0}, Case{100, 1}, Case{199, 1}, Case{200, 5}, Case{300, 6}}) {
    test::for_each_split(annotated(), [&one](const std::vector<ByteView>& pieces) {
      Decoding decoding;
      decoding.decoder().read_annotations(one.until);
      for (const ByteView piece : pieces)
        ASSERT_FALSE(decoding.feed(piece));
      while (decoding.take()) {
      }

      EXPECT_EQ(decoding.seen().size(), one.commands) << one.until;
      EXPECT_EQ(decoding.decoder().has_ended(), one.until < 300) << one.until;
    });
  }
}

Bytes greeting() {
  return make_command({"PUBLISH", "__sentinel__:hello", "127.0.0.1,26379"});
}

TEST(StreamDecoder, KnowsWhereTheLastEffectEnds) {
  const Bytes set = make_command({"SELECT", "2"}) + make_command({"SET", "a", "1"});
  const Bytes group =
      make_command({"MULTI"}) + make_command({"INCR", "a"}) + make_command({"EXEC"});
  const Bytes quiet = make_command({"PING"}) + greeting() + make_command({"SELECT", "5"}) +
                      make_command({"REPLCONF", "GETACK", "*"});
  const Bytes torn = make_command({"MULTI"}) + make_command({"INCR", "a"});
  const Bytes stream = set + group + quiet + torn + "*3\r\n$3";
  test::for_each_split(stream, [&](const std::vector<ByteView>& pieces) {
    Decoding decoding;
    for (const ByteView piece : pieces) {
      ASSERT_FALSE(decoding.feed(piece));
      while (decoding.take()) {
      }
    }

    EXPECT_EQ(decoding.decoder().effects().offset,
              start_offset + static_cast<Offset>((set + group).size()));
    EXPECT_EQ(decoding.decoder().effects().db, 2);
    EXPECT_EQ(decoding.decoder().received(), start_offset + static_cast<Offset>(stream.size()));
  });
}

TEST(StreamDecoder, TakesWhatIsPublishedForAnEffect) {
  const Bytes news = make_command({"PUBLISH", "news", "1"});
  Decoding plain;
  ASSERT_FALSE(plain.feed(news));
  EXPECT_TRUE(plain.take());
  Decoding in_group;
  const Bytes group = make_command({"MULTI"}) + greeting() + make_command({"EXEC"});
  ASSERT_FALSE(in_group.feed(group));
  EXPECT_TRUE(in_group.take());

  EXPECT_EQ(plain.decoder().effects().offset, start_offset + static_cast<Offset>(news.size()));
  EXPECT_EQ(in_group.decoder().effects().offset, start_offset + static_cast<Offset>(group.size()));
}

// A batch says no more than it holds.
TEST(StreamDecoder, SaysOfABatchWhereItsEffectsEnd) {
  const Bytes set = make_command({"SET", "a", "1"});
  SlabBudget budget;
  StreamDecoder decoder(budget);
  decoder.start(start_offset, 0);
  const SlabRef slab = make_slab(budget);
  const Bytes stream = set + greeting() + make_command({"MULTI"}) + make_command({"INCR", "a"});
  ASSERT_FALSE(decoder.feed(slab, slab->append(stream), TimePoint()));

  const std::unique_ptr<Batch> batch = decoder.take();

  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->effects.offset, start_offset + static_cast<Offset>(set.size()));
  EXPECT_EQ(batch->end, start_offset + static_cast<Offset>((set + greeting()).size()));
}

TEST(StreamDecoder, RefusesAnnotationsWithoutEndAndThoseOfServers) {
  Decoding endless;
  endless.decoder().read_annotations(std::nullopt);
  EXPECT_TRUE(endless.feed("#" + Bytes(2000, 'x')).is(Errc::corrupt));
  Decoding server;
  EXPECT_TRUE(server.feed("#TS:1\r\n").is(Errc::corrupt));
}

TEST(StreamDecoder, KnowsWhetherAFileEndsInTheMiddle) {
  Decoding in_command;
  ASSERT_FALSE(in_command.feed(make_command({"SET", "a", "1"}) + "*1\r\n$4\r\nPI"));
  Decoding in_group;
  ASSERT_FALSE(in_group.feed(make_command({"SELECT", "3"}) + make_command({"MULTI"})));
  Decoding whole;
  ASSERT_FALSE(whole.feed(make_command({"SELECT", "3"})));

  EXPECT_TRUE(in_command.decoder().is_torn());
  EXPECT_TRUE(in_command.decoder().begin_file().is(Errc::corrupt));
  EXPECT_TRUE(in_group.decoder().is_torn());
  EXPECT_EQ(in_group.decoder().whole_offset(),
            start_offset + static_cast<Offset>(make_command({"SELECT", "3"}).size()));
  EXPECT_FALSE(whole.decoder().begin_file());
  EXPECT_EQ(whole.decoder().db(), 0) << "each file begins in database 0";
}

}  // namespace
}  // namespace keyferry
