// The stream as it was received, on disk, by offset: what lets a restart, or a target that lost
// writes, go on where the source's own backlog no longer reaches. Append-only segment files with
// checksummed blocks; survives kill -9, and a loss of power up to the last block that reached the
// disk. Blocking: only for work in the pool, one call at a time.
//
//   file    = <replid> "." <offset of its first byte, 20 digits> ".stream"
//   content = block*
//   block   = "KFS1" size:u32 offset:u64 crc:u64 bytes[size]            (little-endian)
//
// `offset` counts as replication does: the bytes before the block. crc is crc64 over size, offset
// and bytes. A file ends at the first block that is not whole and right (a torn tail). The segments
// follow each other without a gap; a new one begins when the history has a new name (replid).
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "keyferry/command/batch.hpp"
#include "keyferry/net/task.hpp"

namespace keyferry {

class StreamLog {
 public:
  static constexpr std::int64_t default_segment_bytes = 64 * 1024 * 1024;

  // Makes `dir`, locks it and finds what an earlier process left there. Errc::usage when another
  // process has it, Errc::disk otherwise.
  static Result<std::shared_ptr<StreamLog>> open(
      const std::string& dir, std::int64_t segment_bytes = default_segment_bytes);
  ~StreamLog();
  StreamLog(const StreamLog&) = delete;
  StreamLog& operator=(const StreamLog&) = delete;

  // It holds the bytes behind first() up to end(), received under these names of the history,
  // oldest first (none: it is empty).
  Offset first() const;
  Offset end() const { return end_; }
  std::vector<std::string> histories() const;
  std::int64_t disk_bytes() const;

  // Forgets everything; the next byte is the one behind `offset`.
  void begin(Offset offset);
  // All of `bytes` or nothing. Errc::disk.
  Error append(const std::string& replid, ByteView bytes);
  // Reads at least one byte behind `from` into `data`; first() <= from < end(). Errc::corrupt when
  // a block is not what was written.
  Result<std::size_t> read(Offset from, char* data, std::size_t size);
  // Removes segments that hold nothing behind `offset`.
  void trim(Offset offset);

 private:
  struct Block {
    Offset offset = 0;
    std::uint32_t size = 0;
    std::int64_t at = 0;  // in the file
  };
  struct Segment {
    std::string path;
    std::string replid;
    Offset first = 0;
    int fd = -1;
    std::int64_t size_bytes = 0;
    std::vector<Block> marks;  // some of its blocks, to begin a search at
  };

  StreamLog(std::string dir, std::int64_t segment_bytes);
  Error lock();
  Error recover();
  Error adopt(Segment segment, bool is_last);
  Error open_segment(const std::string& replid);
  Result<Block> read_header(const Segment& segment, std::int64_t at) const;
  Error read_block(const Segment& segment, const Block& block);
  Result<Block> find(const Segment& segment, Offset from) const;
  void remove(Segment& segment);

  std::string dir_;
  std::int64_t segment_bytes_;
  int lock_fd_ = -1;
  std::deque<Segment> segments_;
  Offset end_ = 0;
  Bytes block_;               // the block that was read last
  Block block_head_;          // size 0: none
  Offset block_segment_ = 0;  // first byte of the segment it is in
};

}  // namespace keyferry
