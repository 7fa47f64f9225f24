// Feeds a byte sequence to a parser in every way a network may deliver it: whole, byte by byte,
// each two-piece split (every k-th when long), and seeded random pieces. The parser under test must
// give the same result each time.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "keyferry/base/bytes.hpp"

namespace keyferry::test {

// feed(pieces) is called once per delivery; pieces are views into `bytes`, in order, covering all
// of it.
template <class Feed>
void for_each_split(ByteView bytes, Feed feed) {
  feed(std::vector<ByteView>{bytes});

  std::vector<ByteView> single;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    single.push_back(bytes.substr(i, 1));
  {
    SCOPED_TRACE("byte by byte");
    feed(single);
  }
  const std::size_t step = std::max<std::size_t>(1, bytes.size() / 2000);
  for (std::size_t cut = 1; cut < bytes.size(); cut += step) {
    SCOPED_TRACE("cut at " + std::to_string(cut));
    feed(std::vector<ByteView>{bytes.substr(0, cut), bytes.substr(cut)});
  }
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::vector<ByteView> pieces;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t size = std::min<std::size_t>(bytes.size() - at, 1 + random() % 40);
      pieces.push_back(bytes.substr(at, size));
      at += size;
    }
    feed(pieces);
  }
}

}  // namespace keyferry::test
