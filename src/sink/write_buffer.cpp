#include "keyferry/sink/write_buffer.hpp"

#include <cstring>

namespace keyferry {
namespace {

constexpr std::size_t write_max_bytes = 256 * 1024;
constexpr std::size_t write_max_buffers = 64;
constexpr std::size_t scratch_bytes = 64 * 1024;
// Smaller pieces are copied together rather than given to the kernel one by one.
constexpr std::size_t copy_below_bytes = 1024;

}  // namespace

WriteBuffer::WriteBuffer() : scratch_(scratch_bytes) {}

void WriteBuffer::clear() {
  buffers_.clear();
  cargos_.clear();
  own_.clear();
  scratch_used_ = size_bytes_ = 0;
}

bool WriteBuffer::is_full() const {
  return size_bytes_ >= write_max_bytes || buffers_.size() + 2 >= write_max_buffers;
}

void WriteBuffer::add(ByteView bytes, const std::shared_ptr<const Cargo>& cargo) {
  const std::size_t copied = scratch_used_;
  add(bytes);
  if (scratch_used_ > copied) return;
  if (cargos_.empty() || cargos_.back() != cargo) cargos_.push_back(cargo);
}

void WriteBuffer::add_copy(ByteView bytes) {
  const bool is_copied =
      bytes.size() < copy_below_bytes && scratch_used_ + bytes.size() <= scratch_.size();
  if (is_copied) return add(bytes);
  add_own(Bytes(bytes));
}

void WriteBuffer::add_own(Bytes bytes) {
  add(own_.emplace_back(std::move(bytes)));
}

void WriteBuffer::add(ByteView bytes) {
  size_bytes_ += bytes.size();
  const auto* last_end =
      buffers_.empty() ? nullptr
                       : static_cast<const char*>(buffers_.back().data()) + buffers_.back().size();
  const auto lengthen_last = [&] {
    buffers_.back() =
        asio::const_buffer(buffers_.back().data(), buffers_.back().size() + bytes.size());
  };
  // Commands that came one behind the other go out the same way.
  if (last_end == bytes.data()) return lengthen_last();
  if (bytes.size() < copy_below_bytes && scratch_used_ + bytes.size() <= scratch_.size()) {
    char* to = scratch_.data() + scratch_used_;
    std::memcpy(to, bytes.data(), bytes.size());
    scratch_used_ += bytes.size();
    if (last_end == to) return lengthen_last();
    bytes = ByteView(to, bytes.size());
  }
  buffers_.emplace_back(bytes.data(), bytes.size());
}

}  // namespace keyferry
