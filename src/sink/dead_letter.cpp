#include "keyferry/sink/dead_letter.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "keyferry/resp/resp.hpp"

namespace keyferry {
namespace {

Error append_synced(const std::string& path, const Bytes& bytes) {
  const auto failed = [&](const char* doing) {
    return Error(Errc::disk,
                 "dead-letter file " + path + ": " + doing + ": " + std::strerror(errno));
  };
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return failed("open");
  Error error;
  for (std::size_t at = 0; at < bytes.size() && !error;) {
    const ssize_t n = ::write(fd, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      error = failed("write");
    } else {
      at += static_cast<std::size_t>(n);
    }
  }
  if (!error && ::fdatasync(fd) != 0) error = failed("sync");
  ::close(fd);
  return error;
}

}  // namespace

Task<Error> DeadLetter::append(std::int32_t db, ByteView wire) {
  Bytes bytes;
  append_command(bytes, {"SELECT", std::to_string(db)});
  bytes += wire;
  std::function<Error()> work = [path = path_, bytes = std::move(bytes)] {
    return append_synced(path, bytes);
  };
  Error error = co_await run_in_pool(std::move(work));
  if (!error) ++count_;
  co_return error;
}

}  // namespace keyferry
