// One file being written: compressed, replaced only when asked to, and whole on disk
// once it is finished. Blocking; for work in the pool.
#pragma once

#include <memory>
#include <string>

#include "keyferry/base/compression.hpp"
#include "keyferry/base/error.hpp"

namespace keyferry {

class OutputFile {
 public:
  OutputFile() = default;
  ~OutputFile() { close(); }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Errors: usage when it is there and may not be replaced; disk.
  Error create(const std::string& path, Compression compression, bool may_replace);
  Error write(ByteView bytes);
  // What was written so far can be read after a crash.
  Error sync();
  // Ends it; no other call but create() is allowed afterwards.
  Error finish();
  // finish(), and gives it its name.
  Error finish_as(const std::string& path);

 private:
  Error fail(const char* doing) const;
  Error put(ByteView bytes);
  void close();

  std::string path_;
  int fd_ = -1;
  std::unique_ptr<Compressor> compressor_;
  Bytes compressed_;
};

// Writes a small file so that it is there whole or not at all.
Error replace_file(const std::string& path, ByteView text);
// Makes the names in the folder of `path` survive a crash.
Error sync_folder_of(const std::string& path);

}  // namespace keyferry
