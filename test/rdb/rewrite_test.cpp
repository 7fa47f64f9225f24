#include "keyferry/rdb/rewrite.hpp"

#include <limits>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "keyferry/resp/command_parser.hpp"

namespace keyferry::rdb {
namespace {

constexpr TargetTraits redis7 = {Family::redis, 7, 0};
constexpr TargetTraits redis8 = {Family::redis, 8, 0};
constexpr std::size_t no_limit = SIZE_MAX;
using Kind = Element::Kind;

Element with_value(Kind kind, ByteView value) {
  Element element;
  element.kind = kind;
  element.value = value;
  return element;
}

Element field(ByteView name, ByteView value, std::int64_t expire_ms = 0) {
  Element element = with_value(Kind::field, value);
  element.name = name;
  element.expire_ms = expire_ms;
  return element;
}

Element entry(StreamId id, std::span<const ByteView> pairs) {
  Element element;
  element.kind = Kind::entry;
  element.id = id;
  element.pairs = pairs;
  return element;
}

Element named(Kind kind, ByteView name) {
  Element element;
  element.kind = kind;
  element.name = name;
  return element;
}

Element with_id(Kind kind, StreamId id) {
  Element element;
  element.kind = kind;
  element.id = id;
  return element;
}

// The commands of a part, one per line, arguments apart by a blank.
std::string lines(const Rewriter::Part& part) {
  std::string out;
  ByteView wire = part.wire;
  std::uint32_t count = 0;
  while (!wire.empty()) {
    std::vector<ByteView> args;
    const CommandParse parsed = parse_command(wire, args);
    if (parsed.status != CommandParse::Status::command) return out + "NOT A COMMAND";
    for (const ByteView arg : args)
      out.append(out.empty() || out.back() == '\n' ? "" : " ").append(arg);
    out += '\n';
    wire.remove_prefix(parsed.size);
    ++count;
  }
  EXPECT_EQ(part.replies, count);
  return out;
}

std::string whole(const std::vector<Element>& elements, TargetTraits target = redis8,
                  std::optional<std::int64_t> expire_ms = std::nullopt, bool is_string = false,
                  std::vector<StreamId> ghosts = {}) {
  Rewriter rewriter(target, no_limit);
  rewriter.begin("k", expire_ms, std::move(ghosts));
  for (const Element& element : elements)
    rewriter.add(element);
  rewriter.end(is_string);
  return lines(rewriter.take());
}

TEST(Rewriter, WritesAStringWithSetAndItsRestBehindIt) {
  EXPECT_EQ(whole({with_value(Kind::text, "abc"), with_value(Kind::text, "de"),
                   with_value(Kind::text, "f")},
                  redis8, 1700000000123, true),
            "SET k abc\nSETRANGE k 3 de\nSETRANGE k 5 f\nPEXPIREAT k 1700000000123\n");
  EXPECT_EQ(whole({}, redis8, std::nullopt, true), "SET k \n");
}

TEST(Rewriter, DeletesTheKeyBeforeTheFirstElement) {
  Element one = with_value(Kind::scored_member, "a");
  one.score = 0.1;
  Element two = with_value(Kind::scored_member, "b");
  two.score = -std::numeric_limits<double>::infinity();

  EXPECT_EQ(whole({with_value(Kind::item, "x"), with_value(Kind::item, "y")}),
            "UNLINK k\nRPUSH k x y\n");
  EXPECT_EQ(whole({with_value(Kind::member, "x")}), "UNLINK k\nSADD k x\n");
  EXPECT_EQ(whole({one, two}), "UNLINK k\nZADD k 0.1 a -inf b\n");
  EXPECT_EQ(whole({field("f", "v")}, redis8, 0), "UNLINK k\nHSET k f v\nPEXPIREAT k 1\n");
}

TEST(Rewriter, WritesNothingForACollectionWithoutElements) {
  EXPECT_EQ(whole({}, redis8, 1700000000000), "");
}

TEST(Rewriter, KeepsCommandsShort) {
  std::vector<Element> items(1100, with_value(Kind::item, "x"));

  const std::string text = whole(items);

  std::size_t commands = 0;
  for (std::size_t at = 0; (at = text.find("RPUSH", at)) != std::string::npos; ++at)
    ++commands;
  EXPECT_EQ(commands, 3u);
}

TEST(Rewriter, SetsTheExpiryOfFieldsWhereTheTargetKnowsIt) {
  const std::vector<Element> fields = {field("f", "v", 1700000000001), field("g", "w")};

  EXPECT_EQ(whole(fields), "UNLINK k\nHSET k f v g w\nHPEXPIREAT k 1700000000001 FIELDS 1 f\n");
  EXPECT_EQ(whole(fields, {Family::valkey, 9, 0}), whole(fields));
  EXPECT_EQ(whole(fields, redis7), "UNLINK k\nHSET k f v g w\n");
  EXPECT_EQ(whole(fields, {Family::valkey, 8, 1}), "UNLINK k\nHSET k f v g w\n");
}

// The frame, with the text put in, is what add() would have written.
TEST(Rewriter, FramesATextThatIsSentFromElsewhere) {
  const ByteView text = "the text";
  Element scored = with_value(Kind::scored_member, text);
  scored.score = 1.5;
  const Element elements[] = {with_value(Kind::item, text), with_value(Kind::member, text), scored,
                              field("f", text), field("f", text, 12345)};
  for (const Element& element : elements) {
    for (const bool is_first : {true, false}) {
      Rewriter whole(redis8, no_limit);
      Rewriter framing(redis8, no_limit);
      for (Rewriter* rewriter : {&whole, &framing}) {
        rewriter->begin("key", 5000);
        Element before = element;
        before.value = "before";
        if (!is_first) rewriter->add(before);
        rewriter->take();
      }
      whole.add(element);
      const Rewriter::Part wanted = whole.take();
      Element without = element;
      without.value = "";
      without.whole_bytes = text.size();

      const Rewriter::Framed framed = framing.frame(without);

      EXPECT_EQ(framed.head + Bytes(text) + framed.tail, wanted.wire);
      EXPECT_EQ(framed.replies, wanted.replies);
      whole.add(element);
      framing.add(element);
      EXPECT_EQ(whole.take().wire, framing.take().wire);
    }
  }
}

TEST(Rewriter, PartsMayBeSentAgain) {
  Rewriter rewriter(redis8, 60);
  rewriter.begin("k", std::nullopt);
  const std::string item(40, 'x');
  std::vector<std::string> parts;
  for (int i = 0; i < 4; ++i) {
    rewriter.add(with_value(Kind::item, item));
    if (rewriter.is_full()) parts.push_back(lines(rewriter.take()));
  }
  rewriter.end(false);

  EXPECT_EQ(parts,
            (std::vector<std::string>{
                "UNLINK k\nRPUSH k " + item + "\n", "LTRIM k 0 0\nRPUSH k " + item + "\n",
                "LTRIM k 0 1\nRPUSH k " + item + "\n", "LTRIM k 0 2\nRPUSH k " + item + "\n"}));
  EXPECT_EQ(rewriter.take().replies, 0u);
}

TEST(Rewriter, TheExpiryComesWithTheLastPart) {
  Rewriter rewriter(redis8, 1);
  rewriter.begin("k", 1700000000000);
  rewriter.add(with_value(Kind::member, "a"));
  ASSERT_TRUE(rewriter.is_full());
  EXPECT_EQ(lines(rewriter.take()), "UNLINK k\nSADD k a\n");
  rewriter.end(false);
  EXPECT_EQ(lines(rewriter.take()), "PEXPIREAT k 1700000000000\n");
}

TEST(Rewriter, SaysWhichPartsOfAStreamMustBeTransactions) {
  const std::vector<ByteView> pairs = {"f", "v"};
  Rewriter rewriter(redis8, 50);
  rewriter.begin("k", std::nullopt);
  rewriter.add(entry({1, 1}, pairs));
  ASSERT_TRUE(rewriter.is_full());
  EXPECT_FALSE(rewriter.take().has_entries) << "it begins with the deletion";
  rewriter.add(entry({2, 0}, pairs));
  rewriter.add(entry({3, 0}, pairs));
  const Rewriter::Part second = rewriter.take();
  rewriter.end(false);
  const Rewriter::Part last = rewriter.take();

  EXPECT_TRUE(second.has_entries);
  EXPECT_EQ(lines(second), "XADD k 2-0 f v\nXADD k 3-0 f v\n");
  EXPECT_FALSE(last.has_entries);
  EXPECT_EQ(lines(last), "XSETID k 0-0 ENTRIESADDED 0 MAXDELETEDID 0-0\n");
}

std::vector<Element> stream_elements(std::span<const ByteView> pairs) {
  Element info;
  info.kind = Kind::stream_info;
  info.length = 1;
  info.last_id = {9, 3};
  info.max_deleted_id = {8, 0};
  info.entries_added = 7;
  Element group = named(Kind::group, "g");
  group.last_id = {5, 1};
  group.entries_read = 4;
  Element pending = with_id(Kind::pending, {5, 1});
  pending.delivered_ms = 1700000000000;
  pending.deliveries = 3;
  Element older = with_id(Kind::pending, {2, 0});
  older.delivered_ms = 1700000000000;
  older.deliveries = 3;
  return {entry({5, 1}, pairs),
          info,
          group,
          older,
          pending,
          named(Kind::consumer, "c"),
          with_id(Kind::owned, {2, 0}),
          with_id(Kind::owned, {5, 1}),
          named(Kind::consumer, "d")};
}

TEST(Rewriter, BuildsAStreamWithItsGroupsAndCounters) {
  const std::vector<ByteView> pairs = {"f", "v"};

  EXPECT_EQ(whole(stream_elements(pairs)),
            "UNLINK k\n"
            "XADD k 5-1 f v\n"
            "XGROUP DESTROY k g\n"
            "XGROUP CREATE k g 5-1 ENTRIESREAD 4\n"
            "XGROUP CREATECONSUMER k g c\n"
            "XCLAIM k g c 0 2-0 5-1 TIME 1700000000000 RETRYCOUNT 3 FORCE JUSTID\n"
            "XGROUP CREATECONSUMER k g d\n"
            "XSETID k 9-3 ENTRIESADDED 7 MAXDELETEDID 8-0\n");
}

TEST(Rewriter, SpeaksToOlderTargetsInTheirWords) {
  const std::vector<ByteView> pairs = {"f", "v"};

  EXPECT_EQ(whole(stream_elements(pairs), {Family::redis, 6, 0}),
            "UNLINK k\n"
            "XADD k 5-1 f v\n"
            "XGROUP DESTROY k g\n"
            "XGROUP CREATE k g 5-1\n"
            "XREADGROUP GROUP g c COUNT 1 STREAMS k 0\n"
            "XCLAIM k g c 0 2-0 5-1 TIME 1700000000000 RETRYCOUNT 3 FORCE JUSTID\n"
            "XREADGROUP GROUP g d COUNT 1 STREAMS k 0\n"
            "XSETID k 9-3\n");
}

TEST(Rewriter, MakesDeletedEntriesForAMomentSoThatTheyCanBeClaimed) {
  const std::vector<ByteView> pairs = {"f", "v"};
  const std::vector<Element> elements = stream_elements(pairs);
  MissingPending missing;
  for (const Element& element : elements)
    missing.add(element);

  const std::string text = whole(elements, redis8, std::nullopt, false, missing.take());

  EXPECT_TRUE(text.starts_with("UNLINK k\nXADD k 2-0 - -\nXADD k 5-1 f v\n")) << text;
  EXPECT_TRUE(text.ends_with("XDEL k 2-0\nXSETID k 9-3 ENTRIESADDED 7 MAXDELETEDID 8-0\n")) << text;
}

TEST(Rewriter, KeepsAnEmptyStream) {
  Element info;
  info.kind = Kind::stream_info;
  info.last_id = {9, 3};

  EXPECT_EQ(whole({info}),
            "UNLINK k\n"
            "XGROUP CREATE k - 0-0 MKSTREAM\n"
            "XGROUP DESTROY k -\n"
            "XSETID k 9-3 ENTRIESADDED 0 MAXDELETEDID 0-0\n");
}

}  // namespace
}  // namespace keyferry::rdb
