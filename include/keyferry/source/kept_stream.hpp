// Keeps the received stream on disk, behind the reader's back: what is added is written by a
// coroutine of its own, a megabyte at a time, and can be read again by offset. So nothing waits for
// the disk, and a crash loses at most what was just received, which the source still has. A stream,
// never a snapshot: that could not be resumed. Pipeline thread only; spool/stream_log is touched in
// the pool.
//
//      kept_from        written            received
//   ---|----------------|------------------|
//       on disk          in memory, to be written
#pragma once

#include <deque>
#include <functional>
#include <optional>

#include "keyferry/spool/stream_log.hpp"

namespace keyferry {

class KeptStream {
 public:
  // The log's segments must be this large, so that it can be trimmed to `max_bytes`.
  static std::int64_t segment_bytes_for(std::int64_t max_bytes);
  // `log`, as it was opened; at most `max_bytes` on disk, and `retain_bytes` of what nobody needs
  // any more unless that is more.
  KeptStream(const asio::any_io_executor& executor, std::shared_ptr<StreamLog> log,
             std::int64_t max_bytes, std::int64_t retain_bytes);

  // Bytes have been written, or there is room again.
  std::function<void()> on_progress;
  // Whether somebody will read what memory does not hold: if not, a disk that cannot be written is
  // done without.
  std::function<bool()> is_needed;

  // Writes until close().
  Task<Error> run();
  void close();
  // Its files are free for others. Nothing may be asked of it any more; only once nobody reads.
  void release() { log_.reset(); }

  // --- what is there
  // Whether the stream is being kept.
  bool is_on() const { return is_on_; }
  // Off, and worth a try: not right after the disk failed.
  bool may_begin(TimePoint now) const;
  Offset received() const { return received_; }
  Offset written() const { return written_; }
  std::int64_t disk_bytes() const { return disk_bytes_; }
  bool has_room() const;
  // The disk, as far as we may use it, is full of what is still needed.
  bool is_full() const { return is_full_; }
  // Whether all bytes behind `offset` of history `replid` are here, up to received().
  bool follows(const std::string& replid, Offset offset) const;
  const std::string& history() const { return histories_.back().replid; }

  // --- the stream
  // Another stream will begin, under this name; forgets the present one.
  void forget(const std::string& replid);
  // Its bytes behind `offset` come next, and are kept.
  void begin(Offset offset);
  // The stream goes on under this name.
  void continue_as(const std::string& replid);
  // The bytes behind received().
  void add(SlabRef slab, ByteView bytes);
  // Reads some of the bytes behind `from`, which is below written(). Errc::disk; Errc::corrupt, and
  // then nothing is kept any more, so that the next process does not meet the damage again.
  Task<Result<std::size_t>> read(Offset from, char* data, std::size_t size);
  // Nobody will ask for what comes before `offset`, but for a target that loses writes.
  void needed_from(Offset offset) { needed_from_ = offset; }

 private:
  struct Piece {
    SlabRef slab;
    ByteView bytes;
  };
  struct History {
    Offset from = 0;  // bytes behind it were received under this name
    std::string replid;
  };
  struct Done;  // what one piece of work in the pool did

  Task<void> start_over();
  Task<void> write();
  Task<void> make_room();
  std::shared_ptr<Bytes> gather(std::size_t& pieces) const;
  void note(const Done& done);
  void failed(const Error& error);

  std::shared_ptr<StreamLog> log_;
  std::int64_t max_bytes_;
  std::int64_t retain_bytes_;
  std::int64_t write_bytes_;  // at once
  Signal wake_;
  bool closed_ = false;
  bool is_on_ = false;
  bool is_full_ = false;
  bool must_start_over_ = false;               // the log is to be emptied
  std::uint64_t epoch_ = 0;                    // of begin and forget: work of an older one is void
  std::vector<History> histories_{History()};  // oldest first
  std::deque<Piece> unwritten_;
  std::int64_t unwritten_bytes_ = 0;
  Offset kept_from_ = 0;
  Offset written_ = 0;
  Offset received_ = 0;
  Offset needed_from_ = 0;
  Offset trimming_to_ = 0;  // what is below may be on its way out
  std::int64_t disk_bytes_ = 0;
  std::optional<TimePoint> failed_at_;
  std::optional<TimePoint> warned_at_;
};

}  // namespace keyferry
