#include "keyferry/checkpoint/lag.hpp"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

using std::nullopt;
using MaybeMs = std::optional<std::int64_t>;

TimePoint at_ms(std::int64_t ms) {
  return TimePoint{} + std::chrono::hours(1) + Millis(ms);
}

// A meter whose link is up and whose stream is "r"; times in ms, applied() without an unapplied
// byte unless said.
struct Meter {
  LagMeter lag;
  Meter() {
    lag.stream("r");
    lag.link(true);
  }
  void read(std::int64_t ms, Offset offset, const std::string& replid = "r") {
    lag.reading(replid, offset, at_ms(ms));
  }
  void apply(std::int64_t ms, Offset offset) { lag.applied(offset, at_ms(ms), at_ms(ms)); }
  void apply(std::int64_t ms, Offset offset, std::int64_t oldest_ms) {
    lag.applied(offset, at_ms(oldest_ms), at_ms(ms));
  }
  MaybeMs bytes(std::int64_t ms) const { return lag.lag_bytes(at_ms(ms)); }
  MaybeMs time(std::int64_t ms) const { return lag.lag_ms(at_ms(ms)); }
  bool synced(std::int64_t ms) const { return lag.synced(at_ms(ms)); }
  std::int64_t stable(std::int64_t ms) const { return lag.stable_ms(at_ms(ms)); }
};

void expect_unknown(const Meter& meter, std::int64_t ms) {
  EXPECT_EQ(meter.bytes(ms), nullopt);
  EXPECT_EQ(meter.time(ms), nullopt);
  EXPECT_FALSE(meter.synced(ms));
  EXPECT_EQ(meter.stable(ms), 0);
}

TEST(LagMeter, IsUnknownWithoutAReading) {
  Meter meter;
  meter.apply(0, 100);

  expect_unknown(meter, 0);
}

TEST(LagMeter, CountsBytesFromTheNewestReading) {
  Meter meter;
  meter.apply(0, 100);

  meter.read(0, 150);
  EXPECT_EQ(meter.bytes(0), 50);
  meter.apply(10, 120);
  EXPECT_EQ(meter.bytes(10), 30);
  meter.apply(20, 170);  // the stream is ahead of the reading
  EXPECT_EQ(meter.bytes(20), 0);
  EXPECT_EQ(meter.lag.source_offset(), 150);
}

TEST(LagMeter, IsUnknownWhileTheLinkIsDownAndUntilTheNextReading) {
  Meter meter;
  meter.apply(0, 100);
  meter.read(0, 100);
  EXPECT_TRUE(meter.synced(0));

  meter.lag.link(false);
  expect_unknown(meter, 10);
  meter.lag.link(true);
  expect_unknown(meter, 20);
  meter.read(30, 100);
  EXPECT_EQ(meter.bytes(30), 0);
  EXPECT_TRUE(meter.synced(30));
}

TEST(LagMeter, IsUnknownForAnotherReplicationId) {
  Meter meter;
  meter.apply(0, 100);
  meter.read(0, 100);

  meter.read(100, 100, "other");
  expect_unknown(meter, 100);
  meter.read(200, 100);
  EXPECT_EQ(meter.bytes(200), 0);
  meter.lag.stream("other");
  expect_unknown(meter, 200);
  meter.read(300, 50, "other");  // another history counts from elsewhere
  EXPECT_EQ(meter.bytes(300), 0);
}

TEST(LagMeter, IsUnknownWhenReadingsStop) {
  Meter meter;
  meter.apply(0, 100);
  meter.read(0, 100);

  EXPECT_EQ(meter.bytes(2999), 0);
  expect_unknown(meter, 3000);
}

// A VIP that leads to a cut-off replica answers with an offset from the past.
TEST(LagMeter, IsUnknownWhenAReadingGoesBack) {
  Meter meter;
  meter.apply(0, 100);
  meter.read(0, 200);

  meter.read(1000, 90);
  expect_unknown(meter, 1000);
  meter.apply(1500, 150);
  meter.read(2000, 150);
  expect_unknown(meter, 2000);
  meter.read(3000, 200);
  EXPECT_EQ(meter.bytes(3000), 50);
}

TEST(LagMeter, MeasuresTimeSinceAReadingWasCovered) {
  Meter meter;
  meter.apply(0, 100);
  meter.read(0, 100);
  EXPECT_EQ(meter.time(900), 0);

  meter.read(1000, 200);
  EXPECT_EQ(meter.time(1400), 400);
  meter.read(2000, 300);
  meter.apply(2500, 250);  // covers the one before, not the newest
  EXPECT_EQ(meter.time(2600), 1600);
  meter.apply(2700, 300);
  EXPECT_EQ(meter.time(2900), 0);
}

TEST(LagMeter, MeasuresTimeFromTheFirstReadingWhenNoneWasCovered) {
  Meter meter;
  meter.read(0, 100);
  meter.read(1000, 100);

  EXPECT_EQ(meter.time(1500), 1500);
}

TEST(LagMeter, CountsAnOutageAsLag) {
  Meter meter;
  meter.apply(0, 100);
  meter.read(0, 100);
  meter.lag.link(false);
  meter.lag.link(true);

  meter.read(60000, 500);

  EXPECT_EQ(meter.time(60000), 60000);
}

TEST(LagMeter, TakesTheAgeOfTheOldestByteWhenThatIsMore) {
  Meter meter;
  meter.apply(0, 100);
  meter.read(0, 100);

  meter.apply(500, 100, 200);  // covered, but bytes received at 200 are not applied yet
  EXPECT_EQ(meter.time(700), 500);
  meter.apply(800, 130);  // none left
  EXPECT_EQ(meter.time(900), 0);
}

TEST(LagMeter, IsSyncedWhileTheNewestReadingIsYoungAndTheOneBeforeWasReached) {
  Meter meter;
  meter.apply(0, 100);
  meter.read(0, 100);

  meter.read(1000, 200);
  EXPECT_TRUE(meter.synced(1000));
  EXPECT_TRUE(meter.synced(1999));
  EXPECT_FALSE(meter.synced(2000));
  meter.apply(2100, 200);
  EXPECT_TRUE(meter.synced(2100));
}

TEST(LagMeter, IsNotSyncedWhenTheReadingBeforeWasNotReached) {
  Meter meter;
  meter.apply(0, 100);
  meter.read(0, 150);
  meter.read(1000, 200);

  meter.apply(1100, 150);

  EXPECT_FALSE(meter.synced(1100));
  EXPECT_EQ(meter.stable(1100), 0);
}

TEST(LagMeter, IsStableOnlyAsFarAsReadingsProve) {
  Meter meter;
  meter.apply(0, 100);

  meter.read(0, 100);
  EXPECT_EQ(meter.stable(0), 0);
  EXPECT_EQ(meter.stable(999), 0);  // one reading proves nothing about the time after it
  meter.read(1000, 100);
  EXPECT_EQ(meter.stable(1000), 1000);
  EXPECT_EQ(meter.stable(1500), 1000);
  meter.read(2000, 100);
  EXPECT_EQ(meter.stable(2000), 2000);
}

TEST(LagMeter, IsStableUnderALiveWriter) {
  Meter meter;
  Offset offset = 0;

  for (std::int64_t ms = 0; ms <= 5000; ms += 1000) {
    offset += 1000;
    meter.read(ms, offset);
    EXPECT_EQ(meter.bytes(ms), 1000);
    meter.apply(ms + 5, offset, ms + 4);
    EXPECT_TRUE(meter.synced(ms + 5));
    EXPECT_EQ(meter.stable(ms + 5), ms);
  }

  meter.read(6000, offset + 1000);
  EXPECT_EQ(meter.stable(6000), 5000);  // the newest is young: what is proved stays
}

TEST(LagMeter, StartsTheRunAnewWhenAReadingWasMissed) {
  Meter meter;
  meter.apply(0, 100);
  meter.read(0, 100);
  meter.read(1000, 100);
  meter.read(2000, 200);
  EXPECT_EQ(meter.stable(2000), 1000);

  meter.read(3000, 300);  // the one before was not reached
  EXPECT_EQ(meter.stable(3000), 0);
  meter.apply(3500, 300);
  EXPECT_EQ(meter.stable(3500), 0);
  meter.read(4000, 300);
  EXPECT_EQ(meter.stable(4000), 500);  // from 3500 on
}

TEST(LagMeter, StartsTheRunAnewWhenLagWasUnknown) {
  using Step = void (*)(Meter&);
  const Step breaks[] = {
      [](Meter& m) { m.lag.link(false), m.lag.link(true); },
      [](Meter& m) { m.read(2500, 100, "other"); },
      [](Meter& m) { m.read(2500, 99); },
      [](Meter& m) { m.lag.stream("x"), m.lag.stream("r"); },
      [](Meter& m) { m.apply(2500, 50); },  // a full sync started anew
      [](Meter&) {},                        // no reading for more than 3 s
  };

  for (const Step step : breaks) {
    Meter meter;
    meter.apply(0, 100);
    meter.read(0, 100);
    meter.read(2000, 100);
    EXPECT_EQ(meter.stable(2000), 2000);

    step(meter);
    meter.apply(5500, 100);
    meter.read(5500, 100);
    EXPECT_EQ(meter.stable(5500), 0);
    meter.read(6000, 100);
    EXPECT_EQ(meter.stable(6000), 500);
  }
}

// Readings a random 0.1 to 1.2 s apart, applied at random: lag says stable only what a record of
// every reading proves.
TEST(LagMeterProperty, NeverClaimsMoreThanEveryReadingReachedInTime) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Meter meter;
    Offset source = 0;
    Offset applied = 0;
    std::int64_t ms = 0;
    std::int64_t next_reading = 0;
    Offset newest = -1;
    std::int64_t missed_at = 0;  // no claim may reach back before this

    for (int step = 0; step < 3000; ++step) {
      ms += static_cast<std::int64_t>(random() % 40);
      source += static_cast<Offset>(random() % 5);
      if (random() % 3 != 0) applied += static_cast<Offset>(random() % 4) % (source - applied + 1);
      if (random() % 2 == 0) meter.apply(ms, applied);
      if (ms >= next_reading) {
        meter.apply(ms, applied);
        if (applied < newest) missed_at = ms;
        newest = source;
        meter.read(ms, newest);
        next_reading = ms + 100 + static_cast<std::int64_t>(random() % 1100);
      }
      ASSERT_LE(meter.stable(ms), ms - missed_at);
      ASSERT_TRUE(meter.stable(ms) == 0 || meter.synced(ms));
      ASSERT_GE(*meter.bytes(ms), 0);
      ASSERT_GE(*meter.time(ms), 0);
    }
  }
}

}  // namespace
}  // namespace keyferry
