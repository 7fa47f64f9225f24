// A file without a name in the spool's folder: written once, then read as often as need be; gone
// with the object. For what is too large to be held and may have to be sent again. Pipeline thread
// only (the file is touched on a pool thread).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "keyferry/base/bytes.hpp"
#include "keyferry/net/task.hpp"

namespace keyferry {

class ScratchFile {
 public:
  // `dir` is created when the first byte is written.
  explicit ScratchFile(std::string dir);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  // The bytes must stay valid until it returns. Errors: Errc::disk.
  Task<Error> append(ByteView bytes);
  // Up to `size` bytes from `at` on, at least one; only where there are some.
  Task<Result<std::size_t>> read(std::uint64_t at, char* data, std::size_t size) const;
  std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  struct File;
  std::shared_ptr<File> file_;
  std::uint64_t size_bytes_ = 0;
};

}  // namespace keyferry
