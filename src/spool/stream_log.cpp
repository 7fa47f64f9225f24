#include "keyferry/spool/stream_log.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "keyferry/base/checksum.hpp"

namespace keyferry {
namespace {

constexpr ByteView magic = "KFS1";
constexpr std::size_t header_bytes = 24;
constexpr std::size_t block_max_bytes = 1024 * 1024;
constexpr std::int64_t mark_every_bytes = 256 * 1024;
constexpr ByteView suffix = ".stream";
constexpr std::size_t replid_chars = 40;
constexpr std::size_t offset_digits = 20;

Error disk_error(const std::string& doing, int error_number) {
  return Error(Errc::disk, "kept stream: " + doing + ": " + std::strerror(error_number));
}

Error corrupt_error(const std::string& path, std::int64_t at) {
  return Error(Errc::corrupt, fmt::format("kept stream: {} is damaged at byte {}", path, at));
}

void put_le(char* out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    out[i] = static_cast<char>(value >> (8 * i) & 0xff);
}

std::uint64_t le_at(const char* in, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i)
    value |= std::uint64_t{static_cast<unsigned char>(in[i])} << (8 * i);
  return value;
}

// Over size, offset (as they stand in the header) and bytes.
std::uint64_t block_checksum(const char* header, ByteView bytes) {
  return crc64(crc64(0, ByteView(header + magic.size(), 12)), bytes);
}

// The whole of [data, data + size) at `at`; false with errno when it cannot be written.
bool write_at(int fd, const char* data, std::size_t size, std::int64_t at) {
  while (size > 0) {
    const ssize_t n = ::pwrite(fd, data, size, at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    size -= static_cast<std::size_t>(n);
    at += n;
  }
  return true;
}

// False at the end of the file, or with an error.
bool read_at(int fd, char* data, std::size_t size, std::int64_t at) {
  while (size > 0) {
    const ssize_t n = ::pread(fd, data, size, at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    size -= static_cast<std::size_t>(n);
    at += n;
  }
  return true;
}

}  // namespace

StreamLog::StreamLog(std::string dir, std::int64_t segment_bytes)
    : dir_(std::move(dir)), segment_bytes_(segment_bytes) {}

StreamLog::~StreamLog() {
  for (const Segment& segment : segments_)
    ::close(segment.fd);
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

Result<std::shared_ptr<StreamLog>> StreamLog::open(const std::string& dir,
                                                   std::int64_t segment_bytes) {
  std::shared_ptr<StreamLog> log(new StreamLog(dir, segment_bytes));
  Error error = log->lock();
  if (!error) error = log->recover();
  if (error) return error;
  return log;
}

Error StreamLog::lock() {
  std::error_code ec;
  std::filesystem::create_directories(dir_, ec);
  if (ec) return Error(Errc::disk, "kept stream: make " + dir_ + ": " + ec.message());
  std::filesystem::permissions(dir_, std::filesystem::perms::owner_all, ec);
  lock_fd_ = ::open((dir_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_fd_ < 0) return disk_error("open " + dir_ + "/lock", errno);
  if (::flock(lock_fd_, LOCK_EX | LOCK_NB) == 0) return Error();
  if (errno == EWOULDBLOCK)
    return Error(Errc::usage, "kept stream: " + dir_ + " is in use by another keyferry");
  return disk_error("lock " + dir_, errno);
}

// Takes over the segments that follow each other up to the last one; anything before a gap is of no
// use any more.
Error StreamLog::recover() {
  std::vector<Segment> found;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(dir_, ec)) {
    const std::string name = entry.path().filename().string();
    if (name.size() != replid_chars + 1 + offset_digits + suffix.size() || !name.ends_with(suffix))
      continue;
    Segment segment;
    segment.path = entry.path().string();
    segment.replid = name.substr(0, replid_chars);
    const char* digits = name.data() + replid_chars + 1;
    std::from_chars(digits, digits + offset_digits, segment.first);
    found.push_back(std::move(segment));
  }
  if (ec) return Error(Errc::disk, "kept stream: list " + dir_ + ": " + ec.message());
  std::sort(found.begin(), found.end(),
            [](const Segment& a, const Segment& b) { return a.first < b.first; });
  for (Segment& segment : found) {
    const bool is_last = &segment == &found.back();
    if (Error error = adopt(std::move(segment), is_last)) return error;
  }
  block_head_ = Block();
  return Error();
}

// Of all but the last one only the headers are read; its bytes are checked when they are read.
Error StreamLog::adopt(Segment segment, bool is_last) {
  segment.fd = ::open(segment.path.c_str(), O_RDWR | O_CLOEXEC);
  if (segment.fd < 0) return disk_error("open " + segment.path, errno);
  if (!segments_.empty() && segment.first != end_) {
    for (Segment& before : segments_)
      remove(before);
    segments_.clear();
  }
  end_ = segment.first;
  segments_.push_back(std::move(segment));
  Segment& last = segments_.back();
  while (true) {
    const auto block = read_header(last, last.size_bytes);
    if (!block || block->offset != end_ || (is_last && read_block(last, *block))) break;
    if (last.marks.empty() || block->at - last.marks.back().at >= mark_every_bytes)
      last.marks.push_back(*block);
    last.size_bytes += static_cast<std::int64_t>(header_bytes + block->size);
    end_ += block->size;
  }
  if (::ftruncate(last.fd, last.size_bytes) != 0)
    return disk_error("cut the end of " + last.path, errno);
  if (last.size_bytes == 0) {
    remove(last);
    segments_.pop_back();
  }
  return Error();
}

Offset StreamLog::first() const {
  return segments_.empty() ? end_ : segments_.front().first;
}

std::vector<std::string> StreamLog::histories() const {
  std::vector<std::string> out;
  for (const Segment& segment : segments_) {
    if (out.empty() || out.back() != segment.replid) out.push_back(segment.replid);
  }
  return out;
}

std::int64_t StreamLog::disk_bytes() const {
  std::int64_t sum = 0;
  for (const Segment& segment : segments_)
    sum += segment.size_bytes;
  return sum;
}

void StreamLog::begin(Offset offset) {
  for (Segment& segment : segments_)
    remove(segment);
  segments_.clear();
  end_ = offset;
}

Error StreamLog::append(const std::string& replid, ByteView bytes) {
  if (segments_.empty() || segments_.back().replid != replid ||
      segments_.back().size_bytes >= segment_bytes_) {
    if (Error error = open_segment(replid)) return error;
  }
  Segment& last = segments_.back();
  const Block before{end_, 0, last.size_bytes};
  Bytes block;
  while (!bytes.empty()) {
    const ByteView part = bytes.substr(0, block_max_bytes);
    block.assign(header_bytes, '\0');
    std::memcpy(block.data(), magic.data(), magic.size());
    put_le(block.data() + 4, part.size(), 4);
    put_le(block.data() + 8, static_cast<std::uint64_t>(end_), 8);
    put_le(block.data() + 16, block_checksum(block.data(), part), 8);
    block.append(part);
    if (!write_at(last.fd, block.data(), block.size(), last.size_bytes)) {
      const int error_number = errno;
      end_ = before.offset;
      last.size_bytes = before.at;
      while (!last.marks.empty() && last.marks.back().at >= before.at)
        last.marks.pop_back();
      // What is behind the end is not read, and cut off by the next process.
      if (::ftruncate(last.fd, before.at) != 0) return disk_error("cut " + last.path, errno);
      return disk_error("write to " + last.path, error_number);
    }
    if (last.marks.empty() || last.size_bytes - last.marks.back().at >= mark_every_bytes)
      last.marks.push_back({end_, static_cast<std::uint32_t>(part.size()), last.size_bytes});
    last.size_bytes += static_cast<std::int64_t>(block.size());
    end_ += static_cast<Offset>(part.size());
    bytes.remove_prefix(part.size());
  }
  return Error();
}

Error StreamLog::open_segment(const std::string& replid) {
  if (replid.size() != replid_chars)
    return Error(Errc::usage, "kept stream: a history without a name cannot be kept");
  if (!segments_.empty() && segments_.back().size_bytes == 0) {
    remove(segments_.back());
    segments_.pop_back();
  }
  Segment segment;
  segment.replid = replid;
  segment.first = end_;
  segment.path = fmt::format("{}/{}.{:020}{}", dir_, replid, end_, suffix);
  segment.fd = ::open(segment.path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (segment.fd < 0) return disk_error("create " + segment.path, errno);
  segments_.push_back(std::move(segment));
  return Error();
}

Result<StreamLog::Block> StreamLog::read_header(const Segment& segment, std::int64_t at) const {
  char header[header_bytes];
  if (!read_at(segment.fd, header, header_bytes, at) || ByteView(header, magic.size()) != magic)
    return corrupt_error(segment.path, at);
  Block block;
  block.size = static_cast<std::uint32_t>(le_at(header + 4, 4));
  block.offset = static_cast<Offset>(le_at(header + 8, 8));
  block.at = at;
  if (block.size == 0 || block.size > block_max_bytes) return corrupt_error(segment.path, at);
  return block;
}

// Into block_, checked.
Error StreamLog::read_block(const Segment& segment, const Block& block) {
  char header[header_bytes];
  block_head_ = Block();
  block_.resize(block.size);
  const bool whole = read_at(segment.fd, header, header_bytes, block.at) &&
                     read_at(segment.fd, block_.data(), block.size,
                             block.at + static_cast<std::int64_t>(header_bytes));
  if (!whole || le_at(header + 16, 8) != block_checksum(header, block_))
    return corrupt_error(segment.path, block.at);
  block_head_ = block;
  block_segment_ = segment.first;
  return Error();
}

// The block that holds the byte behind `from`.
Result<StreamLog::Block> StreamLog::find(const Segment& segment, Offset from) const {
  const auto behind =
      std::upper_bound(segment.marks.begin(), segment.marks.end(), from,
                       [](Offset offset, const Block& mark) { return offset < mark.offset; });
  if (behind == segment.marks.begin()) return corrupt_error(segment.path, 0);
  Block block = *std::prev(behind);
  const bool read_on = block_head_.size > 0 && block_segment_ == segment.first &&
                       block_head_.offset <= from && block_head_.offset > block.offset;
  if (read_on) block = block_head_;
  while (block.offset + block.size <= from) {
    const auto next =
        read_header(segment, block.at + static_cast<std::int64_t>(header_bytes + block.size));
    if (!next) return next.error();
    if (next->offset != block.offset + block.size) return corrupt_error(segment.path, next->at);
    block = *next;
  }
  return block;
}

Result<std::size_t> StreamLog::read(Offset from, char* data, std::size_t size) {
  KEYFERRY_ASSERT(from >= first() && from < end_ && size > 0);
  std::size_t filled = 0;
  while (filled < size && from < end_) {
    const bool in_block = block_head_.size > 0 && from >= block_head_.offset &&
                          from < block_head_.offset + block_head_.size;
    if (!in_block) {
      const auto segment = std::prev(
          std::upper_bound(segments_.begin(), segments_.end(), from,
                           [](Offset offset, const Segment& s) { return offset < s.first; }));
      const auto block = find(*segment, from);
      if (!block) return block.error();
      if (Error error = read_block(*segment, *block)) return error;
    }
    const auto at = static_cast<std::size_t>(from - block_head_.offset);
    const std::size_t n = std::min(size - filled, block_.size() - at);
    std::memcpy(data + filled, block_.data() + at, n);
    filled += n;
    from += static_cast<Offset>(n);
  }
  return filled;
}

void StreamLog::trim(Offset offset) {
  while (segments_.size() > 1 && segments_[1].first <= offset) {
    remove(segments_.front());
    segments_.pop_front();
  }
}

void StreamLog::remove(Segment& segment) {
  block_head_ = Block();
  ::close(segment.fd);
  ::unlink(segment.path.c_str());
}

}  // namespace keyferry
