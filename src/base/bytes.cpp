#include "keyferry/base/bytes.hpp"

#include <cstring>

#include <fmt/core.h>

#include "keyferry/base/error.hpp"

namespace keyferry {

Slab::Slab(SlabBudget& budget, std::size_t size_bytes)
    : budget_(budget), size_(size_bytes), data_(new char[size_bytes]) {
  budget_.used_bytes += size_;
}

Slab::~Slab() {
  budget_.used_bytes -= size_;
}

ByteView Slab::commit(std::size_t n) {
  KEYFERRY_ASSERT(n <= tail_size());
  const ByteView fresh{tail(), n};
  filled_ += n;
  return fresh;
}

ByteView Slab::append(ByteView bytes) {
  KEYFERRY_ASSERT(bytes.size() <= tail_size());
  if (!bytes.empty()) std::memcpy(tail(), bytes.data(), bytes.size());
  return commit(bytes.size());
}

SlabRef make_slab(SlabBudget& budget, std::size_t size_bytes) {
  return std::make_shared<Slab>(budget, size_bytes);
}

std::string escaped(ByteView bytes, std::size_t max_bytes) {
  std::string out;
  for (const char c : bytes.substr(0, max_bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '\\' || byte == '"') {
      out += '\\';
      out += c;
    } else if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", byte);
    }
  }
  if (bytes.size() > max_bytes) out += "...";
  return out;
}

}  // namespace keyferry
