#include "keyferry/source/dirty_keys.hpp"

#include <deque>
#include <random>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

using Added = DirtyKeys::Added;
constexpr std::size_t plenty = 1 << 20;

std::string take_all(DirtyKeys& keys) {
  std::string out;
  DirtyKey key;
  while (keys.take(key))
    out += std::to_string(key.db) + ":" + key.key + "=" + std::to_string(key.number) + " ";
  return out;
}

TEST(DirtyKeys, EachKeyOnceOldestFirstWithItsFirstNumber) {
  DirtyKeys keys(plenty);

  EXPECT_EQ(keys.add(0, "a", 1), Added::yes);
  EXPECT_EQ(keys.add(1, "a", 2), Added::yes);
  EXPECT_EQ(keys.add(0, "b", 3), Added::yes);
  EXPECT_EQ(keys.add(0, "a", 4), Added::known);

  EXPECT_EQ(keys.oldest_number(), 1u);
  EXPECT_EQ(take_all(keys), "0:a=1 1:a=2 0:b=3 ");
  EXPECT_EQ(keys.used_bytes(), 0u);
}

TEST(DirtyKeys, AChangeWhileAKeyIsReadAddsItAnew) {
  DirtyKeys keys(plenty);
  keys.add(0, "a", 1);
  DirtyKey taken;
  keys.take(taken);

  EXPECT_EQ(keys.add(0, "a", 2), Added::yes);

  EXPECT_EQ(take_all(keys), "0:a=2 ");
}

TEST(DirtyKeys, WhatDoesNotFitIsTold) {
  DirtyKeys keys(1000);
  std::uint64_t number = 0;
  while (keys.add(0, "key:" + std::to_string(number), number + 1) == Added::yes)
    ++number;

  EXPECT_GT(number, 5u);
  EXPECT_LE(keys.used_bytes(), 1000u);
  EXPECT_EQ(keys.add(0, "key:0", 99), Added::known);
  EXPECT_EQ(keys.add(0, "other", 99), Added::full);
  EXPECT_FALSE(keys.contains(0, "other"));
}

TEST(DirtyKeys, SpilledKeysComeBackAsTheyWere) {
  Bytes spilled;
  append_spilled(spilled, 3, Bytes("k\0\r\n", 4), 77);
  append_spilled(spilled, 0, "", 78);

  DirtyKey key;
  const std::size_t first = read_spilled(spilled, key);
  EXPECT_EQ(key.db, 3);
  EXPECT_EQ(key.key, Bytes("k\0\r\n", 4));
  EXPECT_EQ(key.number, 77u);
  EXPECT_EQ(read_spilled(ByteView(spilled).substr(first), key), spilled.size() - first);
  EXPECT_EQ(key.number, 78u);
  for (std::size_t size = 0; size < first; ++size)
    EXPECT_EQ(read_spilled(ByteView(spilled).substr(0, size), key), 0u) << size;
}

// A source with a few keys, a reader that reads what is dirty with delay, events between taking and
// reading: when changes stop, the copy is the source.
TEST(DirtyKeys, CopiesConvergeWheneverChangesStop) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    DirtyKeys keys(plenty);
    int source[5] = {};
    int copy[5] = {};
    std::deque<std::string> events;
    std::deque<int> taken;
    std::deque<std::pair<int, int>> read;
    std::uint64_t number = 0;
    const auto step = [&](unsigned what) {
      DirtyKey key;
      if (what == 0) {
        const int at = static_cast<int>(random() % 5);
        source[at] = static_cast<int>(random() % 3);  // 0: deleted
        events.push_back(std::to_string(at));
      } else if (what == 1 && !events.empty()) {
        keys.add(0, events.front(), ++number);
        events.pop_front();
      } else if (what == 2 && keys.take(key)) {
        taken.push_back(std::stoi(key.key));
      } else if (what == 3 && !taken.empty()) {
        read.emplace_back(taken.front(), source[taken.front()]);
        taken.pop_front();
      } else if (what == 4 && !read.empty()) {
        copy[read.front().first] = read.front().second;
        read.pop_front();
      }
    };
    for (int i = 0; i < 300; ++i)
      step(static_cast<unsigned>(random() % 5));
    for (int i = 0; i < 2000; ++i)
      step(static_cast<unsigned>(1 + random() % 4));
    for (int at = 0; at < 5; ++at)
      EXPECT_EQ(copy[at], source[at]) << at;
  }
}

}  // namespace
}  // namespace keyferry
