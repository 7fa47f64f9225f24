// Overflow on disk: a first-in first-out sequence of bytes in append-only segment files, used when
// the source must be read faster than the target can take. A segment is unlinked as soon as it is
// open, so nothing is left behind by a crash, and its space is given back when it has been read. It
// does not know what the bytes mean. One coroutine may append while another reads; both on the
// pipeline thread (files are touched on a pool thread).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "keyferry/base/bytes.hpp"
#include "keyferry/net/task.hpp"

namespace keyferry {

class Spool {
 public:
  static constexpr std::int64_t segment_bytes = 64 * 1024 * 1024;

  // `dir` is created when the first byte is written.
  Spool(std::string dir, std::int64_t max_bytes);
  ~Spool();

  // Writes all of `bytes` behind what is there. Caller keeps room_bytes() >= bytes.size(). The
  // bytes must stay valid until it returns. Errors: Errc::disk.
  Task<Error> append(ByteView bytes);
  // Reads up to `size` bytes from the front, at least one; only when unread_bytes() > 0.
  Task<Result<std::size_t>> read(char* data, std::size_t size);
  // Forgets everything.
  Task<Error> clear();

  std::int64_t unread_bytes() const { return unread_bytes_; }
  std::int64_t room_bytes() const { return max_bytes_ - unread_bytes_; }
  std::int64_t max_bytes() const { return max_bytes_; }
  // Bytes ever written to disk.
  std::uint64_t written_bytes() const { return written_bytes_; }

 private:
  struct Files;  // touched only by work in the pool
  std::shared_ptr<Files> files_;
  std::int64_t max_bytes_;
  std::int64_t unread_bytes_ = 0;
  std::uint64_t written_bytes_ = 0;
};

}  // namespace keyferry
