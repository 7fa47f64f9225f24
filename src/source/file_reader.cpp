// FileReader: the bytes of one input file, decompressed.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "keyferry/source/file_set.hpp"

namespace keyferry {
namespace {

constexpr std::size_t raw_bytes = std::size_t{128} * 1024;
constexpr std::size_t magic_bytes = 4;
constexpr int input_wait_ms = 100;

}  // namespace

Error FileReader::fail(std::string what) const {
  return {Errc::corrupt, fmt::format("{}: {}", file_.name, what)};
}

Error FileReader::open(const InputFile& file) {
  close();
  file_ = file;
  is_first_ = true;
  at_end_ = false;
  file_bytes_read_ = 0;
  decompressor_.reset();
  unread_ = ByteView();
  fd_ = file.path == "-" ? STDIN_FILENO : ::open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
  return fd_ < 0 ? fail(std::strerror(errno)) : Error();
}

void FileReader::close() {
  if (fd_ > STDIN_FILENO) ::close(fd_);
  fd_ = -1;
}

Result<FileReader::Piece> FileReader::read_file(char* out, std::size_t size) {
  Piece piece;
  if (fd_ == STDIN_FILENO) {
    pollfd input{fd_, POLLIN, 0};
    if (::poll(&input, 1, input_wait_ms) == 0) return piece;
  }
  ssize_t n = -1;
  do {
    n = ::read(fd_, out, size);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return fail(fmt::format("at byte {}: {}", file_bytes_read(), std::strerror(errno)));
  piece.size = static_cast<std::size_t>(n);
  piece.at_end = n == 0;
  file_bytes_read_ += piece.size;
  return piece;
}

Result<FileReader::Piece> FileReader::read(char* out, std::size_t size) {
  // The first bytes decide whether the rest goes through a decompressor.
  while (is_first_ && unread_.size() < magic_bytes && !at_end_) {
    raw_.resize(raw_bytes);
    const std::size_t had = unread_.size();
    const auto piece = read_file(raw_.data() + had, raw_bytes - had);
    if (!piece) return piece.error();
    unread_ = ByteView(raw_).substr(0, had + piece->size);
    at_end_ = piece->at_end;
    if (piece->size == 0 && !at_end_) return *piece;
  }
  if (std::exchange(is_first_, false)) {
    const Compression kind = compression_of(unread_);
    if (kind != Compression::none) decompressor_ = std::make_unique<Decompressor>(kind);
  }
  Piece out_piece;
  if (!decompressor_) {
    if (unread_.empty()) return at_end_ ? Piece{0, true} : read_file(out, size);
    out_piece.size = unread_.copy(out, size);
    unread_.remove_prefix(out_piece.size);
    return out_piece;
  }
  while (true) {
    out_piece.size = decompressor_->read(unread_, out, size);
    if (!decompressor_->problem().empty()) {
      return fail(fmt::format("before byte {}: {}", file_bytes_read() - unread_.size(),
                              decompressor_->problem()));
    }
    if (out_piece.size > 0) return out_piece;
    if (at_end_) {
      out_piece.at_end = true;
      if (!decompressor_->may_end())
        return fail(fmt::format("the compressed data is cut off at byte {}", file_bytes_read()));
      return out_piece;
    }
    const auto piece = read_file(raw_.data(), raw_bytes);
    if (!piece) return piece.error();
    unread_ = ByteView(raw_).substr(0, piece->size);
    at_end_ = piece->at_end;
    if (piece->size == 0 && !at_end_) return *piece;
  }
}

Error FileReader::skip(std::uint64_t size) {
  Bytes dropped(raw_bytes, '\0');
  while (size > 0) {
    const auto piece = read(dropped.data(), std::min<std::uint64_t>(size, dropped.size()));
    if (!piece) return piece.error();
    if (piece->at_end) return fail("it is shorter than it was");
    size -= piece->size;
    if (!decompressor_ && size > 0 && unread_.empty() && fd_ != STDIN_FILENO) {
      if (file_bytes_read() + size > file_.size_bytes) return fail("it is shorter than it was");
      if (::lseek(fd_, static_cast<off_t>(size), SEEK_CUR) < 0) return fail(std::strerror(errno));
      file_bytes_read_ += size;
      size = 0;
    }
  }
  return Error();
}

}  // namespace keyferry
