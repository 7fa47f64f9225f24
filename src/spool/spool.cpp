#include "keyferry/spool/spool.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace keyferry {
namespace {

Error disk_error(const std::string& doing, int error_number) {
  return Error(Errc::disk, "spool: " + doing + ": " + std::strerror(error_number));
}

struct Segment {
  int fd = -1;
  std::int64_t written = 0;
  std::int64_t read = 0;
};

}  // namespace

struct Spool::Files {
  explicit Files(std::string d) : dir(std::move(d)) {}
  ~Files() { clear(); }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  Error append(ByteView bytes);
  Error read(char* data, std::size_t size, std::size_t& n);
  void clear();
  Error open_segment();

  std::string dir;
  std::deque<Segment> segments;
};

Spool::Spool(std::string dir, std::int64_t max_bytes)
    : files_(std::make_shared<Files>(std::move(dir))), max_bytes_(max_bytes) {}
Spool::~Spool() = default;

Task<Error> Spool::append(ByteView bytes) {
  std::function<Error()> work = [files = files_, bytes] { return files->append(bytes); };
  Error error = co_await run_in_pool(std::move(work));
  if (!error) {
    unread_bytes_ += static_cast<std::int64_t>(bytes.size());
    written_bytes_ += bytes.size();
  }
  co_return error;
}

Task<Result<std::size_t>> Spool::read(char* data, std::size_t size) {
  KEYFERRY_ASSERT(unread_bytes_ > 0);
  const auto n = std::make_shared<std::size_t>(0);
  std::function<Error()> work = [files = files_, data, size, n] {
    return files->read(data, size, *n);
  };
  Error error = co_await run_in_pool(std::move(work));
  if (error) co_return error;
  unread_bytes_ -= static_cast<std::int64_t>(*n);
  co_return *n;
}

Task<Error> Spool::clear() {
  std::function<Error()> work = [files = files_] {
    files->clear();
    return Error();
  };
  Error error = co_await run_in_pool(std::move(work));
  unread_bytes_ = 0;
  co_return error;
}

Error Spool::Files::open_segment() {
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return disk_error("mkdir " + dir, errno);
  std::string path = dir + "/segment-XXXXXX";
  const int fd = ::mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) return disk_error("create a file in " + dir, errno);
  ::unlink(path.c_str());
  segments.push_back({fd, 0, 0});
  return Error();
}

Error Spool::Files::append(ByteView bytes) {
  while (!bytes.empty()) {
    if (segments.empty() || segments.back().written >= segment_bytes) {
      if (Error error = open_segment()) return error;
    }
    Segment& last = segments.back();
    const std::size_t fits =
        std::min<std::size_t>(bytes.size(), static_cast<std::size_t>(segment_bytes - last.written));
    const ssize_t n = ::pwrite(last.fd, bytes.data(), fits, last.written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return disk_error("write in " + dir, errno);
    last.written += n;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return Error();
}

Error Spool::Files::read(char* data, std::size_t size, std::size_t& n) {
  while (!segments.empty()) {
    Segment& first = segments.front();
    if (first.read < first.written) {
      const std::size_t wanted =
          std::min<std::size_t>(size, static_cast<std::size_t>(first.written - first.read));
      const ssize_t got = ::pread(first.fd, data, wanted, first.read);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return disk_error("read in " + dir, got < 0 ? errno : EIO);
      first.read += got;
      n = static_cast<std::size_t>(got);
    }
    if (first.read == first.written) {
      ::close(first.fd);
      segments.pop_front();
    }
    if (n > 0) return Error();
  }
  return disk_error("read in " + dir, EIO);
}

void Spool::Files::clear() {
  for (const Segment& segment : segments)
    ::close(segment.fd);
  segments.clear();
}

}  // namespace keyferry
