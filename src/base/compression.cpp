#include "keyferry/base/compression.hpp"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include <zlib.h>
#include <zstd.h>

namespace keyferry {
namespace {

constexpr ByteView gzip_magic = "\x1f\x8b";          // RFC 1952 section 2.3.1
constexpr ByteView zstd_magic = "\x28\xb5\x2f\xfd";  // RFC 8878 section 3.1.1
constexpr std::string_view gzip_end = ".gz";
constexpr std::string_view zstd_end = ".zst";

// inflateInit2, deflateInit2: the largest window, with gzip's header and trailer (zlib.h).
constexpr int gzip_window_bits = 15 + 16;
constexpr int memory_level = 8;
constexpr std::size_t piece_bytes = std::size_t{64} * 1024;

// Modes of Compressor::run.
constexpr int keep_going = 0;
constexpr int flush_all = 1;
constexpr int end_stream = 2;

uInt clamped(std::size_t size) {
  return static_cast<uInt>(std::min<std::size_t>(size, std::numeric_limits<uInt>::max()));
}

// zlib promises not to change what next_in points to.
Bytef* input_of(ByteView bytes) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
}

}  // namespace

Compression compression_of(ByteView first_bytes) {
  if (first_bytes.starts_with(gzip_magic)) return Compression::gzip;
  return first_bytes.starts_with(zstd_magic) ? Compression::zstd : Compression::none;
}

Compression compression_by_name(std::string_view name) {
  if (name.ends_with(gzip_end)) return Compression::gzip;
  return name.ends_with(zstd_end) ? Compression::zstd : Compression::none;
}

std::string_view without_compression(std::string_view name) {
  if (name.ends_with(gzip_end)) name.remove_suffix(gzip_end.size());
  if (name.ends_with(zstd_end)) name.remove_suffix(zstd_end.size());
  return name;
}

// --- reading

struct Decompressor::Gzip {
  z_stream stream{};
  Gzip() {
    if (inflateInit2(&stream, gzip_window_bits) != Z_OK) throw std::bad_alloc();
  }
  ~Gzip() { inflateEnd(&stream); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
};

struct Decompressor::Zstd {
  ZSTD_DStream* stream = ZSTD_createDStream();
  Zstd() {
    if (stream == nullptr) throw std::bad_alloc();
  }
  ~Zstd() { ZSTD_freeDStream(stream); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
};

Decompressor::Decompressor(Compression kind) {
  if (kind == Compression::gzip) gzip_ = std::make_unique<Gzip>();
  if (kind == Compression::zstd) zstd_ = std::make_unique<Zstd>();
}

Decompressor::~Decompressor() = default;

std::size_t Decompressor::read(ByteView& in, char* out, std::size_t size) {
  if (!problem_.empty()) return 0;
  if (gzip_) return read_gzip(in, out, size);
  if (zstd_) return read_zstd(in, out, size);
  const std::size_t n = std::min(in.size(), size);
  std::copy_n(in.data(), n, out);
  in.remove_prefix(n);
  return n;
}

std::size_t Decompressor::read_gzip(ByteView& in, char* out, std::size_t size) {
  z_stream& z = gzip_->stream;
  std::size_t written = 0;
  while (written < size) {
    if (may_end_ && in.empty()) break;
    if (std::exchange(may_end_, false)) inflateReset(&z);
    const uInt offered = clamped(in.size());
    const uInt room = clamped(size - written);
    z.next_in = input_of(in);
    z.avail_in = offered;
    z.next_out = reinterpret_cast<Bytef*>(out + written);
    z.avail_out = room;
    const int result = inflate(&z, Z_NO_FLUSH);
    in.remove_prefix(offered - z.avail_in);
    written += room - z.avail_out;
    may_end_ = result == Z_STREAM_END;
    if (result == Z_STREAM_END) continue;
    if (result == Z_BUF_ERROR) break;  // more input is needed
    if (result == Z_OK && in.empty() && z.avail_out > 0) break;
    if (result != Z_OK) {
      problem_ = std::string("gzip: ") + (z.msg != nullptr ? z.msg : "the data is damaged");
      break;
    }
  }
  return written;
}

std::size_t Decompressor::read_zstd(ByteView& in, char* out, std::size_t size) {
  ZSTD_outBuffer output{out, size, 0};
  while (output.pos < size) {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    if (may_end_ && in.empty()) break;
    const std::size_t before = output.pos;
    const std::size_t left = ZSTD_decompressStream(zstd_->stream, &output, &input);
    if (ZSTD_isError(left) != 0) {
      problem_ = std::string("zstd: ") + ZSTD_getErrorName(left);
      break;
    }
    in.remove_prefix(input.pos);
    may_end_ = left == 0;
    if (input.pos == 0 && output.pos == before) break;
  }
  return output.pos;
}

// --- writing

struct Compressor::Gzip {
  z_stream stream{};
  Gzip() {
    const int result = deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_window_bits,
                                    memory_level, Z_DEFAULT_STRATEGY);
    if (result != Z_OK) throw std::bad_alloc();
  }
  ~Gzip() { deflateEnd(&stream); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
};

struct Compressor::Zstd {
  ZSTD_CStream* stream = ZSTD_createCStream();
  Zstd() {
    if (stream == nullptr) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(stream, ZSTD_c_checksumFlag, 1);
  }
  ~Zstd() { ZSTD_freeCStream(stream); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
};

Compressor::Compressor(Compression kind) {
  if (kind == Compression::gzip) gzip_ = std::make_unique<Gzip>();
  if (kind == Compression::zstd) zstd_ = std::make_unique<Zstd>();
}

Compressor::~Compressor() = default;

void Compressor::run(ByteView in, int mode, Bytes& out) {
  if (!gzip_ && !zstd_) {
    out += in;
    return;
  }
  constexpr int gzip_modes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
  constexpr ZSTD_EndDirective zstd_modes[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
  for (bool more = true; more;) {
    const std::size_t at = out.size();
    out.resize(at + piece_bytes);
    std::size_t written = 0;
    if (gzip_) {
      z_stream& z = gzip_->stream;
      const uInt offered = clamped(in.size());
      z.next_in = input_of(in);
      z.avail_in = offered;
      z.next_out = reinterpret_cast<Bytef*>(out.data() + at);
      z.avail_out = static_cast<uInt>(piece_bytes);
      deflate(&z, gzip_modes[mode]);
      in.remove_prefix(offered - z.avail_in);
      written = piece_bytes - z.avail_out;
      more = !in.empty() || z.avail_out == 0;
    } else {
      ZSTD_inBuffer input{in.data(), in.size(), 0};
      ZSTD_outBuffer output{out.data() + at, piece_bytes, 0};
      const std::size_t left =
          ZSTD_compressStream2(zstd_->stream, &output, &input, zstd_modes[mode]);
      in.remove_prefix(input.pos);
      written = output.pos;
      more = !in.empty() || (mode != keep_going && left > 0);
    }
    out.resize(at + written);
  }
}

void Compressor::write(ByteView in, Bytes& out) {
  if (!in.empty()) run(in, keep_going, out);
}

void Compressor::flush(Bytes& out) {
  run("", flush_all, out);
}

void Compressor::finish(Bytes& out) {
  run("", end_stream, out);
}

}  // namespace keyferry
