#include "keyferry/checkpoint/watermark.hpp"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

const TimePoint start{};
TimePoint at_ms(int ms) {
  return start + Millis(ms);
}

TEST(Watermark, StartsWhereItWasReset) {
  Watermark watermark;
  watermark.reset(1000);

  EXPECT_EQ(watermark.applied(), 1000);
  EXPECT_EQ(watermark.outstanding(), 0U);
  EXPECT_EQ(watermark.oldest(at_ms(7)), at_ms(7));
}

TEST(Watermark, WaitsForTheOldestTicket) {
  Watermark watermark;
  watermark.reset(100);
  const auto first = watermark.open(110, 2, at_ms(1));
  const auto second = watermark.open(120, 1, at_ms(2));

  watermark.ack(second, 1);
  EXPECT_EQ(watermark.applied(), 100);
  EXPECT_EQ(watermark.outstanding(), 2U);
  EXPECT_EQ(watermark.oldest(at_ms(9)), at_ms(1));

  watermark.ack(first, 1);
  EXPECT_EQ(watermark.applied(), 100);

  watermark.ack(first, 1);
  EXPECT_EQ(watermark.applied(), 120);
  EXPECT_EQ(watermark.outstanding(), 0U);
  EXPECT_EQ(watermark.oldest(at_ms(9)), at_ms(9));
}

TEST(Watermark, StopsBeforeTheFirstOpenTicket) {
  Watermark watermark;
  const auto first = watermark.open(10, 1, at_ms(1));
  const auto second = watermark.open(20, 1, at_ms(2));
  const auto third = watermark.open(30, 1, at_ms(3));

  watermark.ack(third, 1);
  watermark.ack(first, 1);

  EXPECT_EQ(watermark.applied(), 10);
  EXPECT_EQ(watermark.oldest(at_ms(9)), at_ms(2));
  watermark.ack(second, 1);
  EXPECT_EQ(watermark.applied(), 30);
}

TEST(Watermark, PassesStretchesThatNeedNothing) {
  Watermark watermark;

  watermark.open(10, 0, at_ms(1));
  EXPECT_EQ(watermark.applied(), 10);

  const auto waiting = watermark.open(20, 1, at_ms(2));
  watermark.open(30, 0, at_ms(3));
  EXPECT_EQ(watermark.applied(), 10);

  watermark.ack(waiting, 1);
  EXPECT_EQ(watermark.applied(), 30);
}

TEST(Watermark, WaitsForWhatWasAdded) {
  Watermark watermark;
  const auto ticket = watermark.open(10, 1, at_ms(1));

  watermark.add(ticket, 2);
  watermark.ack(ticket, 1);
  EXPECT_EQ(watermark.applied(), 0);
  EXPECT_EQ(watermark.outstanding(), 2U);

  watermark.ack(ticket, 2);
  EXPECT_EQ(watermark.applied(), 10);
}

TEST(Watermark, StartsAnewAfterReset) {
  Watermark watermark;
  watermark.open(10, 5, at_ms(1));
  watermark.open(20, 5, at_ms(2));

  watermark.reset(7);
  const auto ticket = watermark.open(9, 1, at_ms(3));

  EXPECT_EQ(watermark.applied(), 7);
  EXPECT_EQ(watermark.outstanding(), 1U);
  watermark.ack(ticket, 1);
  EXPECT_EQ(watermark.applied(), 9);
}

TEST(WatermarkDeathTest, AssertsOnTicketsThatCannotBe) {
  Watermark watermark;
  const auto voided = watermark.open(10, 1, at_ms(1));
  watermark.reset(0);
  const auto done = watermark.open(10, 1, at_ms(1));
  watermark.ack(done, 1);
  const auto open = watermark.open(20, 1, at_ms(1));

  EXPECT_DEATH(watermark.ack(voided, 1), "");
  EXPECT_DEATH(watermark.ack(done, 1), "");
  EXPECT_DEATH(watermark.ack(open, 2), "");
  EXPECT_DEATH(watermark.ack(open + 1, 1), "");
  EXPECT_DEATH(watermark.open(19, 1, at_ms(1)), "");
}

// A model that remembers everything: the watermark is the end of the last stretch of the longest
// finished prefix.
struct Model {
  struct Stretch {
    Offset end;
    std::uint64_t missing;
    TimePoint received;
  };
  std::vector<Stretch> stretches;

  std::size_t finished() const {
    const auto open = std::find_if(stretches.begin(), stretches.end(),
                                   [](const Stretch& s) { return s.missing > 0; });
    return static_cast<std::size_t>(open - stretches.begin());
  }
};

TEST(WatermarkProperty, EqualsTheFinishedPrefixWhateverTheOrderOfAcks) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const Offset begin = 500;
    Watermark watermark;
    watermark.reset(begin);
    Model model;
    std::vector<Watermark::Ticket> tickets;
    std::vector<std::size_t> open;  // stretches that lack something
    Offset end = begin;
    Offset last_applied = begin;

    for (int step = 0; step < 2000 || !open.empty(); ++step) {
      const auto action = step < 2000 ? random() % 3 : 2;
      if (action == 0) {
        end += static_cast<Offset>(random() % 50);
        const std::uint64_t pending = random() % 4;
        tickets.push_back(watermark.open(end, pending, at_ms(step)));
        model.stretches.push_back({end, pending, at_ms(step)});
        if (pending > 0) open.push_back(tickets.size() - 1);
      } else if (!open.empty()) {
        const std::size_t at = random() % open.size();
        Model::Stretch& stretch = model.stretches[open[at]];
        if (action == 1 && random() % 4 == 0) {
          watermark.add(tickets[open[at]], 2);
          stretch.missing += 2;
        } else {
          const std::uint64_t count = 1 + random() % stretch.missing;
          watermark.ack(tickets[open[at]], count);
          stretch.missing -= count;
          if (stretch.missing == 0) open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
        }
      }
      const std::size_t finished = model.finished();
      ASSERT_EQ(watermark.applied(), finished == 0 ? begin : model.stretches[finished - 1].end);
      ASSERT_GE(watermark.applied(), last_applied);
      ASSERT_EQ(watermark.oldest(at_ms(-1)), finished == model.stretches.size()
                                                 ? at_ms(-1)
                                                 : model.stretches[finished].received);
      last_applied = watermark.applied();
    }
    EXPECT_EQ(watermark.applied(), end);
    EXPECT_EQ(watermark.outstanding(), 0U);
  }
}

}  // namespace
}  // namespace keyferry
