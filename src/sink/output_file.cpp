#include "keyferry/sink/output_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

namespace keyferry {
namespace {

Error disk_error(const std::string& path, const char* doing) {
  return {Errc::disk, path + ": " + doing + ": " + std::strerror(errno)};
}

}  // namespace

Error OutputFile::fail(const char* doing) const {
  return disk_error(path_, doing);
}

Error OutputFile::create(const std::string& path, Compression compression, bool may_replace) {
  close();
  path_ = path;
  const int if_there = may_replace ? O_TRUNC : O_EXCL;
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | if_there, 0600);
  if (fd_ < 0 && errno == EEXIST) {
    return {Errc::usage, path + " is there already (target.before: flush replaces it)"};
  }
  if (fd_ < 0) return fail("create");
  compressor_.reset();
  if (compression != Compression::none) compressor_ = std::make_unique<Compressor>(compression);
  return Error();
}

Error OutputFile::put(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail("write");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return Error();
}

Error OutputFile::write(ByteView bytes) {
  if (!compressor_) return put(bytes);
  compressed_.clear();
  compressor_->write(bytes, compressed_);
  return put(compressed_);
}

Error OutputFile::sync() {
  if (fd_ < 0) return Error();
  if (compressor_) {
    compressed_.clear();
    compressor_->flush(compressed_);
    if (Error error = put(compressed_)) return error;
  }
  return ::fdatasync(fd_) == 0 ? Error() : fail("sync");
}

Error OutputFile::finish() {
  if (fd_ < 0) return Error();
  if (compressor_) {
    compressed_.clear();
    compressor_->finish(compressed_);
    compressor_.reset();
    if (Error error = put(compressed_)) return error;
  }
  if (::fsync(fd_) != 0) return fail("sync");
  close();
  return sync_folder_of(path_);
}

Error OutputFile::finish_as(const std::string& path) {
  if (Error error = finish()) return error;
  if (std::rename(path_.c_str(), path.c_str()) != 0) return fail("rename");
  return sync_folder_of(path);
}

void OutputFile::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Error replace_file(const std::string& path, ByteView text) {
  OutputFile file;
  Error error = file.create(path + ".part", Compression::none, true);
  if (!error) error = file.write(text);
  return error ? error : file.finish_as(path);
}

Error sync_folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return disk_error(folder, "open");
  const int result = ::fsync(fd);
  ::close(fd);
  return result == 0 ? Error() : disk_error(folder, "sync");
}

}  // namespace keyferry
