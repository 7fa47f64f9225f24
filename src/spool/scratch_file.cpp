#include "keyferry/spool/scratch_file.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace keyferry {

struct ScratchFile::File {
  explicit File(std::string d) : dir(std::move(d)) {}
  ~File() {
    if (fd >= 0) ::close(fd);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  Error error(const char* doing) const {
    return Error(Errc::disk,
                 std::string("spool: ") + doing + " " + dir + ": " + std::strerror(errno));
  }

  Error open() {
    if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return error("mkdir");
    std::string path = dir + "/large-XXXXXX";
    fd = ::mkostemp(path.data(), O_CLOEXEC);
    if (fd < 0) return error("create a file in");
    ::unlink(path.c_str());
    return Error();
  }

  Error append(ByteView bytes) {
    if (fd < 0) {
      if (Error failed = open()) return failed;
    }
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return error("write in");
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return Error();
  }

  Error read(std::uint64_t at, char* data, std::size_t size, std::size_t& n) const {
    ssize_t got = -1;
    do {
      got = ::pread(fd, data, size, static_cast<off_t>(at));
    } while (got < 0 && errno == EINTR);
    if (got == 0) errno = EIO;
    if (got <= 0) return error("read in");
    n = static_cast<std::size_t>(got);
    return Error();
  }

  std::string dir;
  int fd = -1;
};

ScratchFile::ScratchFile(std::string dir) : file_(std::make_shared<File>(std::move(dir))) {}
ScratchFile::~ScratchFile() = default;

Task<Error> ScratchFile::append(ByteView bytes) {
  std::function<Error()> work = [file = file_, bytes] { return file->append(bytes); };
  Error error = co_await run_in_pool(std::move(work));
  if (!error) size_bytes_ += bytes.size();
  co_return error;
}

Task<Result<std::size_t>> ScratchFile::read(std::uint64_t at, char* data, std::size_t size) const {
  const auto n = std::make_shared<std::size_t>(0);
  std::function<Error()> work = [file = file_, at, data, size, n] {
    return file->read(at, data, size, *n);
  };
  Error error = co_await run_in_pool(std::move(work));
  if (error) co_return error;
  co_return *n;
}

}  // namespace keyferry
