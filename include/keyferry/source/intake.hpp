// Between the coroutine that reads the source's socket and the one that decodes: a bounded queue of
// chunks in memory, behind it the spool. Order is first-in first-out over both. Pipeline thread
// only.
//
//   reader --push--> [ spool on disk ] --> [ chunks in memory ] --pop--> decoder
//
// While the source can wait (TCP back-pressure), a full memory queue just stops the reader; only
// when the source's output buffer for us grows towards its limit does the rest go to disk.
//
// Where a stream is kept (kept_stream), every byte of it goes there, reading never stops for the
// decoder, and what memory has no room for is read from there again; nothing of it is spooled.
#pragma once

#include <deque>
#include <optional>
#include <variant>

#include "keyferry/source/handshake.hpp"
#include "keyferry/source/kept_stream.hpp"
#include "keyferry/spool/spool.hpp"

namespace keyferry {

// What the source holds back for us, as far as it is known.
struct SourcePressure {
  std::optional<std::int64_t> buffered_bytes;  // written by the source and not yet read by us
  std::int64_t limit_bytes = 0;  // client-output-buffer-limit replica (lowest); 0 = none
  std::int64_t growth_bytes_per_s =
      0;  // of buffered_bytes while we do not read: the source's write rate
};
// Until the source would drop us if we read nothing more; nullopt when it never would, or nothing
// is known. Pure.
std::optional<std::int64_t> seconds_left(const SourcePressure& pressure);
// Whether reading must go on to disk now, memory being full. Pure.
bool must_spool(const SourcePressure& pressure);

class Intake {
 public:
  struct Chunk {
    SlabRef slab;
    ByteView bytes;
    TimePoint received;
    bool begins_file = false;  // what was open before it ends here (file sources; never spooled)
    std::optional<Offset> at = std::nullopt;  // in the stream, before `bytes`; unknown in snapshots
  };
  // A new snapshot begins, or (without a frame) the stream goes on behind `position`; everything
  // before it is void.
  struct FullSync {
    ReplicationPosition position;
    std::optional<SnapshotFrame> frame;
  };
  struct Closed {};
  struct Ended {};  // everything has been handed over, and no more will come
  using Item = std::variant<Closed, Chunk, FullSync, Ended>;

  Intake(const asio::any_io_executor& executor, SlabBudget& budget, Spool* spool,
         std::int64_t memory_max_bytes);

  // From now on streams are kept; `kept` outlives the Intake. Before anything is pushed.
  void keep_streams(KeptStream& kept);
  // Goes on behind `position` with what was kept, if it was: pop() gives a FullSync without a
  // frame, then those bytes, then what is pushed behind them.
  bool rewind(const ReplicationPosition& position);

  // --- the reader's side
  // Waits for room in memory, or writes to the spool when `pressure` says so (asked again every 100
  // ms).
  Task<Error> push(Chunk chunk, std::function<SourcePressure()> pressure);
  // Hands over a new snapshot; returns when the decoder has taken it and everything older is gone.
  Task<void> restart(FullSync full_sync);
  // Behind what was pushed comes nothing any more, unless it is restarted.
  void end();
  void close();

  // --- the decoder's side
  Task<Result<Item>> pop();
  // Whether pop() would wait.
  bool is_idle() const;

  std::int64_t memory_bytes() const { return memory_bytes_; }
  std::int64_t pending_bytes() const;  // memory and spool
  // Waits until the decoder has taken everything (or closed).
  Task<void> drained();

 private:
  Task<Error> spool_chunk(const Chunk& chunk);
  void warn_full(const SourcePressure& pressure);
  bool may_keep(const Chunk& chunk);
  bool keep(Chunk& chunk);
  Offset kept_ahead_bytes() const;
  Task<Result<Item>> pop_spooled();
  Task<Result<Item>> pop_kept();

  SlabBudget& budget_;
  Spool* spool_;
  std::int64_t memory_max_bytes_;
  Signal more_;  // for the decoder
  Signal room_;  // for the reader
  std::deque<Chunk> chunks_;
  std::int64_t memory_bytes_ = 0;
  std::int64_t spooling_bytes_ = 0;  // being written to the spool right now
  KeptStream* kept_ = nullptr;
  Offset memory_end_ = 0;  // in the kept stream, behind what is in memory
  std::optional<FullSync> restart_;
  bool ends_ = false;
  bool restart_keeps_ = false;  // it goes on in the kept stream
  bool closed_ = false;
  std::optional<TimePoint> warned_full_;
};

}  // namespace keyferry
