// `keyferry inspect FILE|URI`: reads a snapshot from a file, from standard input or from a server
// and prints what is in it.
#pragma once

#include <string>

#include "keyferry/cli/inspection.hpp"

namespace keyferry {

struct InspectLine {
  std::string what;  // file name, "-", or an address with "://"
  bool json = false;
};

// Returns the exit code.
int inspect_command(const InspectLine& line);

// The bytes of a snapshot that were read and not yet taken by the inspection, contiguous. Grows
// only as bytes arrive, never on a length that the snapshot merely claims.
class SnapshotBuffer {
 public:
  explicit SnapshotBuffer(Inspection& inspection) : inspection_(inspection) {}

  // Room for the next read: tail_size() bytes at tail().
  char* tail();
  std::size_t tail_size() const { return buffer_.size() - filled_; }
  // `size` bytes were read; the inspection takes what it can.
  void commit(std::size_t size);
  bool is_done() const { return inspection_.ended() || static_cast<bool>(inspection_.error()); }
  std::size_t unread() const { return filled_ - begin_; }

 private:
  Inspection& inspection_;
  Bytes buffer_;
  std::size_t begin_ = 0;
  std::size_t filled_ = 0;
};

// Asks the server for a full sync, hands its snapshot to the buffer and hangs up before the stream.
Error inspect_source(const std::string& address, SnapshotBuffer& buffer);

}  // namespace keyferry
