#include "keyferry/cli/progress.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

Status in_snapshot() {
  Status status;
  status.phase = Phase::snapshot;
  status.snapshot_keys_done = 1'040'000;
  status.snapshot_keys_total = 2'000'000;
  status.snapshot_bytes_done = 312 << 20;
  status.commands_per_s = 98'123;
  status.snapshot_eta_s = 9.6;
  return status;
}

Status in_stream() {
  Status status;
  status.phase = Phase::steady;
  status.is_streaming = true;
  status.synced = true;
  status.lag_bytes = 0;
  status.lag_ms = 3;
  status.commands_per_s = 12'345;
  status.bytes_per_s = 1'300'000;
  return status;
}

TEST(ProgressLine, ShowsBarKeysRateAndEta) {
  EXPECT_EQ(progress_line(in_snapshot(), {120, false}),
            "snapshot  [############------------] 52%  1,040,000/2,000,000 keys  312.0 MiB  "
            "98.1k keys/s  eta 10 s");
}

TEST(ProgressLine, GivesUpTheBarBeforeTheNumbers) {
  EXPECT_EQ(progress_line(in_snapshot(), {88, false}),
            "snapshot  [#####-----] 52%  1,040,000/2,000,000 keys  312.0 MiB  98.1k keys/s  "
            "eta 10 s");
  EXPECT_EQ(progress_line(in_snapshot(), {76, false}),
            "snapshot  52%  1,040,000/2,000,000 keys  312.0 MiB  98.1k keys/s  eta 10 s");
}

TEST(ProgressLine, DoesWithoutAnnouncedTotals) {
  Status status = in_snapshot();
  status.snapshot_keys_total.reset();
  status.snapshot_eta_s.reset();
  EXPECT_EQ(progress_line(status, {120, false}),
            "snapshot  1,040,000 keys  312.0 MiB  98.1k keys/s");
}

TEST(ProgressLine, ShowsLagInTheStream) {
  EXPECT_EQ(progress_line(in_stream(), {120, false}),
            "steady  lag 0 B, 3 ms  12.3k commands/s  1.2 MiB/s  synced");
  Status unknown = in_stream();
  unknown.phase = Phase::connecting;
  unknown.synced = false;
  unknown.lag_bytes.reset();
  unknown.lag_ms.reset();
  EXPECT_EQ(progress_line(unknown, {120, false}),
            "connecting  lag unknown  12.3k commands/s  1.2 MiB/s");
}

TEST(ProgressLine, ShowsOnlyThePhaseBeforeAnythingHasCome) {
  EXPECT_EQ(progress_line(Status(), {80, false}), "connecting");
}

TEST(ProgressLine, NeverFillsTheLastColumn) {
  for (std::size_t columns = 1; columns < 120; ++columns)
    EXPECT_LT(progress_line(in_snapshot(), {columns, false}).size(), columns);
}

TEST(ProgressLine, ColoursThePhaseOnly) {
  EXPECT_EQ(progress_line(in_stream(), {120, true}).substr(0, 16), "\x1b[32msteady\x1b[0m ");
  EXPECT_EQ(progress_line(in_snapshot(), {120, true}).substr(0, 5), "\x1b[33m");
}

}  // namespace
}  // namespace keyferry
