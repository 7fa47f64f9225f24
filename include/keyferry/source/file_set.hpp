// The files that a source address stands for: one RDB, one append-only file (with an RDB in front
// or not), or all files of a manifest. Looks at their first bytes, so that what is missing or
// something else is known before anything is written. Blocking; reads the disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "keyferry/base/compression.hpp"
#include "keyferry/base/error.hpp"
#include "keyferry/config/uri.hpp"

namespace keyferry {

struct InputFile {
  std::string path;  // "-" = standard input
  std::string name;  // for messages
  std::uint64_t size_bytes = 0;
};

struct FileSet {
  std::vector<InputFile> files;  // in the order of loading
  // Commands may follow the snapshot, or there is none: an append-only file.
  bool is_append_only = false;
  bool is_standard_input = false;
  // 40 hex digits: the name of this history. The same as long as its files only grow at the end.
  std::string id;

  std::uint64_t size_bytes() const;
};

// Errors (Errc::corrupt) name the file: it is not there, cannot be read, or is nothing that can be
// loaded.
Result<FileSet> find_files(const Uri& uri);

// What a file holds, by its first bytes (decompressed).
enum class FileContent { empty, snapshot, commands, unknown };
FileContent content_of(ByteView first_bytes);

// Reads one file from its start and decompresses it by its magic.
class FileReader {
 public:
  FileReader() = default;
  ~FileReader() { close(); }
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  Error open(const InputFile& file);
  // Reads up to `size` bytes; at_end: there are no more. Nothing and not at_end: nothing came from
  // standard input for a moment.
  struct Piece {
    std::size_t size = 0;
    bool at_end = false;
  };
  Result<Piece> read(char* out, std::size_t size);
  // Passes over the next `size` bytes; an error when there are not so many.
  Error skip(std::uint64_t size);
  void close();

  // Of the file as it is on disk.
  std::uint64_t file_bytes_read() const { return file_bytes_read_; }

 private:
  Error fail(std::string what) const;
  Result<Piece> read_file(char* out, std::size_t size);

  InputFile file_;
  int fd_ = -1;
  bool is_first_ = true;
  bool at_end_ = false;
  std::atomic<std::uint64_t> file_bytes_read_{0};  // asked for while the pool reads
  std::unique_ptr<Decompressor> decompressor_;     // once the magic was seen; null: not compressed
  Bytes raw_;                                      // read and not yet decompressed
  ByteView unread_;                                // of raw_
};

}  // namespace keyferry
