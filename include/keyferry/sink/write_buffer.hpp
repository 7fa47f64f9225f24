// What one write to a target carries: views into slabs where they lie, small scattered pieces
// copied together, and a few words of our own. Holds the cargos the views point into, since a
// server that answers before it has read everything must not free them under the write. Pipeline
// thread only.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include <boost/asio/buffer.hpp>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

namespace asio = boost::asio;

struct Cargo;

class WriteBuffer {
 public:
  WriteBuffer();

  void clear();
  // Bytes of `cargo`.
  void add(ByteView bytes, const std::shared_ptr<const Cargo>& cargo);
  // Bytes that live as long as the program.
  void add(ByteView bytes);
  // Bytes that need not live on.
  void add_copy(ByteView bytes);
  // Bytes of our own.
  void add_own(Bytes bytes);

  // Enough for one write: 256 KiB, or as many pieces as one call takes.
  bool is_full() const;
  bool empty() const { return buffers_.empty(); }
  std::size_t size_bytes() const { return size_bytes_; }
  const std::vector<asio::const_buffer>& buffers() const { return buffers_; }

 private:
  std::vector<asio::const_buffer> buffers_;
  std::vector<std::shared_ptr<const Cargo>> cargos_;
  std::deque<Bytes> own_;
  std::vector<char> scratch_;
  std::size_t scratch_used_ = 0;
  std::size_t size_bytes_ = 0;
};

}  // namespace keyferry
