// RdbReader::wants: values that nobody wants are stepped over in pieces, however they arrive.
#include <gtest/gtest.h>

#include "builder.hpp"
#include "keyferry/rdb/rdb_reader.hpp"

namespace keyferry::rdb {
namespace {

struct Result {
  std::string keys;
  std::size_t most_held = 0;  // bytes that had to be offered at once
  bool ended = false;
};

// Offers the file by pieces of `piece` bytes; keys that begin with "no" are not wanted.
Result read(const Bytes& file, std::size_t piece, std::size_t limit) {
  RdbReader reader(limit);
  reader.wants = [](const Event& key) { return !key.key.starts_with("no"); };
  Result result;
  Bytes held;
  std::size_t offered = 0;
  Event event;
  while (!result.ended) {
    std::size_t consumed = 0;
    const auto status = reader.next(held, event, consumed);
    if (status == RdbReader::Status::error) {
      ADD_FAILURE() << reader.error().what;
      return result;
    }
    if (status == RdbReader::Status::need_more) {
      if (offered == file.size()) {
        ADD_FAILURE() << "asks for more than there is";
        return result;
      }
      const std::size_t size = std::min(piece, file.size() - offered);
      held += ByteView(file).substr(offered, size);
      offered += size;
      result.most_held = std::max(result.most_held, held.size());
      continue;
    }
    if (event.kind == Event::Kind::key || event.kind == Event::Kind::big_key)
      result.keys += Bytes(event.key) + (event.expire_ms ? "! " : " ");
    result.ended = event.kind == Event::Kind::end;
    held.erase(0, consumed);
  }
  return result;
}

Bytes list_of(std::size_t items) {
  Bytes value = test::length(items);
  for (std::size_t i = 0; i < items; ++i)
    value += test::string("item");
  return value;
}

Bytes module_of(std::size_t text_bytes) {
  return test::raw("\x81") + test::big_endian(0x7b1b2daedca97800, 8) + test::length(5) +
         test::string(Bytes(text_bytes, 'm')) + test::length(0);
}

// An expiry belongs to the key behind it alone.
Bytes sample(std::size_t big) {
  const Bytes expiry = test::raw("\xfc") + test::little_endian(5000, 8);
  return test::file(11, test::record(0, "a", test::string("x")) + expiry +
                            test::record(0, "no:string", test::string(Bytes(big, 'x'))) +
                            test::record(0, "b", test::string("x")) +
                            test::record(1, "no:list", list_of(big / 8)) + expiry +
                            test::record(0, "c", test::string("x")) +
                            test::record(7, "no:module", module_of(big)) +
                            test::record(1, "no:empty", test::length(0)) +
                            test::record(0, "d", test::string("x")));
}

TEST(UnwantedValues, NoEventTellsOfThemHoweverTheyArrive) {
  for (const std::size_t big : {10U, 300U, 200'000U}) {
    const Bytes file = sample(big);
    for (const std::size_t piece :
         {std::size_t{1}, std::size_t{7}, std::size_t{4096}, file.size()}) {
      if (piece == 1 && big > 1000) continue;
      const Result result = read(file, piece, 64);
      EXPECT_EQ(result.keys, "a b c! d ") << big << " by " << piece;
      EXPECT_TRUE(result.ended);
    }
  }
}

TEST(UnwantedValues, AreNotHeldWhole) {
  const Bytes file = sample(8 * 1024 * 1024);

  const Result result = read(file, 16 * 1024, 4 * 1024 * 1024);

  EXPECT_EQ(result.keys, "a b c! d ");
  EXPECT_LT(result.most_held, 256U * 1024);
}

}  // namespace
}  // namespace keyferry::rdb
