// gzip and zstd as byte streams, for files that are read or written whole: pieces in, pieces out,
// no file is touched here. Several members or frames behind each other are one stream, as their
// own tools treat them (RFC 1952 section 2.2, RFC 8878 section 3.1).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

enum class Compression { none, gzip, zstd };

// By the first bytes of a file: four are enough.
Compression compression_of(ByteView first_bytes);
// By the end of a file's name: .gz, .zst.
Compression compression_by_name(std::string_view name);
// The name without that end.
std::string_view without_compression(std::string_view name);

class Decompressor {
 public:
  explicit Decompressor(Compression kind);
  ~Decompressor();

  // Writes up to `size` bytes to `out` and takes what that needs off the front of `in`. Returns how
  // many were written; 0 with `in` empty: more input is needed. Nothing more after problem().
  std::size_t read(ByteView& in, char* out, std::size_t size);
  // What is wrong with the bytes; "" = nothing so far.
  const std::string& problem() const { return problem_; }
  // Whether the input may end here: not inside a member or frame.
  bool may_end() const { return may_end_; }

 private:
  struct Gzip;
  struct Zstd;
  std::size_t read_gzip(ByteView& in, char* out, std::size_t size);
  std::size_t read_zstd(ByteView& in, char* out, std::size_t size);

  std::unique_ptr<Gzip> gzip_;
  std::unique_ptr<Zstd> zstd_;
  std::string problem_;
  bool may_end_ = true;
};

class Compressor {
 public:
  explicit Compressor(Compression kind);
  ~Compressor();

  // Appends to `out` what `in` becomes; some of it may come out later.
  void write(ByteView in, Bytes& out);
  // Appends what is held back, so that all of the input can be read from the output so far.
  void flush(Bytes& out);
  // Ends the stream. Nothing may be written afterwards.
  void finish(Bytes& out);

 private:
  struct Gzip;
  struct Zstd;
  void run(ByteView in, int mode, Bytes& out);

  std::unique_ptr<Gzip> gzip_;
  std::unique_ptr<Zstd> zstd_;
};

}  // namespace keyferry
