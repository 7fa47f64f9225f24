#include "keyferry/source/byte_window.hpp"

#include <random>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

Bytes numbered(std::size_t size) {
  Bytes out(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<char>('a' + (i * 7 + i / 26) % 26);
  return out;
}

// Gives out pieces of a byte stream as a socket would: into the tail of the current slab, or a new
// one.
struct Reader {
  ByteView read(ByteView bytes, bool new_slab) {
    if (!slab || new_slab || slab->tail_size() < bytes.size()) {
      slab = make_slab(budget, std::max<std::size_t>(bytes.size(), 64));
    }
    return slab->append(bytes);
  }
  SlabBudget& budget;
  SlabRef slab;
};

TEST(ByteWindow, ShowsAChunkWhereItIs) {
  SlabBudget budget;
  const SlabRef slab = make_slab(budget);
  const ByteView chunk = slab->append("hello");
  ByteWindow window(budget);

  window.append(slab, chunk);

  EXPECT_EQ(window.view().data(), chunk.data());
  EXPECT_EQ(window.view(), "hello");
  EXPECT_EQ(window.slab(), slab);
}

TEST(ByteWindow, DoesNotCopyReadsThatLieBehindOneAnother) {
  SlabBudget budget;
  const SlabRef slab = make_slab(budget);
  ByteWindow window(budget);
  const ByteView first = slab->append("abc");
  window.append(slab, first);
  window.consume(1);

  window.append(slab, slab->append("def"));

  EXPECT_EQ(window.view(), "bcdef");
  EXPECT_EQ(window.view().data(), first.data() + 1);
  EXPECT_EQ(budget.used_bytes, slab->size());
}

TEST(ByteWindow, CopiesOnlyTheItemThatStraddlesTwoSlabs) {
  SlabBudget budget;
  const SlabRef first = make_slab(budget);
  const SlabRef second = make_slab(budget);
  const ByteView chunk = second->append("DEF" + Bytes(100000, 'x'));
  ByteWindow window(budget);
  window.append(first, first->append("abc"));

  window.append(second, chunk);
  const Bytes straddling(window.view().substr(0, 6));
  window.consume(6);

  EXPECT_EQ(straddling, "abcDEF");
  EXPECT_EQ(window.view().data(), chunk.data() + 3) << "back in the chunk itself";
  EXPECT_EQ(window.view().size(), chunk.size() - 3);
  EXPECT_EQ(window.slab(), second);
}

TEST(ByteWindow, KeepsTheViewValidWhileItsSlabIsHeld) {
  SlabBudget budget;
  ByteWindow window(budget);
  const SlabRef first = make_slab(budget);
  window.append(first, first->append("abc"));
  const SlabRef second = make_slab(budget);
  window.append(second, second->append("defghi"));
  const SlabRef held = window.slab();
  const ByteView item = window.view().substr(0, 5);

  window.consume(5);
  window.clear();

  EXPECT_EQ(item, "abcde");
  EXPECT_EQ(held->filled().substr(0, 5), "abcde");
}

TEST(ByteWindow, GivesItsSlabsBack) {
  SlabBudget budget;
  ByteWindow window(budget);
  for (int i = 0; i < 2; ++i) {
    const SlabRef slab = make_slab(budget);
    window.append(slab, slab->append("abcdef"));
  }

  window.clear();

  EXPECT_EQ(budget.used_bytes, 0u);
  EXPECT_EQ(window.unread_bytes(), 0u);
}

TEST(ByteWindow, CopiesAHugeItemOfKnownSizeOnce) {
  constexpr std::size_t item_size = 8 * 1024 * 1024;
  SlabBudget budget;
  ByteWindow window(budget);
  const Bytes item = numbered(item_size);
  const SlabRef head = make_slab(budget);
  window.append(head, head->append(ByteView(item).substr(0, 100)));
  const char* begin = nullptr;
  std::size_t moves = 0;

  for (std::size_t at = 100; at < item_size;) {
    while (window.want(item_size)) {
    }
    if (window.view().data() != begin) ++moves;
    begin = window.view().data();
    const std::size_t size = std::min<std::size_t>(item_size - at, 200000);
    const SlabRef slab = make_slab(budget);
    window.append(slab, slab->append(ByteView(item).substr(at, size)));
    at += size;
  }
  while (window.want(item_size)) {
  }

  EXPECT_EQ(window.view(), item);
  EXPECT_LE(moves, 3u);
  EXPECT_LT(budget.used_bytes, item_size + 3 * Slab::default_size_bytes);
}

// Items "<size byte><bytes>" through a window in random pieces, against the plain concatenation.
// `knows_size`: whether the parser says how much it needs, or always asks for one byte more.
void check_random_pieces(unsigned seed, bool knows_size) {
  SCOPED_TRACE("seed " + std::to_string(seed) + (knows_size ? ", size known" : ", size unknown"));
  std::mt19937 random(seed);
  const Bytes stream = numbered(60000);
  std::vector<std::size_t> items;
  for (std::size_t sum = 0; sum < stream.size(); sum += items.back()) {
    const std::size_t largest = random() % 10 == 0 ? 9000 : 50;
    items.push_back(std::min<std::size_t>(stream.size() - sum, 1 + random() % largest));
  }
  SlabBudget budget;
  {
    ByteWindow window(budget);
    Reader reader{budget, nullptr};
    std::size_t parsed = 0;
    std::size_t item = 0;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t longest = random() % 5 == 0 ? 12000 : 100;
      const std::size_t size = std::min<std::size_t>(stream.size() - at, 1 + random() % longest);
      const ByteView chunk = reader.read(ByteView(stream).substr(at, size), random() % 3 == 0);
      window.append(reader.slab, chunk);
      at += size;
      bool more = true;
      while (more) {
        const std::size_t need = item < items.size() ? items[item] : 1;
        if (item < items.size() && window.view().size() >= need) {
          ASSERT_EQ(window.view().substr(0, need), ByteView(stream).substr(parsed, need));
          window.consume(need);
          parsed += need;
          ++item;
        } else {
          more = window.want(knows_size ? need : window.view().size() + 1);
        }
      }
      ASSERT_EQ(window.unread_bytes(), at - parsed);
      ASSERT_EQ(window.view(), ByteView(stream).substr(parsed, at - parsed));
    }
    EXPECT_EQ(item, items.size());
  }
}

TEST(ByteWindow, GivesThePlainConcatenationForRandomPieces) {
  for (unsigned seed = 1; seed <= 200; ++seed)
    check_random_pieces(seed, seed % 2 == 0);
}

}  // namespace
}  // namespace keyferry
