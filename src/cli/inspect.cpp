#include "keyferry/cli/inspect.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "keyferry/cli/cli.hpp"

namespace keyferry {
namespace {

constexpr std::size_t smallest_read = std::size_t{256} * 1024;
constexpr std::size_t first_buffer = std::size_t{2} << 20;

Error file_problem() {
  return {Errc::usage, std::strerror(errno)};
}

// Reads to the snapshot's end, and on to the end of the file to count what lies behind it.
Error read_file(int fd, SnapshotBuffer& buffer, std::uint64_t& surplus) {
  for (;;) {
    char* const tail = buffer.tail();
    const ssize_t size = ::read(fd, tail, buffer.tail_size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return file_problem();
    if (size == 0) break;
    if (buffer.is_done()) {
      surplus += static_cast<std::uint64_t>(size);
    } else {
      buffer.commit(static_cast<std::size_t>(size));
    }
  }
  surplus += buffer.unread();
  return Error();
}

Error inspect_file(const std::string& name, SnapshotBuffer& buffer, std::uint64_t& surplus) {
  if (name == "-") return read_file(STDIN_FILENO, buffer, surplus);
  const int fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return file_problem();
  Error error = read_file(fd, buffer, surplus);
  ::close(fd);
  return error;
}

}  // namespace

char* SnapshotBuffer::tail() {
  if (tail_size() < smallest_read) {
    const std::size_t kept = unread();
    if (begin_ > 0) std::memmove(buffer_.data(), buffer_.data() + begin_, kept);
    begin_ = 0;
    filled_ = kept;
    if (tail_size() < buffer_.size() / 2 || buffer_.empty()) {
      buffer_.resize(std::max(first_buffer, buffer_.size() * 2));
    }
  }
  return buffer_.data() + filled_;
}

void SnapshotBuffer::commit(std::size_t size) {
  filled_ += size;
  if (is_done() || unread() < inspection_.need_bytes()) return;
  begin_ += inspection_.take(ByteView(buffer_).substr(begin_, unread()));
}

int inspect_command(const InspectLine& line) {
  const auto form = line.json ? Inspection::Form::json : Inspection::Form::summary;
  Inspection inspection(form, stdout);
  SnapshotBuffer buffer(inspection);
  std::uint64_t surplus = 0;
  const bool is_address = line.what.find("://") != std::string::npos;
  Error error =
      is_address ? inspect_source(line.what, buffer) : inspect_file(line.what, buffer, surplus);
  const bool was_read = !error;
  if (was_read) error = inspection.finish(surplus);
  if (!error) return 0;
  // An address may hold a password: its problems name it themselves, without.
  print_problems(is_address ? error.what : with_context(line.what, error).what);
  return exit_code(error);
}

}  // namespace keyferry
