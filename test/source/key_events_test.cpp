#include "keyferry/source/key_events.hpp"

#include <gtest/gtest.h>

#include "keyferry/resp/resp.hpp"
#include "support/split.hpp"

namespace keyferry {
namespace {

using Status = ReplyCursor::Status;

Bytes message(ByteView channel, ByteView key) {
  return make_command({"pmessage", key_event_pattern, channel, key});
}

std::string text_of(const Push& push) {
  switch (push.kind) {
    case Push::Kind::event:
      return std::to_string(push.event.db) + "/" + std::string(push.event.event) + "/" +
             std::string(push.event.key) + " ";
    case Push::Kind::subscribed:
      return "subscribed ";
    case Push::Kind::pong:
      return "pong ";
    case Push::Kind::error:
      return "error:" + std::string(push.text) + " ";
    case Push::Kind::other:
      return "other ";
  }
  return "";
}

std::string read_all(const std::vector<ByteView>& pieces) {
  std::string out;
  Bytes unread;
  for (const ByteView piece : pieces) {
    unread.append(piece);
    Push push;
    std::size_t size = 0;
    Status status = Status::token;
    while ((status = parse_push(unread, push, size)) == Status::token) {
      out += text_of(push);
      unread.erase(0, size);
    }
    if (status == Status::corrupt) return out + "corrupt";
  }
  return unread.empty() ? out : out + "left";
}

TEST(KeyEvents, ReadsMessagesAtEverySplit) {
  const Bytes bytes = "*3\r\n$10\r\npsubscribe\r\n$16\r\n__keyevent@*__:*\r\n:1\r\n" +
                      message("__keyevent@0__:set", "a") +
                      message("__keyevent@15__:rename_to", "k\r\n:x") +
                      "*2\r\n$4\r\npong\r\n$0\r\n\r\n" + message("__keyevent@0__:del", "");
  test::for_each_split(bytes, [](const std::vector<ByteView>& pieces) {
    EXPECT_EQ(read_all(pieces), "subscribed 0/set/a 15/rename_to/k\r\n:x pong 0/del/ ");
  });
}

TEST(KeyEvents, OtherChannelsAreNoEvents) {
  for (const char* channel : {"__keyspace@0__:k", "__keyevent@__:set", "__keyevent@x__:set",
                              "__keyevent@-1__:set", "__keyevent@1_:set", "news", ""}) {
    EXPECT_EQ(read_all({message(channel, "k")}), "other ") << channel;
  }
}

TEST(KeyEvents, ARefusalIsAnError) {
  EXPECT_EQ(read_all({"-NOPERM no channels\r\n"}), "error:NOPERM no channels ");
}

TEST(KeyEvents, RefusesWhatNoSubscriberGets) {
  for (const char* bytes : {"*0\r\n", "*5\r\n", "*1\r\n*1\r\n:1\r\n", "x\r\n"})
    EXPECT_EQ(read_all({bytes}), "corrupt") << bytes;
}

// Every class of event that notify-keyspace-events knows, with what Redis 7.0 calls it.
TEST(KeyEvents, EveryChangeMakesItsKeyRead) {
  for (const char* event : {"set",
                            "del",
                            "expire",
                            "expired",
                            "evicted",
                            "persist",
                            "rename_from",
                            "rename_to",
                            "move_from",
                            "move_to",
                            "copy_to",
                            "restore",
                            "setrange",
                            "append",
                            "incrby",
                            "lpush",
                            "ltrim",
                            "hset",
                            "hdel",
                            "sadd",
                            "spop",
                            "zadd",
                            "zrem",
                            "xadd",
                            "xgroup-create",
                            "sortstore",
                            "hexpire",
                            "hexpired",
                            "a-name-from-the-future"}) {
    EXPECT_TRUE(changes_key(event)) << event;
  }
  for (const char* event : {"keymiss", "new", "overwritten", "type_changed"})
    EXPECT_FALSE(changes_key(event)) << event;
}

TEST(KeyEvents, FlagsThatAreMissing) {
  struct Row {
    const char* flags;
    bool has_modules;
    const char* missing;
  };
  const Row rows[] = {{"AE", false, ""},          {"AKE", true, ""},
                      {"", false, "Eg$lshztxe"},  {"A", false, "E"},
                      {"K$", false, "Eglshztxe"}, {"g$lshzxteE", false, ""},
                      {"g$lshzxteE", true, "d"},  {"g$lshzxtedE", true, ""},
                      {"g$lshztE", false, "xe"},  {"Ex", false, "g$lshzte"}};
  for (const Row& row : rows)
    EXPECT_EQ(missing_notify_flags(row.flags, row.has_modules), row.missing) << row.flags;
}

}  // namespace
}  // namespace keyferry
