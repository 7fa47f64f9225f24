// How far behind we are, and whether we may say "synced" (house contract "Lag and synced"). Fed
// with readings of the source master's offset and with the applied offset; unknown is a value of
// its own. Pure; pipeline thread only.
//
// With a live writer each reading is ahead of us when it arrives and is reached a moment later. So
// what counts is whether a reading is reached before the next one comes: a run of such readings is
// what "stable" measures.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "keyferry/command/batch.hpp"

namespace keyferry {

class LagMeter {
 public:
  // Readings are a second apart (100 ms while draining). A newest reading younger than this need
  // not be reached yet.
  static constexpr Millis reading_interval{1000};
  // Without a newer reading for this long, lag is unknown.
  static constexpr Millis reading_max_age{3000};

  // A reading of `master_repl_offset` taken at `now` from the server whose replication id is
  // `replid`. One that is lower than an earlier one of the same history comes from a server that is
  // cut off: lag is unknown until a reading is not.
  void reading(const std::string& replid, Offset source_offset, TimePoint now);
  // The applied offset moved (or was confirmed) to `applied`; `oldest` = when the oldest unapplied
  // byte was received, `now` when there is none.
  void applied(Offset applied, TimePoint oldest, TimePoint now);
  // The replication id our stream belongs to; another one makes lag unknown until a reading of it
  // comes.
  void stream(const std::string& replid);
  // The link to the source went down or came up. Readings from before it went down do not count
  // afterwards.
  void link(bool up);

  // Bytes between the newest reading and the applied offset, never below 0; unknown when the link
  // is down, the replid differs, or no reading came for 3 s.
  std::optional<std::int64_t> lag_bytes(TimePoint now) const;
  // The larger of: time since the applied offset last covered a reading (since the first reading
  // when it never did); age of the oldest unapplied byte. Unknown when lag_bytes is.
  std::optional<std::int64_t> lag_ms(TimePoint now) const;
  // The applied offset has reached the newest reading, or the one before while the newest is
  // younger than `reading_interval`.
  bool synced(TimePoint now) const;
  // For how long every reading has been reached before the next one came: from the moment the first
  // of the run was reached to the moment the last was, so it grows only with evidence. 0 when not
  // synced.
  std::int64_t stable_ms(TimePoint now) const;
  Offset source_offset() const { return newest_; }

 private:
  bool known(TimePoint now) const;
  bool reached() const { return applied_ >= newest_; }
  void forget_readings();
  void note_reached(TimePoint now);

  struct Run {  // readings that were each reached before the next one came
    TimePoint since;
    TimePoint until;
  };

  std::string replid_;
  bool link_up_ = false;
  bool have_reading_ = false;      // newest_ may be used: same history, link not broken since
  bool newest_noted_ = false;      // it has been found reached
  bool previous_reached_ = false;  // the one before was reached when it came
  Offset newest_ = 0;              // highest reading of this history
  Offset applied_ = 0;
  TimePoint newest_at_;
  std::optional<TimePoint> oldest_;      // nothing: no unapplied byte
  std::optional<TimePoint> covered_at_;  // when the applied offset last covered the newest reading
  std::optional<Run> run_;
};

}  // namespace keyferry
